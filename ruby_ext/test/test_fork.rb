require "helper"

# fork never waits for a lookup, and the child resolves.
class TestFork < Minitest::Test
  include Helper

  # Ends the process: with success if it could connect at once.
  def connect_in_child
    # What the parent's threads were at is collected in the child, too.
    GC.start
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    TCPSocket.open("dual.test", PORT) { |socket| socket.peeraddr(false) }
    exit!(Process.clock_gettime(Process::CLOCK_MONOTONIC) - start < AT_ONCE)
  rescue Exception => error
    warn error.full_message
    exit!(false)
  end

  def fork_and_connect
    child = nil
    taken = seconds { child = fork { connect_in_child } }
    assert_operator taken, :<, AT_ONCE
    assert_predicate Timeout.timeout(60) { Process.wait2(child) }[1], :success?
  end

  # Many times: the child must not share a resolver socket with the lookups that hang in the parent.
  def test_while_lookups_hang
    hanging = []
    10.times do
      hanging << connecting(silent_name)
      fork_and_connect
    end
  ensure
    hanging.each(&:kill)
  end

  def test_after_a_lookup_was_given_up
    assert_raises(Timeout::Error) { Timeout.timeout(0.05) { TCPSocket.new(silent_name, PORT) } }
    fork_and_connect
  end

  def test_a_child_of_a_child
    thread = connecting(silent_name)
    child = fork do
      inner = fork { connect_in_child }
      exit!(Process.wait2(inner)[1].success?)
    end
    assert_predicate Timeout.timeout(60) { Process.wait2(child) }[1], :success?
  ensure
    thread&.kill
  end

  def test_the_parent_goes_on
    thread = connecting("slow.test")
    fork_and_connect
    thread.value.close
  end
end
