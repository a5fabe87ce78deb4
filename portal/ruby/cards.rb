# view, info and completed of one session's card.
require "ostruct"
require "yaml"
require_relative "job"
require_relative "markdown"

module Portal
  # Plain ERB, then markdown, inserted unescaped: the app's files must escape.
  module Cards
    module_function

    # {"info", "view", "completed"} as HTML; a view that raises says so on this card only.
    def render(app, record)
      session = Session.new(record, app)
      parts = { "info" => part(app, "info", session.own_binding) }
      parts["view"] = view(app, record, session) if session.running?
      parts["completed"] = part(app, "completed", session.own_binding) if session.completed?
      parts
    end

    def part(app, name, binding)
      file = ["html", "md"].map { |kind| File.join(app, "#{name}.#{kind}.erb") }.find { |path| File.file?(path) }
      file ? Markdown.render(Definition.erb(File.read(file, encoding: "UTF-8"), binding)) : ""
    rescue StandardError, SyntaxError => e
      alert("Cannot render #{name} because of error: #{e.message}")
    end

    # `self` is connection.yml alone, as on releases before 4.2; unknown names are nil.
    def view(app, record, session)
      connection = YAML.safe_load(File.read(File.join(record["staged_root"], "connection.yml")))
      binding = OpenStruct.new(connection).instance_eval { Kernel.binding }
      binding.local_variable_set(:session, session) if record["release"].to_f >= 4.2
      part(app, "view", binding)
    end

    def alert(text)
      %(<div class="alert alert-danger">#{ERB::Util.html_escape(text)}</div>)
    end
  end
end
