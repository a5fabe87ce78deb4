# Renders info, completed and view of the app for one made-up session: JSON on stdin, HTML on stdout.
require_relative "../../portal/ruby/cards"

request = JSON.parse($stdin.read)
puts JSON.generate(Portal::Cards.render(request["app"], request["record"]))
