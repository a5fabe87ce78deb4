# The options of "Software for your notebook (kernel)".
#
# Called by form.yml.erb on the web node, in the user's dashboard, at every page on OOD <= 4.1: no process is
# started, unchanged kernels are not parsed again, and nothing raises. Standard library only. The list is a
# hint: what is launched is looked at again on the node.
require "json"

# Central kernels from the catalog, the user's and shared ones from index.json, and what the kernels folder
# holds that the index does not know yet.
class KernelOptions
  SCAN_LIMIT = 50 # kernel.json files that are parsed in one look
  SCAN_SECONDS = 0.2 # a slow home must not hold up the dashboard
  FILE_LIMIT = 1 << 20 # bytes
  INDEX_LIMIT = 8 << 20
  VALUE = %r{\A(?:(?:site|user|legacy|conda|jupyter):[^/\x00-\x1f]{1,200}|group:[^/\x00-\x1f]{1,100}/[^/\x00-\x1f]{1,200})\z}.freeze
  HEADINGS = { "user" => "Mine", "legacy" => "Mine", "conda" => "Mine", "group" => "Shared with me", "jupyter" => "Other" }.freeze
  WORDS = { "broken" => "does not start", "untrusted" => "not trusted", "unavailable" => "not available now",
            "warning" => "has a warning" }.freeze
  BAD = %w[broken untrusted unavailable].freeze
  FALLBACK = ["The default of this site", ""].freeze

  # One line of the list before it is written.
  Entry = Struct.new(:value, :label, :state, :data)

  def initialize(catalog, home:)
    @catalog = catalog
    @home = home
  end

  # [[heading, [[label, value, data], ...]], ...]: all groups, none of them empty.
  def groups
    found = [["Central", central], *own, ["Make a new one", making]]
    found = found.reject { |_, entries| entries.empty? }
    [["Central", [FALLBACK]], *found].drop(central.empty? ? 0 : 1)
  rescue StandardError
    [["Central", [FALLBACK]]]
  end

  # The value that is chosen at first: the site's default, when it is offered.
  def default
    values = central.map { |option| option[1] }
    values.include?(@catalog.default) ? @catalog.default : values.first.to_s
  rescue StandardError
    ""
  end

  # Where form.js finds the user's index through the dashboard's files app.
  def index_path
    File.join(@home, ".local/share/kernelwright/index.json")
  end

  private

  def central
    @central ||= options(@catalog.kernels.map { |kernel| entry(kernel, kernel["value"], central_data(kernel)) })
  rescue StandardError
    @central = []
  end

  # What form.js needs to say "needs a GPU partition" when the partition changes.
  def central_data(kernel)
    data = {}
    data["data-kw-gpu"] = "required" if kernel["gpu"] == "required"
    partitions = kernel["partitions"]
    data["data-kw-partitions"] = partitions.join(" ") if partitions.is_a?(Array) && !partitions.empty?
    data.merge(about(kernel))
  end

  # What form.js says when the line is chosen.
  def about(one)
    words = [Text.clean(one["description"], 300)]
    words << Catalog::OWN_JOB if Catalog.own_job?(one)
    words = words.reject(&:empty?).map { |said| said.sub(/(?<![.!?…])\z/, ".") }
    words.empty? ? {} : { "data-kw-about" => words.join(" ") }
  end

  def own
    index = Catalog.read_json(index_path, INDEX_LIMIT)
    known = index["version"] == 1 && index["kernels"].is_a?(Array) ? index["kernels"].grep(Hash) : []
    listed = known.reject { |one| one["value"].to_s.start_with?("site:") }
    entries = refreshed(listed).group_by { |one| HEADINGS.fetch(one.value.split(":", 2)[0], "Other") }
    HEADINGS.values.uniq.map { |heading| [heading, options(entries[heading] || [])] }
  rescue StandardError
    []
  end

  # The index with the kernels folder laid over it: new and changed ones are read, removed ones left out.
  def refreshed(listed)
    mine, others = listed.partition { |one| in_folder?(one) }
    known = mine.to_h { |one| [File.basename((one["path"] || one["name"]).to_s), one] }
    (scan(known) || mine.map { |one| entry(one, one["value"]) }) + others.map { |one| entry(one, one["value"]) }
  end

  def in_folder?(one)
    one["path"] ? one["path"].to_s.start_with?(prefix) : one["value"].to_s.start_with?("user:")
  end

  def folder
    @folder ||= File.join(@home, ".local/share/jupyter/kernels")
  end

  def prefix
    @prefix ||= "#{folder}/"
  end

  # An entry for each kernelspec in the folder; nil when the folder cannot be listed.
  def scan(known)
    deadline = now + SCAN_SECONDS
    left = SCAN_LIMIT
    Dir.children(folder).sort.filter_map do |name|
      next if name.start_with?(".")

      old = known[name]
      stamp = now > deadline ? :late : stamp(name)
      next if stamp.nil?
      next entry(old, old["value"]) if old && (stamp == :late || stamp == old["stat"] || left.zero?)

      left -= 1 if left.positive? && stamp != :late
      left.positive? && stamp != :late ? parsed(name, stamp[1]) : by_name(name)
    end
  rescue SystemCallError
    nil
  end

  # [mtime in ns, size] of the kernel.json, as the index keeps it; nil when there is none.
  def stamp(name)
    stat = File.stat("#{prefix}#{name}/kernel.json")
    time = stat.mtime
    stat.file? ? [time.to_i * 1_000_000_000 + time.nsec, stat.size] : nil
  rescue SystemCallError
    nil
  end

  def parsed(name, size)
    spec = size <= FILE_LIMIT ? Catalog.read_json(File.join(folder, name, "kernel.json"), FILE_LIMIT) : {}
    argv = spec["argv"]
    good = argv.is_a?(Array) && !argv.empty? && argv.all?(String)
    label = spec["display_name"].is_a?(String) ? spec["display_name"] : name
    by_name(name, label, good ? "ok" : "broken")
  end

  def by_name(name, label = name, state = "ok")
    entry({ "label" => label, "name" => name, "state" => state }, "user:#{Text.valid(name)}")
  end

  def entry(kernel, value, data = {})
    value = value.to_s
    return nil unless value.valid_encoding? && VALUE.match?(value)

    label = Text.clean(kernel["label"])
    label = Text.clean(kernel["name"]) if label.empty?
    Entry.new(value, mark(label, kernel), kernel["state"].to_s, data)
  end

  # State, GPU need and the day of an end, in words: colours say nothing to a screen reader.
  def mark(label, kernel)
    words = [WORDS[kernel["state"]]]
    words << "counts as two jobs" if Catalog.own_job?(kernel)
    words << "needs a GPU" if kernel["gpu"] == "required"
    words << "until #{kernel["deprecated"]}" if kernel["deprecated"].is_a?(String)
    words << Text.clean(kernel["value"][6..].split("/")[0]) if kernel["value"].to_s.start_with?("group:")
    words.compact!
    words.empty? ? label : "#{label} (#{words.join(", ")})"
  end

  # Options in the given order, broken ones last.
  def options(entries)
    entries = entries.compact
    good, bad = entries.partition { |one| !BAD.include?(one.state) }
    (good + bad).map { |one| one.data.empty? ? [one.label, one.value] : [one.label, one.value, one.data] }
  end

  def making
    kinds = @catalog.kinds
    lists = kinds - ["container"]
    found = []
    found << ["From a list of packages", "new:packages"] << ["From an environment file", "new:file"] unless lists.empty?
    found << ["From a container image", "new:container"] if kinds.include?("container")
    found + @catalog.templates.map { |one| [mark(Text.clean(one["label"] || one["name"]), one.slice("recipe")), one["value"].to_s, about(one)] }
                    .select { |_, value, _| value.match?(/\Atemplate:[a-z0-9][a-z0-9._-]{0,62}\z/) }
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
