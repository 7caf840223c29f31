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

  def beats_while
    beats = 0
    done = false
    Fiber.schedule do
      until done
        sleep 0.01
        beats += 1
      end
    end
    yield
    done = true
    beats
  end

  [nil, false].each do |answer|
    define_method("test_other_fibers_run_during_a_lookup_where_a_timeout_of_io_wait_is_#{answer.inspect}") do
      beats = with_scheduler(Scheduler.new(timeout_answer: answer)) do
        beats_while { assert_equal "2001:db8:2::1", reached("slow.test") }
      end
      # The lookup takes a second; a blocked thread would give none.
      assert_operator beats, :>, 30
    end

    define_method("test_other_fibers_run_during_attempts_where_a_timeout_of_io_wait_is_#{answer.inspect}") do
      beats = with_scheduler(Scheduler.new(timeout_answer: answer)) do
        beats_while { assert_equal "203.0.113.1", reached("dead6.test") }
      end
      assert_operator beats, :>, 5
    end
  end

  def test_many_fibers_connect_at_once
    taken = seconds do
      with_scheduler(Scheduler.new) do
        20.times { Fiber.schedule { assert_equal "2001:db8:2::1", reached("slow.test") } }
      end
    end
    assert_operator taken, :<, 5
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

  def test_the_scheduler_resolves
    scheduler = ResolvingScheduler.new({ "known.test" => ["2001:db8:2::66", "203.0.113.1"] })
    with_scheduler(scheduler) { assert_equal "203.0.113.1", reached("known.test") }
    assert_equal ["known.test"], scheduler.asked
  end

  def test_the_scheduler_finds_nothing
    scheduler = ResolvingScheduler.new({ "unknown.test" => [] })
    with_scheduler(scheduler) { assert_raises(SocketError) { TCPSocket.new("unknown.test", PORT) } }
    assert_equal ["unknown.test"], scheduler.asked
  end

  def test_a_literal_is_not_asked_for
    scheduler = ResolvingScheduler.new({})
    with_scheduler(scheduler) { assert_equal "203.0.113.1", reached("203.0.113.1") }
    assert_empty scheduler.asked
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
