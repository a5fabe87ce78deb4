# What the session's card says: progress while software is made, the kernel that runs, the reason of an end.
#
# Called by info.html.erb and completed.html.erb on the web node, in the user's dashboard, at every poll (10 s).
# It reads two small files of the session (docs/reference/schemas/progress.schema.json and report.schema.json),
# starts no process and never raises. The dashboard inserts the text unescaped and as markdown: everything is
# escaped here, and no line of the result is empty. Standard library only.
require "cgi"
require "json"

# The parts of one session's card, as HTML in one block.
class Card
  LIMIT = 256 << 10 # bytes of a file
  LOG_LINES = 20
  BYTES = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]].freeze

  def initialize(session)
    @session = session
    @root = session.staged_root.to_s
    @report = read("report.json")
    @progress = read("progress.json")
  end

  # Shown in every state, above the button or the end.
  def info
    return "" if @session.completed?
    return paragraph("Waiting for a free place on the cluster. You can close this page.") if @session.queued?

    block([making, failure_of_kernel, running, *problems])
  rescue StandardError
    ""
  end

  # Shown when the job is over.
  def completed
    block([ending, again])
  rescue StandardError
    again
  end

  private

  def h(text)
    escaped = CGI.escapeHTML(Text.clean_lines(text)).gsub(/[*_`\[\]\\~|]/) { |sign| "&##{sign.ord};" }
    escaped.gsub(/\r\n|\r|\n/, "&#10;") # an empty line would end the block for markdown
  end

  # Sentences in which `paths` and `commands` stand between backticks, as everywhere in our messages.
  def prose(text)
    h(sentence(text)).gsub(/&#96;((?:(?!&#96;).)+)&#96;/) { "<code>#{$1}</code>" }
  end

  def read(name)
    path = File.join(@root, name)
    File.symlink?(path) ? {} : Catalog.read_json(path, LIMIT)
  end

  def block(parts)
    inner = parts.compact.reject(&:empty?)
    inner.empty? ? "" : "<div class=\"kernelwright\">\n#{inner.join("\n")}\n</div>"
  end

  def paragraph(text)
    "<p>#{h(text)}</p>"
  end

  def box(kind, title, *parts)
    "<div class=\"alert alert-#{kind}\" role=\"status\"><p><strong>#{h(title)}</strong></p>#{parts.compact.join}</div>"
  end

  # "Step 2 of 4: downloading, 310 of 900 MB."
  def making
    return nil if @progress.empty?

    words = "Step #{Integer(@progress["step"])} of #{Integer(@progress["steps"])}: #{@progress["text"]}"
    words += ", #{amount}" if amount
    name = @progress["kernel"] ? "Making “#{Text.clean(@progress["kernel"])}”. " : ""
    "<p><strong>#{h("#{name}#{words}")}</strong></p>#{bar}<p class=\"text-muted\">#{h("#{elapsed}You can close this page#{until_when}.")}</p>"
  rescue ArgumentError, TypeError
    nil
  end

  def numbers
    done, total = @progress.values_at("done", "total")
    [done.is_a?(Numeric) ? done : nil, total.is_a?(Numeric) && total.positive? ? total : nil]
  end

  def amount
    done, total = numbers
    return nil unless done

    unit = @progress["unit"].to_s
    return bytes(done, total) if unit == "bytes"

    [done.round, *(total ? ["of", total.round] : []), *unit].reject { |part| part.to_s.empty? }.join(" ")
  end

  def bytes(done, total)
    name, factor = BYTES.find { |_, size| (total || done) >= size } || ["bytes", 1]
    figures = [done, total].compact.map { |number| number / factor >= 10 ? (number / factor).round : (number / factor).round(1) }
    "#{figures.join(" of ")} #{name}"
  end

  # Steps count in quarters, what is known within a step fills its own; <progress> needs no style.
  def bar
    done, total = numbers
    within = done && total ? [done.to_f / total, 1.0].min : 0.0
    steps = Integer(@progress["steps"])
    value = ((Integer(@progress["step"]) - 1 + within) / steps).clamp(0.0, 1.0)
    "<progress value=\"#{(value * 100).round}\" max=\"100\" aria-label=\"Progress\">#{(value * 100).round} %</progress>"
  end

  def elapsed
    begun = @progress["started_at"]
    return "" unless begun.is_a?(Numeric)

    seconds = [(Time.now.to_f - begun).round, 0].max
    seconds < 60 ? "#{seconds} s so far. " : "#{seconds / 60} min #{seconds % 60} s so far. "
  end

  def until_when
    ends = @progress["ends_at"] || @report["ends_at"]
    ends.is_a?(Numeric) ? "; the session ends at #{Time.at(ends).strftime("%H:%M")}" : ""
  end

  # The kernel could not be made, but the session is usable (its first cell says why, too).
  def failure_of_kernel
    return nil unless @report["code"] && %w[starting running].include?(@report["state"])

    box("warning", "The software could not be made; the notebook starts with another kernel.", reason, log, link)
  end

  def running
    return nil unless %w[starting running ready].include?(@report["state"])

    node = @report["node"] ? " on #{@report["node"]}" : ""
    return nil unless @report["kernel"].is_a?(Hash)

    name = @report["kernel"]["label"] || @report["kernel"]["name"]
    return ready(name) if @report["kernel"]["made"] == true && !@report["code"]

    "<p><strong>Kernel:</strong> #{h(name)}#{h(node)}</p>"
  end

  def ready(name)
    name = Text.clean(name)
    "<p><strong>#{h("Ready: #{name}.")}</strong> #{h("Old notebooks keep their kernel: Kernel > Change Kernel > #{name}")}</p>"
  end

  def problems
    list = @report["problems"].is_a?(Array) ? @report["problems"].grep(Hash).first(5) : []
    list.map do |one|
      "<p class=\"text-muted\">#{[one["message"], one["hint"]].compact.map { |text| prose(text) }.join(" ")}</p>"
    end
  end

  def ending
    case @report["state"]
    when "ready" then ready(@report.dig("kernel", "label") || "the kernel")
    when "failed" then box("danger", only? ? "The software could not be made" : "The session could not start", reason, log)
    when "ended" then @report["code"] ? box("warning", "The session is over", reason, log) : paragraph("The session is over.")
    else cut_off
    end
  end

  # Whether no notebook was wanted: then nothing failed to start.
  def only?
    given = read("user_defined_context.json")
    given["kw_only"] == "1" && given["kw_kernel"].to_s.start_with?("new:", "template:")
  end

  # Nobody wrote an ending: the job was taken away (cancelled, walltime, node failure) or never ran.
  def cut_off
    return box("warning", "The job ended before it said anything", "<p>It was cancelled in the queue, or the node could not start it. The file output.log of the session says more.</p>") if @report.empty?

    ends = @report["ends_at"]
    over = ends.is_a?(Numeric) && @session.completed_at.to_f >= ends - 60
    title = over ? "The time of the session was over" : "The session was ended from outside"
    what = @progress.empty? ? "" : "<p>Software was being made: the next launch goes on where this one stopped.</p>"
    why = over ? "<p>Ask for more hours the next time.</p>" : "<p>It was cancelled, or the node failed.</p>"
    box("warning", title, why, what)
  end

  # Messages are sentences without capital and full stop, hints too: a card is prose.
  def sentence(text)
    text = Text.clean(text, 1000)
    text = text.sub(/\A[a-z]/, &:upcase)
    text.match?(/[.!?…]\z/) ? text : "#{text}."
  end

  def reason
    hint = @report["hint"] ? "<p>#{prose(@report["hint"])}</p>" : ""
    "<p>#{prose(@report["message"] || "no reason is known")} <small>(#{h(@report["code"] || "unknown")})</small></p>#{hint}"
  end

  def log
    lines = @report["log"].is_a?(Array) ? @report["log"].last(LOG_LINES).map { |line| Text.valid(line)[0, 500] } : []
    lines.empty? ? nil : "<details open><summary>Details</summary><pre>#{h(lines.join("\n"))}</pre></details>"
  end

  def again
    "<p>#{link}</p>"
  end

  # OOD's own edit page, prefilled from this session (OOD >= 4.0; before, the form with the last values).
  def link
    token, id = [@session.token, @session.id].map { |part| part.to_s.gsub(%r{[^\w./-]}, "") }
    "<a class=\"btn btn-outline-primary\" href=\"#{prefix}/batch_connect/#{token}/session_contexts/new?session_id=#{id}\">Edit and #{@report["code"] ? "try" : "launch"} again</a>"
  end

  def prefix
    root = ENV["RAILS_RELATIVE_URL_ROOT"].to_s
    root.match?(%r{\A/[\w/-]+\z}) ? root : "/pun/sys/dashboard"
  end
end
