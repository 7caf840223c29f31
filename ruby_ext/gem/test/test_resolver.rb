require "helper"
require "happysock"

# Lookups as objects, answers as they come, connects to known addresses, and Ruby's own lookups replaced.
class TestResolver < Minitest::Test
  include Helper

  def test_a_lookup
    lookup = HappySock::Lookup.new("dual.test", PORT, nil, :STREAM)
    assert_same lookup, lookup.wait
    assert_predicate lookup, :done?
    assert_equal %w[2001:db8:2::1 203.0.113.1], lookup.value.map(&:ip_address).sort
    assert_equal lookup.value.map(&:to_sockaddr), lookup.value.map(&:to_sockaddr)
    assert_raises(SocketError) { HappySock::Lookup.new("missing.test").value }
    assert_raises(SocketError) { HappySock::Lookup.new("dual.test", 80, :NOTHING) }
    assert_raises(RuntimeError) { HappySock::Lookup.allocate.value }
  end

  def test_a_lookup_is_cancelled_from_another_thread
    lookup = HappySock::Lookup.new(silent_name, 80)
    refute_predicate lookup, :done?
    waiting = Thread.new { lookup.value }
    waiting.report_on_exception = false
    wait_until { waiting.status == "sleep" }
    assert_at_once do
      lookup.cancel
      assert_raises(Errno::ECANCELED) { waiting.value }
    end
  end

  def test_a_lookup_can_be_watched
    lookup = HappySock::Lookup.new("slow.test", PORT, nil, :STREAM)
    io = IO.for_fd(lookup.fileno, autoclose: false)
    steps = 0
    until lookup.done?
      assert IO.select([io], nil, nil, 10)
      steps += 1
    end
    assert_includes 1..50, steps, "it is readable when there is something to do"
  end

  def test_a_limit_and_an_interrupt_of_a_lookup
    assert_at_once { assert_raises(*timeout_classes) { HappySock::Lookup.new(silent_name, 80, timeout: 0.05).value } }
    lookup = HappySock::Lookup.new("slow.test", PORT, nil, :STREAM)
    assert_raises(Timeout::Error) { Timeout.timeout(0.05) { lookup.wait } }
    assert_equal 2, lookup.value.size
  end

  def test_wait_any
    slow = HappySock::Lookup.new(silent_name, 80)
    quick = HappySock::Lookup.new("dual.test", 80)
    assert_same quick, HappySock::Lookup.wait_any([slow, quick])
    assert_raises(ArgumentError) { HappySock::Lookup.wait_any([]) }
    assert_raises(TypeError) { HappySock::Lookup.wait_any([1]) }
  ensure
    slow&.cancel
  end

  def test_answers_as_they_come
    answers = HappySock::Resolver.new.each_answer("dual.test", PORT)
    assert_kind_of Enumerator, answers
    found = answers.to_a
    assert_equal %i[ipv4 ipv6], found.map(&:family).sort
    assert_equal %w[2001:db8:2::1 203.0.113.1], found.flat_map(&:addresses).map(&:ip_address).sort
    assert_equal [nil, nil], found.map(&:error)
    # The one that never comes does not keep the other.
    assert_at_once do
      first = HappySock::Resolver.new.each_answer("half.test", PORT).first
      assert_equal [:ipv4, ["203.0.113.1"]], [first.family, first.addresses.map(&:ip_address)]
    end
    failed = HappySock::Resolver.new.each_answer("missing.test").to_a
    assert_equal [SocketError, SocketError], failed.map { |answer| answer.error.class.ancestors.find { |kind| kind == SocketError } }
    assert_empty failed.flat_map(&:addresses)
  end

  def test_a_resolver
    patient = HappySock::Resolver.new(timeout: 60)
    assert_equal %w[2001:db8:2::1 203.0.113.1], patient.addresses("dual.test", PORT).map(&:ip_address).sort
    resolver = HappySock::Resolver.new(timeout: 0.1)
    assert_at_once { assert_raises(*timeout_classes) { resolver.addresses(silent_name) } }
    name = silent_name
    late = HappySock::Resolver.new
    waiting = Thread.new { late.each_answer(name).map(&:error) }
    wait_until { waiting.status == "sleep" }
    assert_at_once do
      late.cancel
      assert_equal [Errno::ECANCELED] * 2, waiting.value.map(&:class)
    end
    assert_equal ["203.0.113.1"], late.addresses("four.test", PORT).map(&:ip_address)
  end

  def test_connect_to
    dead = Addrinfo.tcp("2001:db8:2::66", PORT)
    alive = Addrinfo.tcp("203.0.113.1", PORT)
    HappySock.connect_to([dead, alive]) do |socket|
      assert_instance_of TCPSocket, socket
      assert_equal "203.0.113.1", socket.remote_address.ip_address
    end
    error = assert_raises(Errno::ECONNREFUSED) { HappySock.connect_to([Addrinfo.tcp("127.0.0.1", 7099)]) }
    assert_equal ["127.0.0.1"], error.attempts.map { |attempt| attempt.address.ip_address }
    assert_raises(*timeout_classes) { HappySock.connect_to([dead], connect_timeout: 0.05) }
    assert_raises(ArgumentError) { HappySock.connect_to([]) }
    assert_raises(ArgumentError) { HappySock.connect_to([Addrinfo.unix("/nowhere")]) }
    assert_raises(NoMethodError) { HappySock.connect_to(["127.0.0.1"]) }
  end

  # In a process of its own: what it replaces stays replaced.
  def test_resolv
    output = run_ruby(<<~'RUBY', silent_name, PORT)
      calls = [
        -> { Addrinfo.getaddrinfo("dual.test", 80, nil, :STREAM).map(&:inspect_sockaddr) },
        -> { Addrinfo.foreach("four.test", 80, nil, :STREAM).map(&:inspect_sockaddr) },
        -> { [Addrinfo.tcp("four.test", 80), Addrinfo.udp("four.test", 80), Addrinfo.ip("four.test")].map { |info|
          [info.inspect_sockaddr, info.socktype, info.protocol, info.pfamily] } },
        -> { Socket.getaddrinfo("dual.test", 80, nil, :STREAM) },
        -> { Socket.getaddrinfo("dual.test", "http", Socket::AF_INET, :STREAM, nil, nil, false) },
        -> { IPSocket.getaddress("four.test") },
        -> { Addrinfo.getaddrinfo("missing.test", 80) },
        -> { IPSocket.getaddress("missing.test") },
      ]
      outcomes = -> { calls.map { |call| call.call rescue [$!.class, $!.message] } }
      before = outcomes.call
      require "happysock/resolv"
      after = outcomes.call
      before.zip(after) { |stock, ours| p stock, ours if stock != ours }
      start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      begin
        Addrinfo.getaddrinfo(ARGV[0], 80, timeout: 0.05)
      rescue SystemCallError, IOError
        p Process.clock_gettime(Process::CLOCK_MONOTONIC) - start < 5
      end
    RUBY
    assert_equal "true\n", output
  end
end
