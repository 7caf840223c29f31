require "helper"
require "scheduler"

# Under a fiber scheduler a connect waits through the scheduler and blocks no other fiber.
class TestFiberScheduler < Minitest::Test
  include Helper

  # Runs the block in a fiber of a thread with a scheduler of its own.
  def with_scheduler(scheduler)
    answer = nil
    Thread.new do
      Fiber.set_scheduler(scheduler)
      Fiber.schedule { answer = yield scheduler }
    end.join
    answer
  end

  # The longest time that a fiber which only sleeps for 10 ms at a time was kept waiting while the block ran.
  def longest_stall
    longest = 0
    done = false
    Fiber.schedule do
      until done
        taken = seconds { sleep 0.01 }
        longest = taken if taken > longest
      end
    end
    yield
    longest
  ensure
    done = true
  end

  # A lookup that blocks the thread stalls it for a second and more, each time.
  STALL = 0.5

  # In each of them something is slow, silent, half dead or dead.
  { "slow.test" => "2001:db8:2::1", "half.test" => "203.0.113.1", "dead6.test" => "203.0.113.1" }.each do |host, address|
    define_method("test_other_fibers_run_during_a_connect_to_#{host}") do
      stall = least_of_tries(STALL) do
        with_scheduler(Scheduler.new) { longest_stall { assert_equal address, reached(host) } }
      end
      assert_operator stall, :<, STALL
    end
  end

  def test_other_fibers_run_during_a_lookup_that_times_out
    stall = least_of_tries(STALL) do
      name = silent_name
      with_scheduler(Scheduler.new) do
        longest_stall { assert_raises(Timeout::Error) { Timeout.timeout(0.3) { TCPSocket.new(name, PORT) } } }
      end
    end
    assert_operator stall, :<, STALL
  end

  def test_a_timeout_is_on_time
    name = silent_name
    taken = with_scheduler(Scheduler.new) do
      seconds { assert_raises(Timeout::Error) { Timeout.timeout(0.1) { TCPSocket.new(name, PORT) } } }
    end
    assert_took 0.1, taken
  end

  # A scheduler may swallow the time-out of a task in io_wait, and answer as if nothing came. That ends the connect.
  [nil, false].each do |answer|
    define_method("test_an_io_wait_that_answers_#{answer.inspect}_ends_the_connect") do
      name = silent_name
      scheduler = Scheduler.new
      scheduler.define_singleton_method(:io_wait) do |io, events, timeout|
        super(io, events, timeout || 0.05) || answer
      end
      error = nil
      taken = with_scheduler(scheduler) do
        seconds { error = assert_raises(*timeout_classes) { TCPSocket.new(name, PORT) } }
      end
      assert_operator taken, :<, AT_ONCE
      assert_empty error.attempts
    end
  end

  def test_many_fibers_connect_at_once
    taken = seconds do
      with_scheduler(Scheduler.new) do
        20.times { Fiber.schedule { assert_equal "2001:db8:2::1", reached("slow.test") } }
      end
    end
    # One after the other they take twenty seconds.
    assert_operator taken, :<, 10
  end

  def test_a_limit_holds
    skip "open_timeout came with 4.0" if RUBY_VERSION < "4.0" && WAY != "gem"
    error = with_scheduler(Scheduler.new) do
      taken = seconds { assert_raises(*timeout_classes) { TCPSocket.new(silent_name, PORT, open_timeout: 0.1) } }
      assert_operator taken, :<, AT_ONCE
      true
    end
    assert error
  end

  def test_an_exception_in_the_fiber_ends_it
    before = descriptors
    caught = nil
    with_scheduler(Scheduler.new) do |scheduler|
      fiber = Fiber.schedule do
        TCPSocket.new(silent_name, PORT)
      rescue IndexError => error
        caught = error
      end
      sleep 0.05
      scheduler.fiber_interrupt(fiber, IndexError.new("enough"))
    end
    assert_equal "enough", caught.message
    assert_operator descriptors, :<=, before + 2
  end

  # Its resolver asks for one thing after the other, which a race is there to avoid.
  def test_the_scheduler_is_not_asked
    scheduler = ResolvingScheduler.new({ "half.test" => [] })
    taken = with_scheduler(scheduler) { seconds { assert_equal "203.0.113.1", reached("half.test") } }
    assert_empty scheduler.asked
    assert_operator taken, :<, AT_ONCE
  end

  # A fiber that nobody resumes any more: its connect goes with it.
  def test_a_fiber_that_is_dropped
    output = run_ruby(<<~'RUBY', silent_name, environment: { "RUBYLIB" => [__dir__, ENV["RUBYLIB"]].compact.join(":") })
      require "scheduler"
      require "descriptors"
      class Dropper < Scheduler
        def io_wait(*) = Fiber.yield
        def close = nil
      end
      Fiber.set_scheduler(Dropper.new)
      drop = -> { 50.times { Fiber.new(blocking: false) { TCPSocket.new(ARGV[0], 80) }.resume } }
      before = Descriptors.count
      GC.disable
      drop.call
      during = Descriptors.count
      GC.enable
      10.times { "x" * 1000; [*1..1000]; GC.start }
      p [during - before >= 50, Descriptors.count - before <= 10]
      $stdout.flush
      exit!(0)
    RUBY
    assert_equal "[true, true]\n", output
  end
end
