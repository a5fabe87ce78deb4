# The fields of the form (docs/users/form.md): labels, help, widgets and bounds.
#
# Called by form.yml.erb on the web node, in the user's dashboard. Standard library only. Every text is for a
# person who has never seen a shell; a field that does not count for the chosen software is ignored, not an error.
require "cgi"

# The mapping of form.yml: `form`, `attributes`, `cluster` and the header.
class Fields
  NEW = { "new:packages" => %w[kw_title kw_packages kw_only], "new:file" => %w[kw_title kw_file kw_only],
          "new:container" => %w[kw_title kw_image kw_only] }.freeze
  MAKING = %w[kw_title kw_packages kw_file kw_image kw_only].freeze
  DIRECTIVES_LIMIT = 300 # options; beyond, hide directives would triple the page, and form.js hides by itself
  ADVANCED = %w[kw_more kw_other kw_modules kw_installer kw_qos kw_reservation kw_slurm kw_job].freeze
  UI = { "lab" => "JupyterLab", "notebook" => "Jupyter Notebook" }.freeze

  def initialize(catalog, home:, root:)
    @catalog = catalog
    @home = home
    @root = root
    @options = KernelOptions.new(catalog, home: home)
  end

  # The whole form as plain data; the caller writes it as JSON, which is YAML too.
  def form
    attributes = attributes_in_order
    {
      "title" => "Kernelwright",
      "cluster" => @catalog.clusters,
      "form" => attributes.keys,
      "attributes" => attributes
    }.merge(header)
  end

  private

  def header
    message = @catalog.message
    message ? { "form_header" => "<div class=\"alert alert-info\">#{CGI.escapeHTML(Text.clean(message, 500))}</div>" } : {}
  end

  def attributes_in_order
    found = { "kw_root" => { "value" => @root, "fixed" => true } }
    found.update(software, making, template_fields, notebook, resources, advanced)
    found
  end

  def software
    {
      "kw_kernel" => {
        "widget" => "select", "label" => "Software for your notebook (kernel)",
        "help" => "A new notebook starts with it. For example “Python 3”, or “From a list of packages” to make your own.",
        "value" => @options.default, "options" => with_directives(@options.groups),
        "html_options" => { "data" => script_data }
      },
      "kw_last" => { "widget" => "hidden_field", "value" => "" }
    }
  end

  # What form.js needs: where the fresh list is, when this one was made, and which fields count for which choice.
  def script_data
    counting = NEW.merge(@catalog.templates.to_h { |one| [one["value"].to_s, %w[kw_title kw_only] + asked(one["value"]).keys] })
    { "kw-index" => "/files/fs#{@options.index_path}", "kw-listed" => Time.now.to_i, "kw-fields" => counting.to_json }
  end

  # Hide what does not count, for dashboards with dynamic forms on; elsewhere form.js does it.
  def with_directives(groups)
    return groups if groups.sum { |_, entries| entries.size } > DIRECTIVES_LIMIT

    groups.map do |heading, entries|
      [heading, entries.map { |label, value, data| [label, value, (data || {}).merge(hidden_for(value))] }]
    end
  end

  def hidden_for(value)
    shown = NEW.fetch(value, value.start_with?("template:") ? %w[kw_title kw_only] : [])
    shown += asked(value).keys
    (MAKING + template_fields.keys - shown).to_h { |id| ["data-hide-#{id.tr("_", "-")}", true] }
  end

  def making
    only = @catalog.build["partition"] ? "It then runs where this site builds software, without a GPU. " : ""
    found = {
      "kw_title" => new_field("Name it (new software)", "What you will see in the notebook's menu. For example: RNA analysis. Empty: named after the first package",
                              "maxlength" => 80, "placeholder" => "RNA analysis"),
      "kw_packages" => new_field("Packages (new software)", packages_help, "widget" => "text_area", "rows" => 5,
                                 "placeholder" => "numpy\npandas>=2"),
      "kw_file" => file_field,
      "kw_image" => new_field("Container image (new software)",
                              "Counts for “From a container image”. For example: docker://rocker/r-ver:4.4, or a .sif file such as /home/me/tool.sif",
                              "placeholder" => "docker://rocker/r-ver:4.4"),
      "kw_only" => { "widget" => "check_box", "label" => "Make it, do not start a notebook", "cacheable" => false, "value" => "0",
                     "help" => "Counts for new software. #{only}The card then ends with “Ready” and the name." }
    }
    found.delete("kw_image") unless @catalog.kinds.include?("container")
    %w[kw_packages kw_file].each { |id| found.delete(id) } if (@catalog.kinds - ["container"]).empty?
    found
  end

  def packages_help
    "Counts for “From a list of packages”. One a line, for example numpy or pandas>=2. " \
      "A copied line such as pip install numpy is understood."
  end

  def new_field(label, help, more = {})
    { "label" => label, "help" => help, "cacheable" => false }.merge(more)
  end

  def file_field
    help = "Counts for “From an environment file”. For example: #{@home}/environment.yml, a requirements.txt or an exported kernel."
    return new_field("Environment file (new software)", help, "placeholder" => "#{@home}/environment.yml") unless @catalog.file_picker?

    new_field("Environment file (new software)", help, "widget" => "path_selector", "directory" => @home, "show_files" => true, "favorites" => false)
  end

  # Fields of all templates, by the ids that `site compile` gave; the first template with an id decides.
  def template_fields
    @template_fields ||= @catalog.templates.reduce({}) { |all, one| fields_of(one).merge(all) }
  end

  def asked(value)
    found = @catalog.templates.find { |one| one["value"] == value }
    found ? fields_of(found) : {}
  end

  def fields_of(template)
    @catalog.parameters(template).to_h { |parameter| [parameter["id"], TemplateField.new(template, parameter).attribute] }
  end

  def notebook
    {
      "kw_ui" => { "widget" => "select", "label" => "Open in", "options" => @catalog.interfaces.map { |one| [UI[one], one] },
                   "help" => "For example JupyterLab: notebooks, files and a terminal side by side." },
      "kw_folder" => { "label" => "Folder", "value" => "", "placeholder" => @home,
                       "help" => "Where the notebook opens. Empty: your home folder. For example: #{@home}/project" }
    }
  end

  def resources
    found = { "bc_num_hours" => number("Hours", "hours", "When they are over, the session ends (sbatch --time). For example: 2") }
    found.update(partition, account)
    found["kw_cores"] = number("Processor cores", "cores", "For example: 4 (sbatch --cpus-per-task)")
    found["kw_mem"] = number("Memory in GB", "memory_gb", "0: what the partition gives by itself. For example: 8 (sbatch --mem)")
    found["kw_gpus"] = number("GPUs", "gpus", "0: none. For example: 1 (sbatch --gpus)") if @catalog.bounds("gpus")[2].positive?
    found
  end

  def number(label, name, help)
    default, min, max = @catalog.bounds(name)
    { "widget" => "number_field", "label" => label, "value" => default, "min" => min, "max" => max, "step" => 1,
      "required" => true, "help" => "#{min} to #{max}. #{help}" }
  end

  def partition
    help = "The part of the cluster that runs this session (sbatch --partition). For example: the first of the list"
    return { "auto_queues" => { "label" => "Partition", "help" => help } } if @catalog.partitions.empty?

    names = @catalog.partitions.map { |one| [Text.clean(one["label"] || one["name"]), one["name"], partition_data(one)] }
    { "bc_queue" => { "widget" => "select", "label" => "Partition", "options" => names, "help" => help } }
  end

  def partition_data(one)
    data = { "data-kw-gpus" => one["gpus"].to_i }
    data["data-max-bc-num-hours"] = one["max_hours"] if one["max_hours"].is_a?(Integer)
    data
  end

  def account
    help = "Which project pays (sbatch --account). Empty: your usual one. For example: phys1"
    kernels = @catalog.slurm_kernels? ? ". It also pays for kernels with a job of their own that name no account" : ""
    case @catalog.accounts
    when "none" then {}
    when "auto" then { "auto_accounts" => { "label" => "Account", "help" => help } }
    else { "bc_account" => { "label" => "Account", "help" => "#{help}#{kernels}" } }
    end
  end

  def advanced
    found = {
      "kw_more" => { "widget" => "check_box", "label" => "Advanced", "value" => "0", "help" => "More fields, for people who know what they need." },
      "kw_other" => new_field("Not in the list? Type its name", other_help),
      "kw_modules" => { "label" => "Modules for the server", "help" => "Loaded before Jupyter starts (module load). For example: gcc/12 cuda/12.4" },
      "kw_qos" => { "label" => "Quality of service", "help" => "Of this session's own job (sbatch --qos). For example: debug. Empty: your usual one" },
      "kw_reservation" => { "label" => "Reservation", "help" => "Of this session's own job (sbatch --reservation). For example: course. Empty: none" }
    }
    found["kw_installer"] = installer if (@catalog.kinds & %w[venv conda]).size == 2
    if @catalog.slurm_options?
      found["kw_slurm"] = { "widget" => "text_area", "rows" => 2, "label" => "More Slurm options",
                            "help" => "Of this session's own job. One a line, for example --constraint=avx512" }
    end
    found["kw_job"] = kernels_job if @catalog.slurm_kernels?
    ADVANCED.to_h { |id| [id, found[id]] }.compact
  end

  # The session's job and a kernel's own are two: no field means both, but for the account that was typed.
  def kernels_job
    new_field("The kernel's own job (Slurm kernels)",
              "Counts for kernels with a job of their own, in this session only; all other fields are about the session's job. " \
              "For example: partition=gpu, time=02:00:00, qos=debug, reservation=course, constraint=a100. Empty: as the kernel says",
              "placeholder" => "partition=gpu, time=02:00:00")
  end

  def other_help
    shell = @catalog.command ? " In a shell, “#{Text.clean(@catalog.command, 120)} list” shows all names." : ""
    "Wins over the list above when it is filled in. For example: my-kernel.#{CGI.escapeHTML(shell)}"
  end

  def installer
    own = @catalog.packages == "conda" ? "conda" : "pip"
    { "widget" => "select", "label" => "Packages come from", "cacheable" => false,
      "options" => [["The usual way here (#{own})", ""], ["pip (PyPI)", "venv"], ["conda", "conda"]],
      "help" => "Counts for a list of packages. For example conda when a package is no Python package." }
  end
