# Prints what each failing connect raises: one line of JSON a case. test_exceptions.rb runs it with the stock socket
# library and with ours.

require "json"
require "socket"
require "timeout"

port = Integer(ENV.fetch("LAB_PORT"))

cases = {
  "refused, name" => -> { TCPSocket.new("localhost", 7099) },
  "refused, literal" => -> { TCPSocket.new("127.0.0.1", 7099) },
  "refused, string port" => -> { TCPSocket.new("127.0.0.1", "7099") },
  "refused, remote name" => -> { TCPSocket.new("refused.test", port) },
  "no such name" => -> { TCPSocket.new("missing.test", 80) },
  "servfail" => -> { TCPSocket.new("servfail.test", 80) },
  "refused by the name server" => -> { TCPSocket.new("refuser.test", 80) },
  "no data" => -> { TCPSocket.new("nodata.test", 80) },
  "connect_timeout, one dead address" => -> { TCPSocket.new("dead4.test", port, connect_timeout: 0.1) },
  "connect_timeout, dead literal" => -> { TCPSocket.new("203.0.113.66", port, connect_timeout: 0.1) },
  "connect_timeout, two dead addresses" => -> { TCPSocket.new("dead.test", port, connect_timeout: 0.1) },
  "negative connect_timeout" => -> { TCPSocket.new("127.0.0.1", 7099, connect_timeout: -1) },
  "connect_timeout of a wrong class" => -> { TCPSocket.new("127.0.0.1", 7099, connect_timeout: "soon") },
  "unknown service" => -> { TCPSocket.new("localhost", "nosuchservice") },
  "port -1" => -> { TCPSocket.new("localhost", -1) },
  "NUL in the host" => -> { TCPSocket.new("local\0host", 80) },
  "NUL in the port" => -> { TCPSocket.new("localhost", "8\0") },
  "newline after the host" => -> { TCPSocket.new("localhost\n", 80) },
  "host of 300 characters" => -> { TCPSocket.new("h" * 300, 80) },
  "host of 1100 characters" => -> { TCPSocket.new("h" * 1100, 80) },
  "port of 100 characters" => -> { TCPSocket.new("localhost", "p" * 100) },
  "host of a wrong class" => -> { TCPSocket.new([], 80) },
  "local address of another machine" => -> { TCPSocket.new("four.test", port, "198.18.0.1", 0) },
  "local address of the other family" => -> { TCPSocket.new("203.0.113.1", port, "::1", 0) },
  "local name that does not exist" => -> { TCPSocket.new("localhost", 7099, "missing.test", 0) },
  "too few arguments" => -> { TCPSocket.new("localhost") },
  "unknown keyword" => -> { TCPSocket.new("localhost", 7099, unknown: 1) },
  "server, address of another machine" => -> { TCPServer.new("198.18.0.1", 0) },
  "server, no such name" => -> { TCPServer.new("missing.test", 0) },
}
if RUBY_VERSION >= "3.4"
  cases.merge!(
    "plain, refused" => -> { TCPSocket.new("localhost", 7099, fast_fallback: false) },
    "plain, no such name" => -> { TCPSocket.new("missing.test", 80, fast_fallback: false) },
    "plain, newline after the host" => -> { TCPSocket.new("localhost\n", 80, fast_fallback: false) },
    "plain, connect_timeout" => -> { TCPSocket.new("dead4.test", port, connect_timeout: 0.1, fast_fallback: false) },
    "resolv_timeout" => -> { TCPSocket.new("silent.test", 80, resolv_timeout: 0.1) },
    "failure of one lookup, then of the connect" => lambda {
      TCPSocket.new("localhost", 7099, test_mode_settings: { error: { ipv6: Socket::EAI_FAIL }, delay: { ipv4: 50 } })
    },
    "failure of the connect, then of one lookup" => lambda {
      TCPSocket.new("localhost", 7099, test_mode_settings: { error: { ipv4: Socket::EAI_FAIL }, delay: { ipv4: 50 } })
    },
    "failure of both lookups" => lambda {
      errors = { ipv4: Socket::EAI_FAIL, ipv6: Socket::EAI_AGAIN }
      TCPSocket.new("localhost", 7099, test_mode_settings: { error: errors, delay: { ipv4: 50 } })
    },
    "failure of both lookups, the other way round" => lambda {
      errors = { ipv4: Socket::EAI_FAIL, ipv6: Socket::EAI_AGAIN }
      TCPSocket.new("localhost", 7099, test_mode_settings: { error: errors, delay: { ipv6: 50 } })
    },
  )
end
if RUBY_VERSION >= "4.0"
  cases.merge!(
    "open_timeout, lookup" => -> { TCPSocket.new("silent.test", 80, open_timeout: 0.1) },
    "open_timeout, connect" => -> { TCPSocket.new("dead.test", port, open_timeout: 0.1) },
    "plain, resolv_timeout" => -> { TCPSocket.new("silent.test", 80, resolv_timeout: 0.1, fast_fallback: false) },
    "open_timeout with connect_timeout" => -> { TCPSocket.new("localhost", 7099, open_timeout: 1, connect_timeout: 1) },
  )
end

# The stock 3.4.0 crashes here.
cases["neither host nor port"] = -> { TCPSocket.new(nil, nil) } unless RUBY_VERSION.start_with?("3.4")

$stdout.sync = true
cases.each do |name, call|
  begin
    Timeout.timeout(20) { call.call.close }
    outcome = { class: nil, message: "connected" }
  rescue Exception => error
    outcome = { class: error.class.name, message: error.message }
    outcome[:error_code] = error.error_code if error.respond_to?(:error_code)
  end
  puts JSON.generate({ case: name, **outcome })
end
