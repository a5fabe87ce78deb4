# submit.yml.erb and the template folder: what happens on the web node when somebody presses Launch.
require "fileutils"
require "json"
require "pathname"
require "shellwords"
require_relative "context"

module Portal
  # The session object of templates and of the info and completed views.
  class Session
    FIELDS = %w[id cluster_id job_id created_at completed_at token title status].freeze
    FIELDS.each { |name| define_method(name) { @record[name] } }

    App = Struct.new(:root)

    def initialize(record, app)
      @record = record
      @app = App.new(Pathname.new(app))
    end

    attr_reader :app

    def staged_root
      Pathname.new(@record["staged_root"])
    end

    def user_context
      file = staged_root.join("user_defined_context.json")
      file.file? ? JSON.parse(file.read) : {}
    end

    def queued?
      status == "queued"
    end

    def starting?
      status == "starting"
    end

    def running?
      status == "running"
    end

    def completed?
      status == "completed"
    end

    # ERB of info and completed runs with this object as self.
    def own_binding
      binding
    end
  end

  # Submitting and staging.
  module Job
    module_function

    # The job's options: smart attributes, with submit.yml.erb merged over them.
    def options(app, context, staged_root)
      smart = context.map(&:submit).reduce({}) { |sum, one| Definition.merge(sum, one) }
      given = Definition.read(app, "submit", context.to_openstruct(staged_root).instance_eval { binding })
      raise AppError, "submit.yml.erb must give a mapping" unless given.nil? || given.is_a?(Hash)

      merged = Definition.merge(smart, given || {})
      cluster = merged["cluster"] || context["cluster"]&.value
      raise AppError, "The cluster was never set." if cluster.to_s.empty?

      merged.merge("cluster" => cluster)
    end

    # Every template/**/*.erb, written without .erb and with the mode of the .erb file.
    def stage(context, record, app)
      root = record["staged_root"]
      File.write(File.join(root, "user_defined_context.json"), JSON.pretty_generate(context.user_defined))
      template = File.join(app, "template")
      Dir.glob(File.join(template, "**/*.erb")).sort.each do |file|
        render(file, File.join(root, file.delete_prefix("#{template}/").delete_suffix(".erb")), context, record, app)
      end
    end

    def render(file, target, context, record, app)
      session = Session.new(record, app)
      text = Definition.erb(File.read(file, encoding: "UTF-8"), binding_of(context, session))
      File.write(target, text)
      File.chmod(File.stat(file).mode & 0o7777, target)
    end

    def binding_of(context, session)
      _ = [context, session]
      binding
    end
  end
end