end

# One parameter of a template as a field of the form.
class TemplateField
  def initialize(template, parameter)
    @template = template
    @parameter = parameter
  end

  def attribute
    { "label" => Text.clean("#{@parameter["label"] || @parameter["name"]} (#{@template["label"] || @template["name"]})", 120),
      "help" => help, "cacheable" => false, "value" => value }.merge(widget)
  end

  private

  def help
    said = [@parameter["help"], bounds, example].grep(String).first
    own = said ? " #{CGI.escapeHTML(Text.clean(said, 300))}" : ""
    "Counts for “#{CGI.escapeHTML(Text.clean(@template["label"] || @template["name"]))}”.#{own}"
  end

  def bounds
    low, high = @parameter.values_at("min", "max")
    "#{low} to #{high}." if @parameter["type"] == "number" && low && high
  end

  # What helps where the site has written nothing.
  def example
    return "For example: #{@parameter["example"]}" if @parameter["example"]

    { "modules" => "One a line, as for module load. For example: gcc/12", "list" => "One a line.",
      "account" => "Which project pays (sbatch --account). Empty: your usual one" }[@parameter["type"]]
  end

  def value
    default = @parameter["default"]
    return default ? "1" : "0" if @parameter["type"] == "bool"

    default.is_a?(Array) ? default.join("\n") : default.to_s
  end

  def widget
    options = @parameter["options"].is_a?(Array) ? @parameter["options"].grep(Hash) : []
    case @parameter["type"]
    when "bool" then { "widget" => "check_box" }
    when "number" then { "widget" => "number_field", "min" => @parameter["min"], "max" => @parameter["max"] }.compact
    when "list", "modules" then { "widget" => "text_area", "rows" => 3 }
    else options.empty? ? {} : { "widget" => "select", "options" => choices(options) }
    end
  end

  def choices(options)
    found = options.map { |one| [Text.clean(one["label"] || one["value"]), one["value"].to_s] }
    @parameter["required"] ? found : [["(not set)", ""], *found]
  end
end
