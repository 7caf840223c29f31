require "helper"
require "happysock"
require "logger"
require "stringio"

# What the gem offers by itself.
class TestHappySock < Minitest::Test
  include Helper

  def teardown
    HappySock.trace(nil)
  end

  def test_tcp_returns_a_tcp_socket
    socket = HappySock.tcp("dual.test", PORT)
    assert_instance_of TCPSocket, socket
    assert_equal "2001:db8:2::1 #{PORT}\n", socket.gets
  ensure
    socket&.close
  end

  def test_tcp_with_a_block_returns_what_the_block_returns_and_closes
    kept = nil
    line = HappySock.tcp("dual.test", PORT) { |socket| (kept = socket).gets }
    assert_equal "2001:db8:2::1 #{PORT}\n", line
    assert_predicate kept, :closed?
    assert_raises(IndexError) { HappySock.tcp("dual.test", PORT) { |socket| (kept = socket) && raise(IndexError) } }
    assert_predicate kept, :closed?
  end

  def test_tcp_from_a_local_address
    HappySock.tcp("dual.test", PORT, "192.0.2.77") do |socket|
      assert_equal "192.0.2.77", socket.local_address.ip_address
    end
  end

  def test_limits
    [{ open_timeout: 0.1 }, { resolv_timeout: 0.1 }].each do |limit|
      taken = seconds { assert_raises(*timeout_classes) { HappySock.tcp(silent_name, PORT, **limit) } }
      assert_took 0.1, taken
    end
    assert_raises(*timeout_classes) { HappySock.tcp("dead.test", PORT, connect_timeout: 0.1) }
    assert_raises(ArgumentError) { HappySock.tcp("dual.test", PORT, open_timeout: 1, connect_timeout: 1) }
    assert_raises(ArgumentError) { HappySock.tcp("dual.test", PORT, open_timeout: -1) }
    assert_raises(ArgumentError) { HappySock.tcp("dual.test", PORT, surprise: 1) }
  end

  def test_delays
    quick = least_of_tries(0.2) { seconds { HappySock.tcp("dead6.test", PORT, connection_attempt_delay: 0.02).close } }
    assert_operator quick, :<, 0.2
    patient = seconds { HappySock.tcp("half.test", PORT, resolution_delay: 0.4).close }
    assert_took 0.4, patient
  end

  def test_without_fast_fallback_the_first_address_is_waited_for
    assert_raises(*timeout_classes) { HappySock.tcp("dead6.test", PORT, fast_fallback: false, open_timeout: 0.6) }
    HappySock.tcp("dead6.test", PORT, fast_fallback: true, open_timeout: 10).close
  end

  def test_getaddrinfo
    found = HappySock.getaddrinfo("dual.test", PORT, nil, :STREAM)
    expected = Addrinfo.getaddrinfo("dual.test", PORT, nil, :STREAM)
    assert_equal expected.map(&:to_sockaddr), found.map(&:to_sockaddr)
    assert_equal expected.map { |info| [info.pfamily, info.socktype, info.protocol] },
                 found.map { |info| [info.pfamily, info.socktype, info.protocol] }
    assert_equal ["203.0.113.1"], HappySock.getaddrinfo("dual.test", "80", :INET, Socket::SOCK_STREAM).map(&:ip_address)
    assert_equal ["2001:db8:2::1"], HappySock.getaddrinfo("dual.test", 80, "AF_INET6", "STREAM").map(&:ip_address)
    assert_equal ["127.0.0.1"], HappySock.getaddrinfo("127.0.0.1", nil, nil, :DGRAM).map(&:ip_address)
    assert_raises(SocketError) { HappySock.getaddrinfo("missing.test", 80) }
    assert_raises(SocketError) { HappySock.getaddrinfo("dual.test", 80, :NOTHING) }
  end

  def test_getaddrinfo_can_be_limited_and_interrupted
    taken = seconds { assert_raises(*timeout_classes) { HappySock.getaddrinfo(silent_name, 80, timeout: 0.1) } }
    assert_took 0.1, taken
    assert_at_once { assert_raises(*timeout_classes) { HappySock.getaddrinfo(silent_name, 80, timeout: 0) } }
    assert_at_once { assert_raises(Timeout::Error) { Timeout.timeout(0.1) { HappySock.getaddrinfo(silent_name, 80) } } }
    name = silent_name
    thread = Thread.new { HappySock.getaddrinfo(name, 80) }
    wait_until { thread.status == "sleep" }
    assert_at_once { thread.kill.join }
  end

  def test_trace_of_one_connect
    steps = []
    HappySock.tcp("dead6.test", PORT, trace: steps.method(:<<)).close
    names = steps.map { |step| step[:name] }
    assert_equal 2, names.count(:lookup_started)
    assert_equal 2, names.count(:lookup_answered)
    assert_equal %w[2001:db8:2::66 203.0.113.1],
                 steps.select { |step| step[:name] == :attempt_started }.map { |step| step[:address].ip_address }
    assert_equal :finished, names.last
    assert_equal 1, steps.last[:attempt]
    assert_equal steps.map { |step| step[:time] }, steps.map { |step| step[:time] }.sort
    assert(steps.all? { |step| step.frozen? && step[:host] == "dead6.test" && step[:port] == PORT })
  end

  # The tracer is on the connecting thread, and runs while the race does.
  def test_a_trace_is_told_as_it_happens
    told = {}
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    trace = ->(step) { told[step[:name]] ||= [Process.clock_gettime(Process::CLOCK_MONOTONIC) - start, Thread.current] }
    HappySock.tcp("slow.test", PORT, trace: trace).close
    assert_operator told[:finished][0] - told[:lookup_started][0], :>=, 0.9, "the lookups take a second"
    assert_operator told[:finished][0], :>=, 0.95
    assert_equal [Thread.current], told.values.map(&:last).uniq
  end

  def test_a_limit_is_told_too
    steps = []
    assert_raises(*timeout_classes) { HappySock.tcp(silent_name, PORT, open_timeout: 0.05, trace: steps.method(:<<)) }
    assert_equal :finished, steps.last[:name]
    assert_equal 2, steps.count { |step| step[:name] == :lookup_abandoned }
  end

  def test_trace_of_all_connects
    steps = []
    assert_nil HappySock.trace { |step| steps << step }
    assert_raises(SocketError) { HappySock.tcp("missing.test", PORT) }
    errors = steps.filter_map { |step| step[:error] }
    refute_empty errors
    errors.each { |error| assert_kind_of SocketError, error }
    refute_nil HappySock.trace(nil)
    steps.clear
    HappySock.tcp("dual.test", PORT).close
    assert_empty steps
  end

  def test_log
    output = StringIO.new
    HappySock.log(Logger.new(output))
    HappySock.tcp("dual.test", PORT).close
    assert_match(/dual\.test:#{PORT} \+[\d.]+ms attempt_started #0 \[2001:db8:2::1\]:#{PORT}$/, output.string)
    assert_match(/DEBUG.*dual\.test:#{PORT} \+[\d.]+ms finished /, output.string)
  end

  # A tracer that raises does not cost the socket.
  def test_a_tracer_that_raises
    before = descriptors
    5.times { assert_raises(IndexError) { HappySock.tcp("dual.test", PORT, trace: ->(_step) { raise IndexError }) } }
    assert_operator descriptors, :<=, before + 1
  end

  def test_in_a_ractor
    output = run_ruby(<<~'RUBY', PORT)
      require "happysock"
      Warning[:experimental] = false
      HappySock.trace { |step| step }
      ractor = Ractor.new(ARGV[0].to_i) do |port|
        found = HappySock.getaddrinfo("four.test", port, nil, :STREAM)
        [HappySock.tcp("dual.test", port) { |socket| socket.gets }, found.map(&:ip_address)]
      end
      p ractor.respond_to?(:value) ? ractor.value : ractor.take
    RUBY
    assert_equal "#{["2001:db8:2::1 #{PORT}\n", ["203.0.113.1"]]}\n", output
  end

  def test_lookups_under_a_fiber_scheduler
    require "scheduler"
    beats = 0
    Thread.new do
      Fiber.set_scheduler(Scheduler.new)
      done = false
      Fiber.schedule do
        assert_equal 2, HappySock.getaddrinfo("slow.test", PORT, nil, :STREAM).size
        done = true
      end
      Fiber.schedule do
        until done
          sleep 0.01
          beats += 1
        end
      end
    end.join
    assert_operator beats, :>=, 1
  end

  def test_gc_stress
    GC.stress = true
    assert_equal 2, HappySock.getaddrinfo("dual.test", PORT, nil, :STREAM).size
    HappySock.tcp("dual.test", PORT, trace: ->(step) { step }).close
  ensure
    GC.stress = false
  end
end
