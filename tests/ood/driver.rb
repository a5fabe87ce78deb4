# Calls the app's Ruby as form.yml.erb and submit.yml.erb do: one JSON request on stdin, one answer on stdout.
# Run by tests/ood/rubyside.py with the system's Ruby and nothing but its standard library.
require "base64"
require "json"

ROOT = File.expand_path("../..", __dir__)
kw = Module.new
%w[text catalog kernel_options fields answers job card].each do |name|
  file = "#{ROOT}/lib/ood/#{name}.rb"
  kw.module_eval(File.read(file, encoding: "UTF-8"), file)
end

request = JSON.parse($stdin.read)
catalog = kw::Catalog.read
unpack = ->(packed) { packed.transform_values { |text| Base64.strict_decode64(text).force_encoding("UTF-8") } }
check = lambda do |packed|
  answers = kw::Answers.new(catalog, unpack.call(packed)).check
  { "ok" => true, "kernel" => answers.kernel, "submit" => kw::Job.new(catalog, answers).submit }
rescue kw::Answers::Refused => e
  { "ok" => false, "message" => e.message }
end
answer =
  case request["action"]
  when "options"
    options = kw::KernelOptions.new(catalog, home: kw::Catalog.home)
    { "groups" => options.groups, "default" => options.default }
  when "form"
    kw::Fields.new(catalog, home: kw::Catalog.home, root: ROOT).form
  when "check"
    { "found" => request["cases"].map(&check) }
  when "budget"
    times = Array.new(request["rounds"]) do
      begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      kw::KernelOptions.new(kw::Catalog.read, home: kw::Catalog.home).groups
      Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun
    end
    { "seconds" => times }
  end
puts JSON.generate(answer)
