require "ipaddr"
require "minitest/autorun"
require "socket"

# SOCKSSocket of a socket library that was built with --enable-socks, through a proxy in this process: that it answers shows that
# the connect has let go of the GVL.
class TestSocks < Minitest::Test
  # SOCKS 5 (RFC 1928). `reply` answers a Symbol for the address and the port that are asked for; where that is :granted, what
  # the client sends comes back.
  class Proxy
    REPLIES = { granted: 0, network_unreachable: 3, refused: 5 }.freeze

    attr_reader :asked

    def initialize(&reply)
      @reply = reply
      @asked = []
      @server = TCPServer.new("127.0.0.1", 0)
      @thread = Thread.new { loop { serve(@server.accept) } }
      ENV["SOCKS_SERVER"] = "127.0.0.1:#{@server.addr[1]}"
    end

    def close
      @thread.kill.join
      @server.close
    end

    private

    def serve(client)
      client.read(client.read(2).getbyte(1))
      client.write([5, 0].pack("CC"))
      length = { 1 => 4, 4 => 16 }.fetch(client.read(4).getbyte(3))
      address = [IPAddr.new_ntoh(client.read(length)).to_s, client.read(2).unpack1("n")]
      @asked << address
      reply = @reply.call(*address)
      client.write([5, REPLIES.fetch(reply), 0, 1, 0, 0].pack("CCCCNn"))
      client.write(client.readpartial(100)) if reply == :granted
    ensure
      client.close
    end
  end

  def teardown
    @proxy&.close
  end

  # No packet for this address would be answered.
  def test_what_only_the_proxy_reaches
    @proxy = Proxy.new { :granted }
    SOCKSSocket.open("192.0.2.1", 7) do |socket|
      assert_instance_of SOCKSSocket, socket
      socket.write("through")
      assert_equal "through", socket.read
    end
    assert_equal [["192.0.2.1", 7]], @proxy.asked
  end

  def test_the_next_address_where_one_fails
    @proxy = Proxy.new { |address, _| address == "::1" ? :network_unreachable : :granted }
    SOCKSSocket.open("localhost", 7) { |socket| socket.write("x"); assert_equal "x", socket.read }
    assert_equal [["::1", 7], ["127.0.0.1", 7]], @proxy.asked.uniq
  end

  def test_nobody_is_reached
    @proxy = Proxy.new { :refused }
    before = Dir.children("/proc/self/fd").size
    error = assert_raises(Errno::ECONNREFUSED) { SOCKSSocket.new("localhost", 7) }
    assert_equal 'Connection refused - connect(2) for "localhost" port 7', error.message
    # The proxy closes its end on its own thread.
    Thread.pass until Dir.children("/proc/self/fd").size == before
  end

  def test_other_clients_do_without
    @proxy = Proxy.new { :granted }
    server = TCPServer.new("127.0.0.1", 0)
    TCPSocket.new("localhost", server.addr[1]).close
    assert_empty @proxy.asked
  ensure
    server&.close
  end
end
