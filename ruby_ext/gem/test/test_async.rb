require "helper"
begin
  require "async"
rescue LoadError
  nil
end

# Under async, as a gem: what its tasks expect of everything that waits.
class TestAsync < Minitest::Test
  include Helper

  def setup
    skip "no async here" unless defined?(Async)
  end

  # Runs the block in a task, in a thread whose scheduler is async's.
  def in_a_task
    answer = nil
    Thread.new { Async { |task| answer = yield task }.wait }.join
    answer
  end

  # The longest time that a task which only sleeps for 10 ms at a time was kept waiting while the block ran.
  def longest_stall(task)
    longest = 0
    beating = task.async do
      loop do
        taken = seconds { sleep 0.01 }
        longest = taken if taken > longest
      end
    end
    yield
    longest
  ensure
    beating&.stop
  end

  # A lookup that blocks the thread stalls it for a second and more, each time.
  STALL = 0.5

  { "slow.test" => "2001:db8:2::1", "half.test" => "203.0.113.1", "dead6.test" => "203.0.113.1" }.each do |host, address|
    define_method("test_other_tasks_run_during_a_connect_to_#{host}") do
      stall = least_of_tries(STALL) { in_a_task { |task| longest_stall(task) { assert_equal address, reached(host) } } }
      assert_operator stall, :<, STALL
    end
  end

  # The time-out of async 1 is swallowed in io_wait; the connect ends with one of its own.
  def test_with_timeout
    name = silent_name
    taken = in_a_task do |task|
      seconds do
        assert_raises(Async::TimeoutError, *timeout_classes) { task.with_timeout(0.1) { TCPSocket.new(name, PORT) } }
      end
    end
    assert_took 0.1, taken
  end

  def test_stop
    name = silent_name
    before = descriptors
    taken = in_a_task do |task|
      connecting = task.async { TCPSocket.new(name, PORT) }
      task.sleep(0.05)
      seconds { connecting.stop.then { connecting.wait } }
    end
    assert_operator taken, :<, AT_ONCE
    assert_operator descriptors, :<=, before + 2
  end

  def test_many_tasks_connect_at_once
    taken = seconds do
      in_a_task { |task| Array.new(20) { task.async { assert_equal "2001:db8:2::1", reached("slow.test") } }.each(&:wait) }
    end
    # One after the other they take twenty seconds.
    assert_operator taken, :<, 10
  end
end
