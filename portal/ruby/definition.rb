# The app's definition: form.yml(.erb) evaluated as the dashboard does it.
#
# Run by portal/render.rb on the preview's machine, as the person who started the preview.
require "cgi"
require "erb"
require "yaml"

module Portal
  # What a person made wrong in the app; shown as an alert, never as a stack trace.
  class AppError < StandardError; end

  # Reads the app's files: plain ERB, trim mode "-", safe YAML without aliases, dates and symbols.
  module Definition
    ID = /\A[a-z][a-z0-9_]*\z/
    FORBIDDEN = %w[method methods display hash freeze class send then tap test format open select system id session].freeze

    module_function

    # The mapping of form.yml(.erb), with the sub-app's YAML merged over it; lists are replaced.
    def evaluate(app, subapp: nil)
      form = read(app, "form") || raise(AppError, "#{app}: form.yml.erb or form.yml is missing")
      form = merge(form, read_file(subapp, nil)) if subapp
      raise AppError, "`form` must be a list" unless form["form"].is_a?(Array)
      raise AppError, "`attributes` must be a mapping" unless (form["attributes"] ||= {}).is_a?(Hash)

      form["form"] = form["form"].map { |id| check_id(id) }
      form["attributes"] = form["attributes"].transform_keys { |id| check_id(id) }
      form
    end

    # manifest.yml is plain YAML; a broken one makes the app invisible.
    def manifest(app)
      found = YAML.safe_load(File.read(File.join(app, "manifest.yml"), encoding: "UTF-8"))
      found.is_a?(Hash) ? found : {}
    end

    # `name`.yml.erb or `name`.yml of the app as a mapping; nil when there is neither.
    def read(app, name, binding = nil)
      [".yml.erb", ".yml"].each do |suffix|
        file = File.join(app, name + suffix)
        return read_file(file, binding) if File.file?(file)
      end
      nil
    end

    def read_file(file, binding)
      text = File.read(file, encoding: "UTF-8")
      text = erb(text, binding, file) if file.end_with?(".erb")
      found = YAML.safe_load(text)
      found.nil? ? {} : found
    end

    # The binding is none for forms, so that `self` is no object of ours; __FILE__ and __dir__ are the file's.
    def erb(text, binding = nil, file = nil)
      template = ERB.new(text, trim_mode: "-")
      template.filename = file if file
      binding ? template.result(binding) : template.result
    end

    def merge(under, over)
      under.merge(over) do |_key, a, b|
        a.is_a?(Hash) && b.is_a?(Hash) ? merge(a, b) : b
      end
    end

    def check_id(id)
      id = id.to_s.downcase
      raise AppError, "#{id}: not an attribute id" unless ID.match?(id)
      raise AppError, "#{id} are keywords that cannot be used" if FORBIDDEN.include?(id)

      id
    end
  end
end
