# The attributes of one form with their values: what submit.yml.erb and the templates see.
require "ostruct"
require_relative "definition"

module Portal
  # One attribute: its options from the form, and its value, which is always text.
  class Attribute
    SMART = {
      "bc_num_hours" => { "widget" => "number_field", "label" => "Number of hours", "value" => "1", "min" => 1, "step" => 1, "required" => true },
      "bc_num_slots" => { "widget" => "number_field", "label" => "Number of nodes", "value" => "1", "min" => 1, "step" => 1, "required" => true },
      "bc_queue" => { "label" => "Partition" },
      "bc_account" => { "label" => "Account" },
      "bc_email_on_started" => { "widget" => "check_box", "label" => "I would like to receive an email when the session starts" },
      "auto_queues" => { "widget" => "select", "label" => "Partition" },
      "auto_accounts" => { "widget" => "select", "label" => "Account" },
      "auto_qos" => { "widget" => "select", "label" => "QoS" }
    }.freeze
    OWN = %w[widget label help value required cacheable display html_options fixed hide_when_empty
             hide_by_default header options exclude_options].freeze

    attr_reader :id, :options
    attr_accessor :value

    def initialize(id, given, scheduler)
      @id = id
      @scalar = !given.is_a?(Hash) && !given.nil?
      @options = (SMART[id] || {}).merge(given.is_a?(Hash) ? given : {})
      @options["value"] = given if @scalar
      fill_from(scheduler)
      @value = @options["value"].nil? ? "" : @options["value"].to_s
    end

    # A scalar in the form, or `fixed: true`: no widget, and the browser cannot set it.
    def fixed?
      @scalar || @options["fixed"] == true
    end

    def widget
      { "radio" => "radio_button" }.fetch(@options["widget"], @options["widget"] || "text_field")
    end

    def label
      @options["label"] || id.split("_").map(&:capitalize).join(" ")
    end

    def cacheable?(default)
      @options.key?("cacheable") ? @options["cacheable"] != false : default
    end

    # Every other key goes to the tag: min, max, step, pattern, placeholder, rows and the like.
    def html
      @options.reject { |key, _| OWN.include?(key) || key == "popup_title" || key == "directory" }
    end

    def to_s
      value
    end

    # What the attribute adds to the job by itself.
    def submit
      case id
      when "bc_num_hours" then { "script" => { "wall_time" => value.to_i * 3600 } }
      when "bc_queue", "auto_queues" then { "script" => { "queue_name" => blank } }
      when "bc_account", "auto_accounts" then { "script" => { "accounting_id" => blank } }
      when "auto_qos" then { "script" => { "qos" => blank } }
      when "bc_num_slots" then { "script" => { "native" => ["-N", value] } }
      else {}
      end
    end

    private

    def blank
      value.strip.empty? ? nil : value.strip
    end

    def fill_from(scheduler)
      kind = { "auto_queues" => "queues", "auto_accounts" => "accounts", "auto_qos" => "qos" }[id]
      @options["options"] ||= (scheduler[kind] || []).map { |name| [name, name] } if kind
    end
  end

  # `context` of the templates: attribute methods, `context[:id]&.value`, each; unknown names raise.
  class Context
    include Enumerable

    def initialize(form, values, scheduler: {}, clusters: [])
      ids = form["form"]
      @attributes = ids.map { |id| Attribute.new(id, form["attributes"][id], scheduler) }
      add_cluster(form, clusters) unless ids.include?("cluster")
      each { |attribute| attribute.value = values[attribute.id] if values.key?(attribute.id) && !attribute.fixed? }
      drop_gone_cluster
    end

    def each(&block)
      @attributes.each(&block)
    end

    def [](id)
      detect { |attribute| attribute.id == id.to_s }
    end

    # user_defined_context.json: every value that the person could set.
    def user_defined
      reject(&:fixed?).to_h { |attribute| [attribute.id, attribute.value] }
    end

    # `self` of submit.yml.erb: all attributes by name, and the staged root; unknown names are nil.
    def to_openstruct(staged_root)
      OpenStruct.new(to_h { |attribute| [attribute.id, attribute.value] }.merge("staged_root" => staged_root))
    end

    def method_missing(name, *arguments)
      found = self[name]
      found && arguments.empty? ? found.value : super
    end

    def respond_to_missing?(name, all = false)
      !self[name].nil? || super
    end

    private

    # One allowed cluster becomes a hidden field, several a select in front; none leaves it unset.
    def add_cluster(form, clusters)
      patterns = Array(form["cluster"]).map(&:to_s)
      allowed = clusters.select { |name| patterns.any? { |pattern| File.fnmatch(pattern, name) } }
      return if allowed.empty?

      given = if allowed.size == 1
                { "widget" => "hidden_field", "value" => allowed[0] }
              else
                { "widget" => "select", "label" => "Cluster", "options" => allowed.map { |name| [name, name] }, "value" => allowed[0] }
              end
      @attributes.unshift(Attribute.new("cluster", given, {}))
      @clusters = allowed
    end

    def drop_gone_cluster
      cluster = self["cluster"]
      cluster.value = @clusters[0] if cluster && @clusters && !@clusters.include?(cluster.value)
    end
  end
end
