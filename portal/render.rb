# The Ruby half of the preview: one JSON request on stdin, one JSON answer on stdout.
#
# Started by portal/ruby.py on the preview's machine, as the person who started the preview. Ruby's
# standard library only. The working folder is not the app's, as on a real dashboard.
require "base64"
require "json"
require_relative "ruby/cards"
require_relative "ruby/widgets"

module Portal
  # The actions, by name.
  module Render
    module_function

    # Values arrive as base64, so that bytes which are no UTF-8 reach the app as they were posted.
    def values(request)
      (request["values"] || {}).transform_values { |text| Base64.strict_decode64(text).force_encoding("UTF-8") }
    end

    def context(request)
      Context.new(request["definition"], values(request),
                  scheduler: request["scheduler"] || {}, clusters: request["clusters"] || [])
    end

    def app(request)
      { "manifest" => Definition.manifest(request["app"]) }
    end

    def evaluate(request)
      { "definition" => Definition.evaluate(request["app"], subapp: request["subapp"]) }
    end

    def form(request)
      definition = request["definition"]
      script = File.join(request["app"], "form.js")
      header = definition["form_header"]
      {
        "html" => Widgets.render(context(request)),
        "header" => header ? Markdown.render(header) : "",
        "description" => Markdown.render(definition["description"] || Definition.manifest(request["app"])["description"]),
        "script" => File.file?(script) ? File.read(script, encoding: "UTF-8") : nil
      }
    end

    def submit(request)
      found = context(request)
      default = definition_cacheable(request)
      kept = found.reject(&:fixed?).select { |one| one.cacheable?(default) }
      {
        "options" => Job.options(request["app"], found, request["staged_root"]),
        "cache" => kept.to_h { |one| [one.id, one.value] }
      }
    end

    def definition_cacheable(request)
      request["definition"]["cacheable"] != false
    end

    def stage(request)
      Job.stage(context(request), request["record"], request["app"])
      {}
    end

    def cards(request)
      { "cards" => request["records"].map { |record| Cards.render(request["app"], record) } }
    end
  end
end

actions = %w[app evaluate form submit stage cards]
request = JSON.parse($stdin.read)
raise ArgumentError, "no such action" unless actions.include?(request["action"])

begin
  answer = JSON.generate(Portal::Render.public_send(request["action"], request))
rescue StandardError, SyntaxError, SystemExit => e
  message = e.message.to_s.dup.force_encoding("UTF-8").scrub("?")
  answer = JSON.generate({ "error" => message, "class" => e.class.name })
end
puts answer
