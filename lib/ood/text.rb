# Text that came from somewhere else: display names, paths, answers.
#
# Read by the other files of this folder; runs on the web node, in the user's dashboard. Standard library only.

# Makes foreign text harmless and short, and answers whether it may be used at all.
module Text
  # Controls, separators, surrogates, direction overrides and what YAML cannot print.
  UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Co}\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF\uFFF0-\uFFFB\uFFFE\uFFFF]/.freeze
  UNSEEN_LINES = /[\p{Cc}\p{Zl}\p{Zp}\p{Co}\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF\uFFF0-\uFFFB\uFFFE\uFFFF&&[^\t\n\r]]/.freeze
  LIMIT = 80

  module_function

  # `text` in one line without anything that cannot be seen, at most `limit` characters.
  def clean(text, limit = LIMIT)
    text = valid(text)
    text = text.gsub(UNSEEN, " ") if text.match?(UNSEEN)
    text = text.strip
    text.size > limit ? "#{text[0, limit - 1]}…" : text
  end

  # The same, where lines are kept.
  def clean_lines(text)
    valid(text).gsub(UNSEEN_LINES, " ")
  end

  # `text` as UTF-8 without broken bytes.
  def valid(text)
    text = text.to_s
    text = text.encode("UTF-8", invalid: :replace, undef: :replace) unless text.encoding == Encoding::UTF_8
    text.valid_encoding? ? text : text.scrub("\uFFFD")
  end

  # For messages: `text` quoted, cut, with everything unprintable visible.
  def shown(text, limit = 60)
    text = valid(text)
    cut = text.size > limit ? "#{text[0, limit - 1]}…" : text
    "“#{cut.gsub(UNSEEN) { |c| format("\\u%04X", c.ord) }}”"
  end
end
