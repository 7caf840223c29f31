# Runs the tests of what Ruby programs get, over one way in:
#
#     ruby run.rb --with stock | preload=LIBRARY | cruby=DIRECTORY | gem [minitest options]
#
# Inside the network of scenario.json: lab run --scenario scenario.json -- ruby run.rb ...
# Processes that the tests start inherit the way in through the environment.

require "rbconfig"

abort "no network: run this by lab run --scenario #{__dir__}/scenario.json" unless ENV["LAB_PORT"]

flag, way, *options = ARGV
name, path = way.to_s.split("=", 2)
environment =
  case [flag, name]
  when ["--with", "stock"] then {}
  when ["--with", "preload"] then { "LD_PRELOAD" => path }
  when ["--with", "cruby"] then { "RUBYLIB" => [path, "#{path}/lib", ENV["RUBYLIB"]].compact.join(":") }
  when ["--with", "gem"] then { "RUBYOPT" => [ENV["RUBYOPT"], "-rhappysock/tcp_socket"].compact.join(" ") }
  else abort "usage: ruby run.rb --with stock|preload=LIBRARY|cruby=DIRECTORY|gem [minitest options]"
  end
files = Dir["#{__dir__}/test_*.rb"]
files += Dir["#{__dir__}/../gem/test/test_*.rb"] if name == "gem"
program = files.sort.map { |file| "require #{File.expand_path(file).inspect}" }.join("; ")
exec(environment.merge("HAPPYSOCK_WAY" => name), RbConfig.ruby, "-I#{__dir__}", "-e", program, "--", *options)
