# The one border from the form's answers to Python: what template/request.json.erb and before.sh.erb render.
#
# Called on the web node, in the user's dashboard, once a launch. Standard library only. The answers are passed on
# as they are: submit.yml.erb has refused what cannot be JSON, and Python checks each of them again.
require "json"

# request.json of one launch (docs/reference/schemas/request.schema.json).
class SessionRequest
  # Fields that a site may fix in a sub-app; a fixed one is in `context` only, not in the file of answers.
  FIELDS = %w[kw_kernel kw_other kw_title kw_packages kw_file kw_image kw_only kw_ui kw_folder kw_modules kw_installer kw_job].freeze

  def initialize(context, session, catalog: Catalog.read)
    @context = context
    @session = session
    @catalog = catalog
  end

  # The folder of our runtime, the same on web and compute nodes; raises what the form then shows.
  def runtime
    found = [ENV.fetch("KERNELWRIGHT_RUNTIME", nil), @catalog.runtime].find { |path| path && !path.empty? }
    found ||= File.join(@session.app.root.to_s, ".runtime")
    raise "The path of kernelwright's runtime is not usable; ask the support of this site." unless found.match?(%r{\A/[^\x00-\x1f\x7f]+\z})

    found
  end

  def to_json(*_arguments)
    JSON.pretty_generate(
      "version" => 1,
      "answers" => answers,
      "session" => { "id" => @session.id.to_s, "cluster" => text(@session, :cluster_id), "title" => text(@session, :title) },
      "runtime" => runtime,
      "catalog" => { "sha" => @catalog.sha }
    )
  end

  private

  # What the person could set is in user_defined_context.json, which is written before the templates are rendered.
  def answers
    given = Catalog.read_json(File.join(@session.staged_root.to_s, "user_defined_context.json"))
    ids = FIELDS + @catalog.templates.flat_map { |one| @catalog.parameters(one).map { |parameter| parameter["id"] } }
    fixed = ids.to_h { |id| [id, @context[id.to_sym]&.value] }.compact
    fixed.merge(given).transform_values { |value| value.to_s.dup.force_encoding("UTF-8").scrub("\uFFFD") }
  end

  def text(object, name)
    value = object.respond_to?(name) ? object.public_send(name) : nil
    value.nil? ? nil : value.to_s
  end
end
