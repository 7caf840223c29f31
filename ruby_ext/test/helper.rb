require "minitest/autorun"
require "descriptors"
require "json"
require "open3"
require "rbconfig"
require "socket"
require "timeout"

# What the tests have in common. Limits on time are wide: they tell milliseconds from the seconds of a hanging lookup,
# no more.
module Helper
  PORT = Integer(ENV.fetch("LAB_PORT"))
  WAY = ENV.fetch("HAPPYSOCK_WAY")
  # Where a lookup hangs, it does so for 10 seconds and more; a busy machine may stand still for two.
  AT_ONCE = 5.0

  def seconds
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  end

  def assert_at_once(limit = AT_ONCE, &block)
    assert_operator seconds(&block), :<, limit
  end

  # That it took so long, by a clock that may round, and no hanging lookup longer.
  def assert_took(least, taken)
    assert_operator taken, :>=, least - 0.01
    assert_operator taken, :<, least + AT_ONCE
  end

  # The least of what the block answers in some tries, of which the first that is good enough is the last: where the machine
  # stands still, everything does, and only what happens each time is the library's doing.
  def least_of_tries(good_enough)
    least = yield
    9.times { least = [least, yield].min if least >= good_enough }
    least
  end

  # Waits for a condition that another thread or process brings about.
  def wait_until(limit = 60)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + limit
    until yield
      flunk "waited #{limit} s in vain" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      sleep 0.001
    end
  end

  # A name whose lookup never ends, not asked for before: no lookup that another test left behind is joined.
  def silent_name
    @@names = (@@names ||= 0) + 1
    "n#{Process.pid}x#{@@names}.silent.test"
  end

  def descriptors
    Descriptors.count
  end

  # The address that a connect to `host` arrives at.
  def reached(host)
    TCPSocket.open(host, PORT) { |socket| socket.peeraddr(false)[3] }
  end

  # A thread that is inside TCPSocket.new(host).
  def connecting(host, **options)
    thread = Thread.new { TCPSocket.new(host, PORT, **options) }
    thread.report_on_exception = false
    wait_until { thread.status == "sleep" || !thread.alive? }
    thread
  end

  # Runs `program` in a Ruby of its own and returns what it printed. It has to end by itself, with success.
  def run_ruby(program, *arguments, environment: {}, limit: 60)
    output, status = Timeout.timeout(limit) do
      Open3.capture2e(environment, RbConfig.ruby, "-rsocket", "-e", program, "--", *arguments.map(&:to_s))
    end
    assert status.success?, output
    output
  end

  # The class of a limit's exception: see the glue.
  def timeout_classes
    [Errno::ETIMEDOUT, *(IO::TimeoutError if defined?(IO::TimeoutError))]
  end
end
