# Form attributes as HTML, with the ids, names and wrappers that form.js and tests rely on.
require "erb"
require_relative "context"
require_relative "markdown"

module Portal
  # Rails' form helpers and bootstrap_form's markup, as far as app forms use them.
  module Widgets
    PREFIX = "batch_connect_session_context"

    module_function

    def h(text)
      ERB::Util.html_escape(text.to_s)
    end

    # All fields of the form in its order; fixed ones have no widget.
    def render(context)
      context.reject(&:fixed?).map { |attribute| item(attribute) }.join("\n")
    end

    def item(attribute)
      return field("hidden", attribute) if attribute.widget == "hidden_field"

      header = attribute.options["header"] ? Markdown.render(attribute.options["header"]) : ""
      %(#{header}<div class="mb-3" id="#{PREFIX}_#{attribute.id}_wrapper">#{body(attribute)}#{help(attribute)}</div>)
    end

    def body(attribute)
      case attribute.widget
      when "select" then label(attribute) + select(attribute)
      when "text_area" then label(attribute) + text_area(attribute)
      when "check_box" then check_box(attribute)
      when "radio_button" then label(attribute) + radios(attribute)
      when "path_selector" then label(attribute) + path_selector(attribute)
      else label(attribute) + field(attribute.widget.sub(/_field\z/, ""), attribute)
      end
    end

    def label(attribute)
      %(<label class="form-label#{" required" if attribute.options["required"]}" for="#{PREFIX}_#{attribute.id}">#{h(attribute.label)}</label>)
    end

    def help(attribute)
      text = attribute.options["help"]
      text ? %(<small class="form-text text-muted">#{Markdown.render(text)}</small>) : ""
    end

    def attributes(attribute, more = {})
      given = attribute.html.merge(attribute.options["html_options"] || {})
      data = given.delete("data") || {}
      all = { "id" => "#{PREFIX}_#{attribute.id}", "name" => "#{PREFIX}[#{attribute.id}]", "class" => "form-control" }
      all["required"] = "required" if attribute.options["required"]
      all.update(given).update(data.transform_keys { |key| "data-#{dashed(key)}" }).update(more)
      pairs(all)
    end

    def dashed(key)
      key.to_s.tr("_", "-")
    end

    def pairs(all)
      all.reject { |_, value| value.nil? || value == false && false }
         .map { |key, value| %(#{key}="#{h(value)}") }.join(" ")
    end

    def field(type, attribute)
      value = type == "password" ? nil : attribute.value
      %(<input #{attributes(attribute, "type" => type, "value" => value)}>)
    end

    def text_area(attribute)
      %(<textarea #{attributes(attribute)}>\n#{h(attribute.value)}</textarea>)
    end

    def check_box(attribute)
      on = (attribute.options["checked_value"] || attribute.html["checked_value"] || "1").to_s
      off = (attribute.html["unchecked_value"] || "0").to_s
      name = "#{PREFIX}[#{attribute.id}]"
      checked = attribute.value == on ? { "checked" => "checked" } : {}
      tag = attributes(attribute, { "type" => "checkbox", "value" => on, "class" => "form-check-input" }.merge(checked))
      %(<div class="form-check"><input type="hidden" name="#{name}" value="#{h(off)}"><input #{tag}>) +
        %(<label class="form-check-label" for="#{PREFIX}_#{attribute.id}">#{h(attribute.label)}</label></div>)
    end

    def radios(attribute)
      choices(attribute).map do |text, value, _|
        id = "#{PREFIX}_#{attribute.id}_#{value.to_s.downcase.gsub(/[^-a-z0-9]+/, "_")}"
        checked = attribute.value == value.to_s ? " checked" : ""
        %(<div class="form-check"><input class="form-check-input" type="radio" id="#{h(id)}" name="#{PREFIX}[#{attribute.id}]" value="#{h(value)}"#{checked}>) +
          %(<label class="form-check-label" for="#{h(id)}">#{h(text)}</label></div>)
      end.join
    end

    def path_selector(attribute)
      start = attribute.options["directory"] || ENV["HOME"]
      %(<div class="input-group">#{field("text", attribute)}) +
        %(<button type="button" class="btn btn-outline-secondary" data-path-selector="#{PREFIX}_#{attribute.id}" data-start="#{h(start)}">Select Path</button></div>)
    end

    def choices(attribute)
      attribute.options["options"] || []
    end

    # The first entry decides, as in Rails: nested means groups, flat means that all are flat.
    def select(attribute)
      list = choices(attribute)
      raise AppError, "undefined method `first' for nil (an option of #{attribute.id} is empty)" if list.any?(&:nil?)

      inner = grouped?(list) ? list.map { |group| optgroup(group, attribute) }.join : options(list, attribute)
      %(<select #{attributes(attribute, "class" => "form-select")}>#{inner}</select>)
    end

    def grouped?(list)
      first = list.first
      first.is_a?(Array) && first[1].is_a?(Array)
    end

    def optgroup(group, attribute)
      name, entries, more = group
      %(<optgroup label="#{h(name)}"#{extra(more)}>#{options(entries, attribute)}</optgroup>)
    end

    def options(list, attribute)
      list.map { |entry| option(entry, attribute) }.join
    end

    def option(entry, attribute)
      text, value, *more = entry.is_a?(Array) ? entry : [entry, entry]
      value = value.is_a?(Array) ? value.inspect : value.to_s
      chosen = value == attribute.value ? %( selected="selected") : ""
      %(<option#{chosen}#{extra(more.select { |m| m.is_a?(Hash) }.reduce({}, :merge))} value="#{h(value)}">#{h(text)}</option>)
    end

    def extra(more)
      more.nil? || more.empty? ? "" : " #{pairs(more)}"
    end
  end
end
