# What TCPSocket.new and Socket.tcp cost with the stock socket library, with happysock, and next to a plain C getaddrinfo(3) +
# connect(2):
#
#     ruby benches/ruby_tcpsocket.rb WAY=VARIABLE=VALUE[,VARIABLE=VALUE]... [--ruby RUBY] [--rounds 40] [--batch 200] [--json]
#
# Each way is a process of its own; they take turns, batch by batch in a shifting order, so that what else the machine
# does meets all of them alike. Printed are medians over the batches, and how many objects a connect has made. A way is the
# environment that brings it in, for example preload=LD_PRELOAD=target/ruby/ruby-3.1.2/libhappysock_ruby.so; "stock" and
# the C floor are always there. Connects are closed with a reset. Name and server are local: run it where localhost is ::1
# and 127.0.0.1, in a network of its own (lab run --scenario ruby_ext/test/cruby.json -- ...).

require "json"
require "optparse"
require "rbconfig"
require "tmpdir"

# What is measured: the call, the host, and what the server listens on.
Subject = Struct.new(:call, :host, :serve, :title)
SUBJECTS = [
  Subject.new("TCPSocket.new", "localhost", [], "by name"),
  Subject.new("TCPSocket.new", "localhost", ["ipv4"], "by name, ::1 refused"),
  Subject.new("TCPSocket.new", "127.0.0.1", [], "literal"),
  Subject.new("Socket.tcp", "localhost", [], "by name"),
  Subject.new("Socket.tcp", "localhost", ["ipv4"], "by name, ::1 refused"),
].freeze

WORKER = <<~'RUBY'
  require "socket"
  $stdout.sync = true
  call, host, port = ARGV[0], ARGV[1], Integer(ARGV[2])
  receiver, method = call.split(".")
  method = Object.const_get(receiver).method(method)
  linger = [1, 0].pack("ii")
  clock = ->(id) { Process.clock_gettime(id, :nanosecond) }
  while (line = $stdin.gets)
    objects = GC.stat(:total_allocated_objects)
    wall = clock[Process::CLOCK_MONOTONIC]
    cpu = clock[Process::CLOCK_PROCESS_CPUTIME_ID]
    Integer(line).times do
      socket = method.call(host, port)
      socket.setsockopt(:SOCKET, :LINGER, linger)
      socket.close
    end
    puts "#{clock[Process::CLOCK_MONOTONIC] - wall} #{clock[Process::CLOCK_PROCESS_CPUTIME_ID] - cpu} " \
         "#{GC.stat(:total_allocated_objects) - objects}"
  end
RUBY

def median(values)
  sorted = values.sort
  (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2.0
end

# Starts each way against a server of its own and lets them take turns.
def measure(subject, environments, floor, options)
  server = IO.popen([floor, "serve", *subject.serve])
  port = server.gets.strip
  workers = { "C" => IO.popen([floor, "connect", subject.host, port], "r+") }
  environments.each do |name, environment|
    # Only the gem brings a Socket.tcp of its own.
    next if subject.call == "Socket.tcp" && !%w[stock gem].include?(name)

    workers[name] = IO.popen([environment, options[:ruby], "-e", WORKER, "--", subject.call, subject.host, port], "r+")
  end
  samples = workers.transform_values { [] }
  (options[:rounds] + 2).times do |round|
    workers.to_a.rotate(round).each do |name, worker|
      worker.puts options[:batch]
      answer = worker.gets or abort "#{name} ended"
      # The first two batches warm up.
      samples[name] << answer.split.map { |number| number.to_f / options[:batch] } if round >= 2
    end
  end
  workers.each_value(&:close)
  samples.transform_values do |batches|
    wall, cpu, objects = batches.transpose.map { |values| median(values) }
    { wall_us: (wall / 1000).round(1), cpu_us: (cpu / 1000).round(1), objects: objects && objects.round(1) }.compact
  end
ensure
  Process.kill(:TERM, server.pid) if server
end

options = { ruby: RbConfig.ruby, rounds: 40, batch: 200 }
ways = OptionParser.new do |parser|
  parser.on("--ruby RUBY") { |ruby| options[:ruby] = ruby }
  parser.on("--rounds N", Integer) { |rounds| options[:rounds] = rounds }
  parser.on("--batch N", Integer) { |batch| options[:batch] = batch }
  parser.on("--json") { options[:json] = true }
end.parse!
environments = { "stock" => {} }
ways.each do |way|
  name, settings = way.split("=", 2)
  environments[name] = settings.to_s.split(",").to_h { |setting| setting.split("=", 2) }
rescue ArgumentError
  abort "a way is NAME=VARIABLE=VALUE[,VARIABLE=VALUE], not #{way}"
end

results = {}
Dir.mktmpdir do |directory|
  floor = "#{directory}/ruby_floor"
  system(ENV.fetch("CC", "cc"), "-O2", "-o", floor, "#{__dir__}/ruby_floor.c", exception: true)
  SUBJECTS.each { |subject| results[subject] = measure(subject, environments, floor, options) }
end

version = IO.popen([options[:ruby], "-e", "print RUBY_VERSION"], &:read)
if options[:json]
  named = results.transform_keys { |subject| "#{subject.call} #{subject.title}" }
  puts JSON.pretty_generate({ ruby: version, rounds: options[:rounds], batch: options[:batch], results: named })
else
  results.each do |subject, by_way|
    puts "Ruby #{version}, #{subject.call} #{subject.title}, microseconds a connect, medians of #{options[:rounds]} batches of " \
         "#{options[:batch]}"
    stock = by_way["stock"]
    by_way.each do |name, figure|
      printf("  %-10s wall %7.1f (%.2f of stock)   CPU %7.1f (%.2f of stock)%s\n", name, figure[:wall_us],
             figure[:wall_us] / stock[:wall_us], figure[:cpu_us], figure[:cpu_us] / stock[:cpu_us],
             figure[:objects] && "   objects #{figure[:objects]}")
    end
  end
end
