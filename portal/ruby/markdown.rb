# A little markdown, strict in what matters: a block of HTML starts in column 0 and ends at a blank line.
require "erb"

module Portal
  # Help texts, descriptions and cards go through here; HTML is kept as it is, as on the dashboard.
  module Markdown
    BLOCK = /\A<\/?(div|p|form|table|ul|ol|dl|pre|h[1-6]|section|details|summary|progress|script|style|hr|blockquote|fieldset)\b/i

    module_function

    def render(text)
      text.to_s.split(/\n[ \t]*\n/).map { |block| block(block) }.join("\n")
    end

    def block(text)
      text = text.sub(/\A\n+/, "")
      return "" if text.strip.empty?
      return text if BLOCK.match?(text)
      return "<pre><code>#{ERB::Util.html_escape(text.gsub(/^ {4}/, ""))}</code></pre>" if text.start_with?("    ")
      return heading(text) if text.start_with?("#")
      return list(text) if text.lines.all? { |line| line.match?(/\A[*-] /) }

      "<p>#{inline(text)}</p>"
    end

    def heading(text)
      marks, words = text.match(/\A(\#{1,6})\s*(.*)/m).captures
      "<h#{marks.size}>#{inline(words)}</h#{marks.size}>"
    end

    def list(text)
      "<ul>#{text.lines.map { |line| "<li>#{inline(line[2..].strip)}</li>" }.join}</ul>"
    end

    def inline(text)
      text.gsub(/`([^`]+)`/) { "<code>#{ERB::Util.html_escape($1)}</code>" }
          .gsub(/\*\*([^*]+)\*\*/, '<strong>\1</strong>')
          .gsub(/\[([^\]]+)\]\(([^)\s]+)\)/, '<a href="\2">\1</a>')
    end
  end
end
