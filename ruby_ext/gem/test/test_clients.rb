require "helper"
require "net/http"
require "open-uri"
require "happysock/tcp_socket"

# With happysock/tcp_socket, clients that know nothing of it reach a local server whose name has an IPv6 address that
# does not answer.
class TestClients < Minitest::Test
  include Helper

  # Not a loopback address: those are connected to without a delay, and there would be no race to see.
  HOST = "local.test"
  HOST_ADDRESS = "192.0.2.77"

  # Says which host was asked for, over HTTP.
  def with_http_server
    server = TCPServer.new(HOST_ADDRESS, 0)
    thread = Thread.new do
      loop do
        Thread.new(server.accept) do |peer|
          request = peer.gets("\r\n\r\n") or next
          body = "#{request[/^GET (\S+)/, 1]} at #{request[/^host: (\S+)/i, 1]}"
          peer.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: #{body.bytesize}\r\n" \
                     "Connection: close\r\n\r\n#{body}")
        ensure
          peer.close
        end
      end
    end
    yield server.addr[1]
  ensure
    thread&.kill
    server&.close
  end

  def traced
    steps = []
    before = HappySock.trace { |step| steps << step }
    yield
    steps
  ensure
    HappySock.trace(before)
  end

  def assert_raced(steps)
    started = steps.select { |step| step[:name] == :attempt_started }.map { |step| step[:address].ip_address }
    assert_equal ["2001:db8:2::66", HOST_ADDRESS], started
  end

  def test_net_http
    with_http_server do |port|
      body = nil
      assert_raced(traced { body = Net::HTTP.get(URI("http://#{HOST}:#{port}/one")) })
      assert_equal "/one at #{HOST}:#{port}", body
    end
  end

  def test_net_http_with_limits
    with_http_server do |port|
      http = Net::HTTP.new(HOST, port)
      http.open_timeout = 5
      assert_raced(traced { assert_equal "200", http.start { |session| session.get("/two").code } })
    end
    http = Net::HTTP.new("dead.test", PORT)
    http.open_timeout = 0.1
    http.max_retries = 0
    assert_at_once { assert_raises(Net::OpenTimeout) { http.start } }
  end

  def test_open_uri
    with_http_server do |port|
      body = nil
      assert_raced(traced { body = URI.parse("http://#{HOST}:#{port}/three").open(&:read) })
      assert_equal "/three at #{HOST}:#{port}", body
    end
  end

  # The client of a server that is no web server. (The Redis client 4 and libpq connect by themselves, not through
  # TCPSocket.)
  def test_memcached
    begin
      require "dalli"
    rescue LoadError
      skip "no memcached client here"
    end
    skip "no memcached here" unless system("command -v memcached >/dev/null")
    with_memcached do |port|
      value = nil
      steps = traced do
        client = Dalli::Client.new("#{HOST}:#{port}", socket_timeout: 5)
        client.set("name", "happysock")
        value = client.get("name")
        client.close
      end
      assert_raced(steps)
      assert_equal "happysock", value
    end
  end

  def test_socket_tcp
    with_http_server do |port|
      steps = traced do
        Socket.tcp(HOST, port) do |socket|
          assert_instance_of Socket, socket
          assert_equal HOST_ADDRESS, socket.remote_address.ip_address
        end
      end
      assert_raced(steps)
    end
    error = assert_raises(Errno::ECONNREFUSED) { Socket.tcp("127.0.0.1", 7099) }
    assert_equal "Connection refused - connect(2) for 127.0.0.1:7099", error.message
    assert_raises(SocketError) { Socket.tcp("missing.test", 80) }
    assert_raises(*timeout_classes) { Socket.tcp("dead.test", PORT, connect_timeout: 0.05) }
    assert_raises(ArgumentError) { Socket.tcp("127.0.0.1", 7099, surprise: 1) }
  end

  private

  def with_memcached
    port = TCPServer.open(HOST_ADDRESS, 0) { |server| server.addr[1] }
    user = Process.uid.zero? ? %w[-u root] : []
    server = Process.spawn("memcached", "-l", HOST_ADDRESS, "-p", port.to_s, "-t", "1", *user)
    wait_until do
      Socket.tcp(HOST_ADDRESS, port, &:close)
      true
    rescue Errno::ECONNREFUSED
      false
    end
    yield port
  ensure
    Process.kill(:TERM, server) && Process.wait(server) if server
  end
end
