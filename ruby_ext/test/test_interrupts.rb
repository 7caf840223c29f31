require "helper"

# A pending interrupt ends the wait, whatever the lookup does; a handler that returns lets the same race go on.
class TestInterrupts < Minitest::Test
  include Helper

  def test_thread_kill_during_a_lookup
    thread = connecting(silent_name)
    assert_at_once { thread.kill.join }
  end

  def test_thread_raise_during_a_lookup
    thread = connecting(silent_name)
    assert_at_once do
      thread.raise(IndexError, "enough")
      assert_equal "enough", assert_raises(IndexError) { thread.join }.message
    end
  end

  def test_timeout_during_a_lookup
    assert_at_once { assert_raises(Timeout::Error) { Timeout.timeout(0.1) { TCPSocket.new(silent_name, PORT) } } }
  end

  def test_timeout_during_the_attempts
    assert_at_once { assert_raises(Timeout::Error) { Timeout.timeout(0.1) { TCPSocket.new("dead.test", PORT) } } }
  end

  def test_an_interrupt_that_was_pending_before
    thread = Thread.new do
      Thread.handle_interrupt(IndexError => :on_blocking) do
        Thread.current[:ready] = true
        Thread.pass until Thread.current[:go]
        TCPSocket.new(silent_name, PORT)
      end
    end
    thread.report_on_exception = false
    wait_until { thread[:ready] }
    thread.raise(IndexError)
    thread[:go] = true
    assert_at_once { assert_raises(IndexError) { thread.join } }
  end

  def test_ctrl_c
    program = <<~'RUBY'
      $stdout.sync = true
      puts "ready"
      begin
        TCPSocket.new(ARGV[0], 80)
      rescue Interrupt
        puts "interrupted"
      end
    RUBY
    Open3.popen2(RbConfig.ruby, "-rsocket", "-e", program, "--", silent_name) do |_input, output, process|
      assert_equal "ready\n", output.gets
      wait_until { File.read("/proc/#{process.pid}/task/#{process.pid}/stat").split[2] == "S" }
      assert_at_once do
        Process.kill(:INT, process.pid)
        assert_equal "interrupted\n", output.gets
        assert process.value.success?
      end
    end
  end

  # A signal every 50 ms during a lookup of one second. A lookup that began anew at each would take many seconds.
  def test_a_handler_that_returns_lets_the_race_go_on
    count = 0
    before = trap(:USR1) { count += 1 }
    running = true
    sender = Thread.new do
      while running
        Process.kill(:USR1, Process.pid)
        sleep 0.05
      end
    end
    taken = seconds { TCPSocket.open("slow.test", PORT) { |socket| assert_equal PORT, socket.peeraddr(false)[1] } }
    # Those that come while the machine stands still are one.
    assert_operator count, :>=, 1
    assert_operator taken, :<, 10.0
    assert_operator taken, :>=, 0.95
  ensure
    running = false
    sender&.join
    trap(:USR1, before)
  end

  def test_a_handler_that_raises_ends_it
    before = trap(:USR1) { raise IndexError, "from the handler" }
    name = silent_name
    assert_at_once do
      assert_raises(IndexError) do
        Thread.new do
          sleep 0.1
          Process.kill(:USR1, Process.pid)
        end
        TCPSocket.new(name, PORT)
      end
    end
  ensure
    trap(:USR1, before)
  end

  # Signals at all moments of a wait, from a thread that has ended when they arrive.
  def test_many_signals
    before = trap(:USR1) { raise IndexError }
    50.times do
      sender = nil
      assert_at_once do
        assert_raises(IndexError) do
          sender = Thread.new do
            sleep rand * 0.003
            Process.kill(:USR1, Process.pid)
          end
          TCPSocket.new("signals.silent.test", PORT)
        end
      end
      sender.join
    end
  ensure
    trap(:USR1, before)
  end

  def test_exit_while_a_lookup_hangs
    assert_at_once do
      run_ruby(<<~'RUBY', silent_name)
        thread = Thread.new { TCPSocket.new(ARGV[0], 80) }
        thread.report_on_exception = false
        Thread.pass until thread.status == "sleep"
        exit
      RUBY
    end
  end
end
