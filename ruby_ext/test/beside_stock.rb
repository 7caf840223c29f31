# Runs what CRuby's source tree has to say about programs that connect, with our socket.so; what fails there is run with the
# stock one too, and only what differs is a failure:
#
#     RUBY beside_stock.rb --socket DIRECTORY --source RUBY_SRC [--spec RUBY_SPEC] [test/fiber test/net ...]
#
# RUBY_SPEC is a checkout of ruby/spec; that of the source tree unless given. The rest are tests of the source tree.
# Inside the network of cruby.json. The last line is "N passed, M failed".

require "open3"
require "optparse"
require "rbconfig"

# The second moved from 3.2 on.
SPECS = %w[library/socket library/net-http library/net/http].freeze

options = {}
tests = OptionParser.new do |parser|
  parser.on("--socket DIRECTORY") { |directory| options[:socket] = directory }
  parser.on("--source DIRECTORY") { |directory| options[:source] = directory }
  parser.on("--spec DIRECTORY") { |directory| options[:spec] = directory unless directory.empty? }
end.parse!
SOURCE = options.fetch(:source)
SPEC = File.expand_path(options[:spec] || "spec/ruby", SOURCE)
OURS = { "RUBYLIB" => [options.fetch(:socket), "#{options[:socket]}/lib"].join(":") }.freeze
STOCK = { "RUBYLIB" => nil }.freeze

# What a run came to: how many examples there were, and the names of those that failed.
Outcome = Struct.new(:total, :failed, :output)

def run(environment, command, directory)
  output, = Open3.capture2e(environment, RbConfig.ruby, *command, chdir: directory)
  output.scrub!
  yield output
end

# Those of CRuby's test runner: "TestFiberIO#test_read = 0.01 s = ."
def run_tests(environment, directory)
  command = %W[-Itool/lib test/runner.rb --ruby=#{RbConfig.ruby} -v #{directory}]
  run(environment, command, SOURCE) do |output|
    failed = output.scan(/(\S+#\S+) = [\d.]+ s = [FE]$/).flatten
    Outcome.new(output[/^(\d+) tests, \d+ assertions/, 1].to_i, failed.sort, output)
  end
end

# Those of mspec, which comes with the source tree: "TCPSocket#initialize connects FAILED".
def run_specs(environment, directory)
  environment = { **environment, "RUBY_EXE" => RbConfig.ruby, "RUBY_FLAGS" => "" }
  run(environment, ["#{SOURCE}/spec/mspec/bin/mspec-run", directory], SPEC) do |output|
    failed = output.scan(/^(.+ (?:FAILED|ERROR))$/).flatten
    Outcome.new(output[/(\d+) examples,/, 1].to_i, failed.sort, output)
  end
end

passed = failed = 0
runs = SPECS.select { |name| File.directory?("#{SPEC}/#{name}") }
            .map { |name| [name, ->(environment) { run_specs(environment, name) }] }
runs += tests.map { |name| [name, ->(environment) { run_tests(environment, name) }] }
runs.each do |name, run|
  ours = run.call(OURS)
  if ours.total.zero?
    puts "#{name}: nothing was run", ours.output.lines.last(20)
    failed += 1
    next
  end
  stock = ours.failed.empty? ? ours : run.call(STOCK)
  differing = ours.failed - stock.failed
  unless differing.empty?
    puts ours.output, "#{name}: these fail, and do not with the stock library:", differing
  end
  same = ours.failed.size - differing.size
  puts "#{name}: #{ours.total} run#{", #{same} fail with the stock library too" if same.positive?}"
  passed += ours.total - ours.failed.size
  failed += differing.size
end
puts "#{passed} passed, #{failed} failed"
exit failed.zero?
