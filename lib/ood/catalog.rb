# What the site says: catalog.json, written by `kernelwright site compile` (docs/reference/schemas/catalog.schema.json).
#
# Read by form.yml.erb and submit.yml.erb on the web node, in the user's dashboard. It never raises: without
# a readable catalog the app works with its own defaults. Standard library only.
require "etc"
require "json"

# The compiled site configuration with defaults for everything that is missing or odd.
class Catalog
  PLACE = "/etc/ood/config/apps/kernelwright/catalog.json".freeze
  LIMIT = 16 << 20 # bytes
  LONE_SURROGATE = /\\u[dD][89abAB]\h\h(?!\\u[dD][c-fC-F]\h\h)|(?<!\\u[dD][89abAB]\h\h)\\u[dD][c-fC-F]\h\h/.freeze
  KINDS = %w[venv conda container].freeze
  BOUNDS = { "hours" => [4, 1, 12], "cores" => [1, 1, 64], "memory_gb" => [0, 0, 512], "gpus" => [0, 0, 0] }.freeze

  OWN_JOB = "It runs in a job of its own: two jobs are charged, this session's and the kernel's, so keep the session small.".freeze

  # Whether a central kernel or a template is one of those that Slurm starts.
  def self.own_job?(one)
    launcher = one["recipe"].is_a?(Hash) ? one["recipe"]["launcher"] : nil
    launcher.is_a?(Hash) && !launcher["slurm"].nil?
  end

  # The user's home, as `kernelwright` sees it: from passwd, except where KERNELWRIGHT_HOME names another.
  def self.home
    named = ENV["KERNELWRIGHT_HOME"]
    return named unless named.nil? || named.empty?
    return CurrentUser.home.to_s if defined?(CurrentUser) && CurrentUser.respond_to?(:home)

    Etc.getpwuid.dir
  rescue StandardError
    ENV["HOME"] || "/"
  end

  # The JSON mapping in a file; {} when it is missing, too big, unreadable or no mapping.
  def self.read_json(path, limit = LIMIT)
    # NONBLOCK: a FIFO in the file's place must not hang the dashboard
    text = File.open(path, File::RDONLY | File::NONBLOCK) do |file|
      return {} unless file.stat.file? && file.stat.size <= limit

      file.read(limit)
    end
    found = parse(text.force_encoding("UTF-8").scrub("\uFFFD"))
    found.is_a?(Hash) ? found : {}
  rescue StandardError
    {}
  end

  # JSON whose half surrogates, which Ruby refuses with the whole file, are replaced.
  def self.parse(text)
    JSON.parse(text)
  rescue JSON::ParserError
    raise unless text.match?(/\\u[dD][89a-fA-F]/)

    JSON.parse(text.gsub(LONE_SURROGATE, "\\ufffd"))
  end

  def self.read(path = ENV["KERNELWRIGHT_CATALOG"] || PLACE)
    new(read_json(path))
  end

  def initialize(data)
    @data = data.is_a?(Hash) ? data : {}
  end

  # Central kernels that the form offers, as mappings, in the site's order.
  def kernels
    list(@data["kernels"]).reject { |kernel| kernel["hidden"] == true || kernel["alias"] == true }
  end

  # Templates that can be used, as mappings.
  def templates
    list(@data["templates"]).reject { |template| template["hidden"] == true }
  end

  # Parameters of a template that the form asks for.
  def parameters(template)
    list(template["parameters"]).select { |one| one["ask"] != false && one["id"].to_s.match?(/\Akwt_[a-z_]+\z/) }
  end

  def default
    form["default"].is_a?(String) ? form["default"] : nil
  end

  # Kinds that people may make from the form: venv, conda, container.
  def kinds
    said = strings(form["kinds"])
    said.empty? && !form["kinds"].is_a?(Array) ? KINDS : KINDS & said
  end

  # What a plain list of packages becomes: venv or conda.
  def packages
    said = form["packages"].to_s
    makers = kinds - ["container"]
    makers.include?(said) ? said : (makers.first || "venv")
  end

  def interfaces
    found = strings(form["interfaces"]) & %w[lab notebook]
    found.empty? ? %w[lab notebook] : found
  end

  # OOD cluster ids, or the pattern for whatever cluster the user may submit to.
  def clusters
    found = strings(form["clusters"])
    found.empty? ? ["*"] : found
  end

  # Mappings with name, label, gpus and max_hours; empty: the scheduler is asked.
  def partitions
    list(form["partitions"]).select { |one| one["name"].is_a?(String) }
  end

  # [default, smallest, largest] of hours, cores, memory_gb or gpus.
  def bounds(name)
    said = form[name].is_a?(Hash) ? form[name] : {}
    %w[default min max].zip(BOUNDS.fetch(name)).map { |key, own| said[key].is_a?(Integer) ? said[key] : own }
  end

  def slurm_options?
    form["slurm_options"] == true
  end

  # Whether kernels may have Slurm jobs of their own here.
  def slurm_kernels?
    form["slurm_kernels"] != false
  end

  def file_picker?
    form["file_picker"] == true
  end

  # auto: chosen from the scheduler's list; none: no such field; else typed.
  def accounts
    form["accounts"].to_s
  end

  # Where "make it, do not start a notebook" runs: partition, time and cores.
  def build
    form["build"].is_a?(Hash) ? form["build"] : {}
  end

  def site_name
    text(@data.dig("site", "name")) || "this site"
  end

  def message
    text(@data.dig("site", "message"))
  end

  def support
    text(@data.dig("site", "support"))
  end

  # How people call kernelwright in a shell; nil where there is no shell.
  def command
    @data.key?("command") ? text(@data["command"]) : "kernelwright"
  end

  def runtime
    text(@data["runtime"])
  end

  def sha
    @data["sha"].to_s.match?(/\A[0-9a-f]{64}\z/) ? @data["sha"] : nil
  end

  private

  def form
    @data["form"].is_a?(Hash) ? @data["form"] : {}
  end

  def list(value)
    value.is_a?(Array) ? value.select { |one| one.is_a?(Hash) } : []
  end

  def strings(value)
    value.is_a?(Array) ? value.select { |one| one.is_a?(String) && !one.empty? } : []
  end

  def text(value)
    value.is_a?(String) && !value.strip.empty? ? value : nil
  end
end
