# What a name server that hangs costs a Ruby program, in figures, with the stock socket library and with ours:
#
#     RUBY measure.rb WAY=VARIABLE=VALUE[,VARIABLE=VALUE]... [--json]
#
# Inside the network of scenario.json. A way is the environment that brings it in; "stock" is always there. Nothing is judged.

require "json"
require "open3"
require "rbconfig"

PRELUDE = <<~'RUBY'
  require "socket"
  require "timeout"
  $LOAD_PATH.unshift(ENV.fetch("MEASURE_LIBRARY"))
  PORT = Integer(ENV.fetch("LAB_PORT"))
  NAME = "m#{Process.pid}.silent.test"
  def seconds
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  end
  def connecting(name)
    thread = Thread.new { TCPSocket.new(name, PORT) rescue nil }
    Thread.pass until thread.status == "sleep"
    thread
  end
  def milliseconds(value) = "#{(value * 1000).round(value < 0.01 ? 1 : 0)} ms"
RUBY

MEASURES = {
  "fork while a lookup hangs" => <<~'RUBY',
    connecting(NAME)
    sleep 0.1
    puts milliseconds(seconds { Process.wait(fork { exit! }) })
  RUBY
  "fork after a lookup was given up" => <<~'RUBY',
    Timeout.timeout(0.1) { TCPSocket.new(NAME, PORT) } rescue nil
    puts milliseconds(seconds { Process.wait(fork { exit! }) })
  RUBY
  "longest stall of another fiber, a lookup of 1 s" => <<~'RUBY',
    require "scheduler"
    longest = 0
    Thread.new do
      Fiber.set_scheduler(Scheduler.new)
      done = false
      Fiber.schedule { longest = [longest, seconds { sleep 0.01 } - 0.01].max until done }
      Fiber.schedule { TCPSocket.new("slow.test", PORT).close; done = true }
    end.join
    puts milliseconds(longest)
  RUBY
  "Timeout.timeout(0.1) under a fiber scheduler, name server silent" => <<~'RUBY',
    require "scheduler"
    taken = nil
    Thread.new do
      Fiber.set_scheduler(Scheduler.new)
      Fiber.schedule { taken = seconds { Timeout.timeout(0.1) { TCPSocket.new(NAME, PORT) } rescue nil } }
    end.join
    puts milliseconds(taken)
  RUBY
  "a connect whose lookup takes 1 s, a signal every 100 ms" => <<~'RUBY',
    trap(:USR1) {}
    pid = Process.pid
    sender = fork { loop { Process.kill(:USR1, pid); sleep 0.1 } }
    taken = seconds { TCPSocket.new("slow.test", PORT, **(RUBY_VERSION >= "3.4" ? { fast_fallback: false } : {})).close }
    Process.kill(:KILL, sender)
    puts milliseconds(taken)
  RUBY
  "after 200 time-outs of 10 ms: threads, descriptors" => <<~'RUBY',
    count = -> { [Dir.children("/proc/self/task").size, Dir.children("/proc/self/fd").size] }
    before = count.call
    200.times { |i| Timeout.timeout(0.01) { TCPSocket.new("t#{i}.#{NAME}", PORT) } rescue nil }
    after = count.call
    puts "+#{after[0] - before[0]}, +#{after[1] - before[1]}"
  RUBY
  "a connect whose IPv6 address is dead" => 'puts milliseconds(seconds { TCPSocket.new("dead6.test", PORT).close })',
  "a connect whose AAAA is never answered" => 'puts milliseconds(seconds { TCPSocket.new("half.test", PORT).close })',
  "Thread#kill of a connect that hangs" => <<~'RUBY',
    thread = connecting(NAME)
    puts milliseconds(seconds { thread.kill.join })
  RUBY
}.freeze
# What takes longer is said to take more than this, in seconds.
LONG = 15

json = ARGV.delete("--json")
ways = { "stock" => {} }
ARGV.each do |way|
  name, settings = way.split("=", 2)
  ways[name] = settings.split(",").to_h { |setting| setting.split("=", 2) }
end
results = MEASURES.to_h do |title, program|
  by_way = ways.to_h do |name, environment|
    environment = { **environment, "MEASURE_LIBRARY" => __dir__ }
    # The limit is coreutils', which ends a Ruby that hears nothing too.
    command = ["timeout", "--signal=KILL", LONG.to_s, RbConfig.ruby, "-W0", "-e", "#{PRELUDE}\n#{program}\n$stdout.flush\nexit!"]
    output, status = Open3.capture2(environment, *command)
    [name, output.lines.first&.chomp || (status.success? ? "failed" : "more than #{LONG} s")]
  end
  [title, by_way]
end
if json
  puts JSON.pretty_generate({ ruby: RUBY_VERSION, results: results })
else
  puts "| Ruby #{RUBY_VERSION} | #{ways.keys.join(" | ")} |", "| #{(["---"] * (ways.size + 1)).join(" | ")} |"
  results.each { |title, by_way| puts "| #{title} | #{by_way.values.join(" | ")} |" }
end
