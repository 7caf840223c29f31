# What TCPSocket.new costs with the stock socket library, with happysock, and next to a plain C getaddrinfo(3) +
# connect(2):
#
#     ruby benches/ruby_tcpsocket.rb WAY=VARIABLE=VALUE... [--ruby RUBY] [--host localhost] [--rounds 40] [--batch 200] [--json]
#
# Each way is a process of its own; they take turns, batch by batch in a shifting order, so that what else the machine
# does meets all of them alike. Printed are medians over the batches. A way is the environment that brings it in, for
# example preload=LD_PRELOAD=target/ruby/ruby-3.1.2/libhappysock_ruby.so; "stock" and the C floor are always there.
# Connects are closed with a reset. Name and server are local: run it where localhost is ::1 and 127.0.0.1, in a network
# of its own (lab run --scenario ruby_ext/test/cruby.json -- ...).

require "json"
require "optparse"
require "rbconfig"
require "tmpdir"

WORKER = <<~'RUBY'
  require "socket"
  $stdout.sync = true
  host, port = ARGV[0], Integer(ARGV[1])
  linger = [1, 0].pack("ii")
  clock = ->(id) { Process.clock_gettime(id, :nanosecond) }
  while (line = $stdin.gets)
    wall = clock[Process::CLOCK_MONOTONIC]
    cpu = clock[Process::CLOCK_PROCESS_CPUTIME_ID]
    Integer(line).times do
      socket = TCPSocket.new(host, port)
      socket.setsockopt(:SOCKET, :LINGER, linger)
      socket.close
    end
    puts "#{clock[Process::CLOCK_MONOTONIC] - wall} #{clock[Process::CLOCK_PROCESS_CPUTIME_ID] - cpu}"
  end
RUBY

def median(values)
  sorted = values.sort
  (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2.0
end

options = { ruby: RbConfig.ruby, hosts: [], rounds: 40, batch: 200 }
ways = OptionParser.new do |parser|
  parser.on("--ruby RUBY") { |ruby| options[:ruby] = ruby }
  parser.on("--host HOST") { |host| options[:hosts] << host }
  parser.on("--rounds N", Integer) { |rounds| options[:rounds] = rounds }
  parser.on("--batch N", Integer) { |batch| options[:batch] = batch }
  parser.on("--json") { options[:json] = true }
end.parse!
environments = { "stock" => {} }
ways.each do |way|
  name, variable, value = way.split("=", 3)
  abort "a way is NAME=VARIABLE=VALUE, not #{way}" unless value
  environments[name] = { variable => value }
end
options[:hosts] = %w[localhost 127.0.0.1] if options[:hosts].empty?

results = {}
Dir.mktmpdir do |directory|
  floor = "#{directory}/ruby_floor"
  system(ENV.fetch("CC", "cc"), "-O2", "-o", floor, "#{__dir__}/ruby_floor.c", exception: true)
  server = IO.popen([floor, "serve"])
  port = server.gets.strip
  options[:hosts].each do |host|
    workers = { "C" => IO.popen([floor, "connect", host, port], "r+") }
    environments.each do |name, environment|
      workers[name] = IO.popen([environment, options[:ruby], "-e", WORKER, "--", host, port], "r+")
    end
    samples = workers.transform_values { [] }
    (options[:rounds] + 2).times do |round|
      warn "#{host}: #{round}/#{options[:rounds] + 2}" if $stderr.tty? && !options[:json]
      workers.to_a.rotate(round).each do |name, worker|
        worker.puts options[:batch]
        answer = worker.gets or abort "#{name} ended"
        # The first two batches warm up.
        samples[name] << answer.split.map { |nanoseconds| nanoseconds.to_f / options[:batch] / 1000 } if round >= 2
      end
    end
    workers.each_value(&:close)
    results[host] = samples.transform_values do |pairs|
      { wall_us: median(pairs.map(&:first)).round(1), cpu_us: median(pairs.map(&:last)).round(1) }
    end
  end
ensure
  Process.kill(:TERM, server.pid) if server
end

version = IO.popen([options[:ruby], "-e", "print RUBY_VERSION"], &:read)
if options[:json]
  puts JSON.pretty_generate({ ruby: version, rounds: options[:rounds], batch: options[:batch], results: results })
else
  results.each do |host, by_way|
    puts "Ruby #{version}, #{host}, microseconds a connect, medians of #{options[:rounds]} batches of #{options[:batch]}"
    stock = by_way["stock"]
    by_way.each do |name, figure|
      printf("  %-10s wall %7.1f (%.2f of stock)   CPU %7.1f (%.2f of stock)\n", name, figure[:wall_us],
             figure[:wall_us] / stock[:wall_us], figure[:cpu_us], figure[:cpu_us] / stock[:cpu_us])
    end
  end
end
