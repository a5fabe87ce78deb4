# The answers of the form, checked: what a person typed meets its first reader here.
#
# Called by submit.yml.erb on the web node, in the user's dashboard. OOD itself checks nothing, and Relaunch
# posts old answers without any form. The node checks all of it again. Standard library only.

# Finds the first thing that is wrong with the answers and says it in words, with the field's label.
class Answers
  # A message for the form's red box.
  class Refused < StandardError; end

  LIMIT = 10_000 # characters of any answer
  VALUES = %r{\A(|new:(?:packages|file|container)|template:[a-z0-9][a-z0-9._-]{0,62}|(?:site|user|legacy|conda|jupyter):[^/]{1,200}|group:[^/]{1,100}/[^/]{1,200})\z}.freeze
  NAME = /\A(?:[a-z]+:)?[A-Za-z0-9][A-Za-z0-9._-]{0,200}(?:\/[A-Za-z0-9][A-Za-z0-9._-]{0,200})?\z/.freeze
  WORD = /\A[A-Za-z0-9_][A-Za-z0-9_.,@+-]{0,120}\z/.freeze
  MODULE = %r{\A[A-Za-z0-9_][A-Za-z0-9_.+/@:=~-]{0,200}\z}.freeze
  IMAGE = %r{\A(?:docker|oras|library|shub|https?|docker-archive|oci-archive)://\S+\z|\A(?:/|~/)[^\s].*\z}.freeze
  INSTALL = /\A[!%$]?\s*(?:sudo\s+)?(?:python3?\s+-m\s+)?(?:conda|mamba|micromamba|pip3?|uv\s+pip|pixi|uv)\s+(?:install|add|create)\b/.freeze
  SPEC = %r{\A(?:[A-Za-z0-9_./-]+::)?[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?\s*(?:(?:[=<>!~@;,*\[]|\d).*)?\z}.freeze
  LOCATION = %r{\A(?:(?:git\+)?(?:https?|ssh|file)://|git\+|\.{0,2}/|~/|-e\s|-r\s|-c\s|--)\S?.*\z}.freeze
  SHELL = /`|\$\(|\$\{|&&|\|/.freeze
  OPTION = /\A--(?<name>[a-z][a-z-]{1,30})(?:[= ](?<value>[^\s`$'"\\;&|<>(){}]{1,200}))?\z/.freeze
  NOT_OURS = %w[wrap output error input array export export-file chdir parsable wait test-only uid gid clusters
                job-name partition account time get-user-env propagate bcast].freeze

  attr_reader :kernel

  def initialize(catalog, values)
    @catalog = catalog
    @values = values.to_h.transform_keys(&:to_s).transform_values(&:to_s)
  end

  # Raises Refused with one readable sentence, or returns itself.
  def check
    encoding
    choice
    fresh if new?
    place
    resources
    advanced
    self
  end

  def [](id)
    @values[id].to_s.strip
  end

  def new?
    @kernel.start_with?("new:", "template:")
  end

  # Whether a kernel is made and no notebook started: only where something is made at all.
  def only?
    new? && self["kw_only"] == "1"
  end

  def partition
    self[@values.key?("bc_queue") ? "bc_queue" : "auto_queues"]
  end

  # A whole number within the site's bounds; empty is the default.
  def number(id, name, label)
    default, min, max = @catalog.bounds(name)
    said = self[id]
    return default if said.empty?
    refuse(label, "#{Text.shown(said, 20)} is not a whole number. For example: #{default}") unless said.match?(/\A\d{1,6}\z/)
    refuse(label, "#{said} is not between #{min} and #{max}") unless said.to_i.between?(min, max)
    said.to_i
  end

  # Extra sbatch options, one a line.
  def slurm_options
    return [] unless @catalog.slurm_options?

    lines("kw_slurm").map do |line|
      found = OPTION.match(line)
      refuse("More Slurm options", "#{Text.shown(line)} is not an option. For example: --constraint=avx512") unless found
      refuse("More Slurm options", "--#{found[:name]} is set by the form or would break the session") if NOT_OURS.include?(found[:name])
      found[:value] ? "--#{found[:name]}=#{found[:value]}" : "--#{found[:name]}"
    end
  end

  private

  def refuse(label, why)
    raise Refused, "#{label}: #{why}."
  end

  def lines(id)
    self[id].split(/\r\n|\r|\n/).map(&:strip).reject(&:empty?)
  end

  def encoding
    @values.each do |id, value|
      next if id == "kw_root" || id == "staged_root"

      value = value.dup.force_encoding("UTF-8") if value.encoding != Encoding::UTF_8
      refuse(label(id), "it holds bytes that are no UTF-8 text") unless value.valid_encoding?
      refuse(label(id), "it is longer than #{LIMIT} characters") if value.size > LIMIT
      found = value[Text::UNSEEN_LINES] || (value[Text::UNSEEN] unless multiline?(id))
      refuse(label(id), "it holds the character #{format("U+%04X", found.ord)}, which cannot be seen") if found
    end
  end

  def multiline?(id)
    %w[kw_packages kw_slurm kw_modules].include?(id) || id.start_with?("kwt_")
  end

  def label(id)
    { "kw_kernel" => "Software for your notebook", "kw_other" => "Not in the list? Type its name", "kw_title" => "Name it",
      "kw_packages" => "Packages", "kw_file" => "Environment file", "kw_image" => "Container image", "kw_folder" => "Folder",
      "kw_modules" => "Modules for the server", "kw_slurm" => "More Slurm options", "bc_num_hours" => "Hours",
      "kw_cores" => "Processor cores", "kw_mem" => "Memory in GB", "kw_gpus" => "GPUs", "kw_qos" => "Quality of service",
      "kw_reservation" => "Reservation", "kw_job" => "The kernel's own job", "bc_account" => "Account", "bc_queue" => "Partition" }.fetch(id, id)
  end

  def choice
    other = self["kw_other"]
    if other.empty?
      @kernel = self["kw_kernel"]
      refuse("Software for your notebook", "#{Text.shown(@kernel)} is not a choice of this form") unless VALUES.match?(@kernel)
    else
      refuse("Not in the list? Type its name", "#{Text.shown(other)} is not a name. For example: my-kernel") unless NAME.match?(other)
      @kernel = other
    end
    allowed
  end

  def allowed
    return unless new?

    kinds = @catalog.kinds
    usable = { "new:container" => kinds.include?("container"), "new:packages" => kinds != ["container"] && kinds.any?,
               "new:file" => kinds != ["container"] && kinds.any? }
    return if usable.fetch(@kernel) { @catalog.templates.any? { |one| one["value"] == @kernel } }

    refuse("Software for your notebook", "#{Text.shown(@kernel)} is not offered here. Choose another line of the list")
  end

  def fresh
    title
    case @kernel
    when "new:packages" then packages
    when "new:file" then file
    when "new:container" then image
    else parameters
    end
  end

  def title
    said = self["kw_title"]
    return if said.empty? # named after the first package, the file's own name or the image

    refuse("Name it", "it is longer than 80 characters") if said.size > 80
    plain = said.unicode_normalize(:nfkd).encode("US-ASCII", invalid: :replace, undef: :replace, replace: "")
    refuse("Name it", "it needs at least one of the letters a-z or a digit. For example: RNA analysis") unless plain.match?(/[A-Za-z0-9]/)
  end

  def packages
    found = lines("kw_packages").reject { |line| line.start_with?("#") }
    refuse("Packages", "name at least one. For example: numpy") if found.empty?
    found.each_with_index do |line, index|
      refuse("Packages", "line #{index + 1}, #{Text.shown(line)}, holds shell code. Write one package a line. For example: numpy") if line.match?(SHELL)
      next if line.match?(INSTALL) || line.match?(SPEC) || line.match?(LOCATION) || words?(line)

      refuse("Packages", "line #{index + 1}, #{Text.shown(line)}, is not a package. Write one a line. For example: numpy")
    end
  end

  # "numpy pandas scipy" in one line is understood too.
  def words?(line)
    line.split(/[\s,]+/).all? { |word| word.match?(SPEC) }
  end

  def file
    path("kw_file", "Environment file", needed: "#{Catalog.home}/environment.yml")
    said = expand(self["kw_file"])
    return unless said.start_with?("#{Catalog.home}/") && !File.exist?(said)

    refuse("Environment file", "there is no file #{Text.shown(said, 200)}")
  end

  def image
    said = self["kw_image"]
    refuse("Container image", "name one. For example: docker://rocker/r-ver:4.4") if said.empty?
    return if IMAGE.match?(said)

    again = said.match?(%r{\A[a-z0-9][a-z0-9._/-]*(?::[\w.-]+)?\z}) ? "docker://#{said}" : "docker://rocker/r-ver:4.4"
    refuse("Container image", "#{Text.shown(said)} is neither a registry's address nor a file. For example: #{again}")
  end

  def parameters
    template = @catalog.templates.find { |one| one["value"] == @kernel }
    @catalog.parameters(template).each { |one| Parameter.new(one, self[one["id"]]).check { |why| refuse(Text.clean(one["label"] || one["name"]), why) } }
  end

  def place
    refuse("Open in", "#{Text.shown(self["kw_ui"])} is not offered here") unless ["", *@catalog.interfaces].include?(self["kw_ui"])
    path("kw_folder", "Folder")
  end

  def path(id, label, needed: nil)
    said = self[id]
    return needed && refuse(label, "name a file. For example: #{needed}") if said.empty?

    refuse(label, "#{Text.shown(said)} is too long") if said.bytesize > 4096
    refuse(label, "#{Text.shown(said)} does not begin with / or ~/. For example: #{Catalog.home}/project") unless said.match?(%r{\A(?:/|~(?:/|\z))})
  end

  def expand(path)
    path.start_with?("~/") ? File.join(Catalog.home, path[2..]) : path
  end

  def resources
    number("bc_num_hours", "hours", "Hours")
    number("kw_cores", "cores", "Processor cores")
    number("kw_mem", "memory_gb", "Memory in GB")
    number("kw_gpus", "gpus", "GPUs")
    word(@values.key?("bc_queue") ? "bc_queue" : "auto_queues", "Partition")
    word(@values.key?("auto_accounts") ? "auto_accounts" : "bc_account", "Account")
    known_partition
  end

  def known_partition
    offered = @catalog.partitions
    return if offered.empty? || partition.empty?

    found = offered.find { |one| one["name"] == partition }
    refuse("Partition", "#{Text.shown(partition)} is not offered here. Use #{offered.map { |one| one["name"] }.first(5).join(", ")}") unless found
    most = found["max_hours"]
    refuse("Hours", "#{found["name"]} gives at most #{most}") if most.is_a?(Integer) && !only? && number("bc_num_hours", "hours", "Hours") > most
  end

  def advanced
    word("kw_qos", "Quality of service")
    word("kw_reservation", "Reservation")
    refuse("Packages come from", "#{Text.shown(self["kw_installer"])} is not a choice") unless ["", "venv", "conda"].include?(self["kw_installer"])
    self["kw_modules"].split(/[\s,]+/).each do |one|
      refuse("Modules for the server", "#{Text.shown(one)} is not a module's name. For example: gcc/12") unless MODULE.match?(one)
    end
    OwnJob.new(self["kw_job"]).check { |why| refuse(label("kw_job"), why) }
    slurm_options
  end

  def word(id, label)
    refuse(label, "#{Text.shown(self[id])} is not a name") unless self[id].empty? || WORD.match?(self[id])
  end
end

# One answer to a template's parameter.
class Parameter
  def initialize(parameter, said)
    @parameter = parameter
    @said = said
  end

  # Yields what is wrong.
  def check
    return yield("it must not be empty") if @said.empty? && @parameter["required"] && @parameter["default"].nil?
    return if @said.empty?

    limit = @parameter["max_length"]
    yield("it is longer than #{limit} characters") if limit.is_a?(Integer) && @said.size > limit
    number { |why| yield why } if @parameter["type"] == "number"
    yield("#{Text.shown(@said)} is not one of the choices") unless offered?
    yield("#{Text.shown(@said)} does not have the form that is asked for") unless form?
  end

  private

  def number
    return yield("#{Text.shown(@said, 20)} is not a number") unless @said.match?(/\A-?\d{1,15}(?:\.\d{1,6})?\z/)

    low, high = @parameter.values_at("min", "max")
    yield("#{@said} is less than #{low}") if low.is_a?(Numeric) && @said.to_f < low
    yield("#{@said} is more than #{high}") if high.is_a?(Numeric) && @said.to_f > high
  end

  def offered?
    options = @parameter["options"]
    return true if !options.is_a?(Array) || options.empty?

    values = options.grep(Hash).map { |one| one["value"].to_s }
    said = %w[list modules].include?(@parameter["type"]) ? @said.split(/[\s,]+/) : [@said]
    said.all? { |one| values.include?(one) }
  end

  def form?
    pattern = @parameter["pattern"]
    !pattern.is_a?(String) || Regexp.new("\\A(?:#{pattern})\\z").match?(@said)
  rescue RegexpError
    true
  end
end
