require "fcntl"
require "helper"

# What a connect gives, and what it leaves behind when it gives none.
class TestSockets < Minitest::Test
  include Helper

  def test_the_socket
    TCPSocket.open("dual.test", PORT) do |socket|
      assert_instance_of TCPSocket, socket
      assert_equal Fcntl::O_NONBLOCK, socket.fcntl(Fcntl::F_GETFL) & Fcntl::O_NONBLOCK
      assert_predicate socket, :close_on_exec?
      assert_equal 0, socket.getsockopt(:SOCKET, :ERROR).int
      assert_predicate socket, :binmode?
      assert_predicate socket, :sync
      assert_equal BasicSocket.do_not_reverse_lookup, socket.do_not_reverse_lookup
      line = socket.gets
      assert_equal "2001:db8:2::1 #{PORT}\n", line
      assert_equal Encoding::BINARY, line.encoding
      assert_match(/\A#<TCPSocket:fd #{socket.fileno}, AF_INET6, 2001:db8:1::77, \d+>\z/, socket.inspect)
      assert_equal ["AF_INET6", PORT, "2001:db8:2::1", "2001:db8:2::1"], socket.peeraddr(false)
      assert_equal ["AF_INET6", "2001:db8:1::77"], socket.addr(:numeric).values_at(0, 3)
    end
  end

  def test_it_talks_both_ways
    server = TCPServer.new("localhost", 0)
    echo = Thread.new { server.accept.then { |peer| peer.write(peer.gets) && peer.close } }
    TCPSocket.open("localhost", server.addr[1]) do |socket|
      socket.puts "there and back"
      socket.close_write
      assert_equal "there and back\n", socket.read
    end
    echo.join
  ensure
    server&.close
  end

  def test_a_subclass
    subclass = Class.new(TCPSocket) do
      attr_reader :note

      def initialize(host, note)
        @note = note
        super(host, Helper::PORT)
      end
    end
    subclass.new("dual.test", "mine").then do |socket|
      assert_equal "mine", socket.note
      assert_equal PORT, socket.peeraddr(false)[1]
      socket.close
    end
  end

  def test_a_dead_ipv6_costs_one_attempt_delay
    taken = seconds { assert_equal "203.0.113.1", reached("dead6.test") }
    assert_took 0.25, taken
  end

  def test_a_silent_aaaa_costs_the_resolution_delay
    taken = seconds { assert_equal "203.0.113.1", reached("half.test") }
    assert_operator taken, :<, AT_ONCE
  end

  def test_hosts_and_ports_of_all_kinds
    hosts = [["203.0.113.1", PORT], ["203.0.113.1", PORT.to_s], ["2001:db8:2::1", PORT], [0xcb007101, PORT]]
    hosts.each do |host, port|
      TCPSocket.open(host, port) { |socket| assert_equal PORT, socket.peeraddr(false)[1] }
    end
    server = TCPServer.new("127.0.0.1", 0)
    [nil, "", "<any>", "loopback4.test"].each do |host|
      TCPSocket.open(host, server.addr[1]) { |socket| assert_equal "127.0.0.1", socket.peeraddr(false)[3] }
    end
  ensure
    server&.close
  end

  def test_a_local_address
    TCPSocket.open("dual.test", PORT, "192.0.2.77", 0) { |socket| assert_equal "192.0.2.77", socket.addr(false)[3] }
    TCPSocket.open("dual.test", PORT, "2001:db8:1::77") do |socket|
      assert_equal "2001:db8:1::77", socket.addr(false)[3]
    end
    fixed = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
    TCPSocket.open("dual.test", PORT, "192.0.2.77", fixed) { |socket| assert_equal fixed, socket.addr(false)[1] }
  end

  def test_a_port_out_of_range
    [70_000, 65_536, "70000", -1].each do |port|
      error = assert_raises(SocketError) { TCPSocket.new("127.0.0.1", port) }
      assert_match(/Servname not supported/, error.message)
    end
  end

  def test_a_limit_of_zero_is_over_at_once
    assert_at_once { assert_raises(*timeout_classes) { TCPSocket.new("203.0.113.66", PORT, connect_timeout: 0) } }
    assert_at_once { assert_raises(*timeout_classes) { TCPSocket.new("dead.test", PORT, connect_timeout: 0) } }
    assert_at_once { assert_raises(*timeout_classes) { TCPSocket.new(silent_name, PORT, resolv_timeout: 0) } }
    return if RUBY_VERSION < "4.0" && WAY != "gem"

    assert_at_once { assert_raises(*timeout_classes) { TCPSocket.new(silent_name, PORT, open_timeout: 0) } }
    assert_at_once { assert_raises(*timeout_classes) { TCPSocket.new("203.0.113.66", PORT, open_timeout: 0) } }
  end

  def test_limits_hold_on_every_version
    { silent_name => { resolv_timeout: 0.2 }, "203.0.113.66" => { connect_timeout: 0.2 } }.each do |host, limit|
      taken = seconds { assert_raises(*timeout_classes) { TCPSocket.new(host, PORT, **limit) } }
      assert_took 0.2, taken
    end
  end

  def test_attempts_of_an_exception
    error = assert_raises(Errno::ECONNREFUSED) { TCPSocket.new("refused.test", PORT) }
    assert_equal %w[2001:db8:2::9 203.0.113.9], error.attempts.map { |attempt| attempt.address.ip_address }
    assert_equal [PORT] * 2, error.attempts.map { |attempt| attempt.address.ip_port }
    assert_equal %i[failed failed], error.attempts.map(&:outcome)
    assert_equal [Errno::ECONNREFUSED] * 2, error.attempts.map { |attempt| attempt.error.class }
    error.attempts.each { |attempt| assert_operator 0.0, :<=, attempt.started_at }
    error.attempts.each { |attempt| assert_operator attempt.started_at, :<=, attempt.ended_at }

    error = assert_raises(*timeout_classes) { TCPSocket.new("dead.test", PORT, connect_timeout: 0.05) }
    assert_equal %i[timed_out timed_out], error.attempts.map(&:outcome)
    assert_empty assert_raises(SocketError) { TCPSocket.new("missing.test", 80) }.attempts
  end

  def test_nothing_is_left_open
    failures = {
      "refused.test" => {}, "missing.test" => {}, "servfail.test" => {}, "127.0.0.1" => {},
      "dead.test" => { connect_timeout: 0.02 }, "203.0.113.66" => { connect_timeout: 0.02 },
      silent_name => { resolv_timeout: 0.02 }
    }
    fail_all = lambda do
      failures.each do |host, options|
        assert_raises(SystemCallError, SocketError, *timeout_classes) { TCPSocket.new(host, 7099, **options) }
      end
      assert_raises(Errno::EADDRNOTAVAIL) { TCPSocket.new("dual.test", PORT, "198.18.0.1", 0) }
      assert_raises(Timeout::Error) { Timeout.timeout(0.02) { TCPSocket.new("dead.test", PORT) } }
    end
    fail_all.call
    GC.start
    before = descriptors
    10.times { fail_all.call }
    assert_operator descriptors, :<=, before + 2
  end

  def test_servers_are_as_ever
    server = TCPServer.new("localhost", 0)
    assert_equal 1, server.getsockopt(:SOCKET, :REUSEADDR).int
    assert_predicate server, :close_on_exec?
    again = TCPServer.new(server.addr[3], server.addr[1]) rescue $!
    assert_instance_of Errno::EADDRINUSE, again
    assert_match(/\AAddress already in use - bind\(2\) for "#{server.addr[3]}" port #{server.addr[1]}\z/, again.message)
  ensure
    server&.close
  end
end
