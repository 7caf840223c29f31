# Prints what each connect of a long list raises: one line of JSON a case. test_exceptions.rb runs it with the stock socket
# library and with ours.
#
# Every case is put to TCPSocket.new and then to Socket.tcp, but for those that only one of them takes.

require "json"
require "socket"
require "timeout"

PORT = Integer(ENV.fetch("LAB_PORT"))
# Nobody listens here.
CLOSED = 7099
# Bound to by somebody else.
TAKEN = 7098
# Most of what the cases do is wait. From 3.4 on the stock library closes descriptors that belong to other threads by then
# (its Socket.tcp gives up a lookup), so there they wait one after the other.
AT_A_TIME = RUBY_VERSION < "3.4" ? 8 : 1
# What takes longer has no limit.
LONG = 3

# name => the arguments, and the options after them.
CONNECTS = {
  "refused, name" => ["localhost", CLOSED],
  "refused, literal" => ["127.0.0.1", CLOSED],
  "refused, IPv6 literal" => ["::1", CLOSED],
  "refused, string port" => ["127.0.0.1", CLOSED.to_s],
  "refused, remote name" => ["refused.test", PORT],
  "refused, an Integer as host" => [0x7f000001, CLOSED],
  "refused, empty host" => ["", CLOSED],
  "refused, no host" => [nil, CLOSED],
  "refused, from a local address" => ["refused.test", PORT, "192.0.2.77", 0],
  "no such name" => ["missing.test", 80],
  "no such name, from a local address" => ["missing.test", 80, "192.0.2.77", 0],
  "servfail" => ["servfail.test", 80],
  "refused by the name server" => ["refuser.test", 80],
  "no data" => ["nodata.test", 80],
  "scope that does not exist" => ["fe80::1%nosuch", CLOSED],
  "brackets around a literal" => ["[::1]", CLOSED],
  "connect_timeout, one dead address" => ["dead4.test", PORT, { connect_timeout: 0.1 }],
  "connect_timeout, dead literal" => ["203.0.113.66", PORT, { connect_timeout: 0.1 }],
  "connect_timeout, dead IPv6 literal" => ["2001:db8:2::66", PORT, { connect_timeout: 0.1 }],
  "connect_timeout, two dead addresses" => ["dead.test", PORT, { connect_timeout: 0.1 }],
  "connect_timeout, two dead addresses, from a local one" =>
    ["dead.test", PORT, "192.0.2.77", 0, { connect_timeout: 0.1 }],
  "connect_timeout of 0, two dead addresses" => ["dead.test", PORT, { connect_timeout: 0 }],
  "connect_timeout of 0, dead literal" => ["203.0.113.66", PORT, { connect_timeout: 0 }],
  "negative connect_timeout" => ["127.0.0.1", CLOSED, { connect_timeout: -1 }],
  "connect_timeout of a wrong class" => ["127.0.0.1", CLOSED, { connect_timeout: "soon" }],
  "connect_timeout of Infinity, name" => ["refused.test", PORT, { connect_timeout: Float::INFINITY }],
  "connect_timeout of NaN, name" => ["refused.test", PORT, { connect_timeout: Float::NAN }],
  "connect_timeout of 1e300, name" => ["refused.test", PORT, { connect_timeout: 1e300 }],
  "connect_timeout of a million years" => ["refused.test", PORT, { connect_timeout: 1_000_000 * 366 * 86_400 }],
  "resolv_timeout of Infinity" => ["refused.test", PORT, { resolv_timeout: Float::INFINITY }],
  "resolv_timeout of NaN" => ["refused.test", PORT, { resolv_timeout: Float::NAN }],
  "resolv_timeout of 1e300" => ["refused.test", PORT, { resolv_timeout: 1e300 }],
  "resolv_timeout of a wrong class" => ["refused.test", PORT, { resolv_timeout: "soon" }],
  "negative resolv_timeout" => ["refused.test", PORT, { resolv_timeout: -1 }],
  "unknown service" => ["localhost", "nosuchservice"],
  "no port" => ["localhost", nil],
  "port -1" => ["localhost", -1],
  "port 70000" => ["localhost", 70_000],
  "port 70000 as a string" => ["localhost", "70000"],
  "a Bignum as port" => ["localhost", 2**70],
  "a Float as port" => ["localhost", 80.5],
  "a blank before the port" => ["loopback4.test", " #{CLOSED}"],
  "a blank before the port of a literal" => ["127.0.0.1", " #{CLOSED}"],
  "a blank after the port" => ["loopback4.test", "#{CLOSED} "],
  "a newline before the port" => ["loopback4.test", "\n#{CLOSED}"],
  "a plus before the port" => ["loopback4.test", "+#{CLOSED}"],
  "a zero before the port" => ["loopback4.test", "0#{CLOSED}"],
  "an empty port" => ["loopback4.test", ""],
  "NUL in the host" => ["local\0host", 80],
  "NUL in the port" => ["localhost", "8\0"],
  "newline after the host" => ["localhost\n", 80],
  "a blank in the host" => ["local host", 80],
  "host of 300 characters" => ["h" * 300, 80],
  "host of 1100 characters" => ["h" * 1100, 80],
  "port of 100 characters" => ["localhost", "p" * 100],
  "host of a wrong class" => [[], 80],
  "port of a wrong class" => ["localhost", []],
  "local address of another machine" => ["four.test", PORT, "198.18.0.1", 0],
  "local address of another machine, a literal" => ["203.0.113.1", PORT, "198.18.0.1", 0],
  "local address of the other family" => ["203.0.113.1", PORT, "::1", 0],
  "local address of the other family, a name" => ["four.test", PORT, "::1", 0],
  "local name that does not exist" => ["localhost", CLOSED, "missing.test", 0],
  "local service that does not exist" => ["localhost", CLOSED, "127.0.0.1", "nosuchservice"],
  "local port 70000" => ["127.0.0.1", CLOSED, "127.0.0.1", 70_000],
  "local port that is taken" => ["four.test", PORT, "192.0.2.77", TAKEN],
  "local port alone" => ["127.0.0.1", CLOSED, nil, 0],
  "too few arguments" => ["localhost"],
  "unknown keyword" => ["localhost", CLOSED, { unknown: 1 }],
}

# What came with 3.4: the race, and limits on lookups that hold.
RACES = {
  "plain, refused" => ["localhost", CLOSED, { fast_fallback: false }],
  "plain, no such name" => ["missing.test", 80, { fast_fallback: false }],
  "plain, newline after the host" => ["localhost\n", 80, { fast_fallback: false }],
  "plain, connect_timeout" => ["dead4.test", PORT, { connect_timeout: 0.1, fast_fallback: false }],
  "plain, connect_timeout, two dead addresses" => ["dead.test", PORT, { connect_timeout: 0.1, fast_fallback: false }],
  "plain, local address of another machine" => ["four.test", PORT, "198.18.0.1", 0, { fast_fallback: false }],
  "plain, local address of the other family" => ["four.test", PORT, "::1", 0, { fast_fallback: false }],
  "resolv_timeout" => ["silent.test", 80, { resolv_timeout: 0.1 }],
}

# What came with 4.0.
OPEN_TIMEOUTS = {
  "open_timeout, lookup" => ["silent.test", 80, { open_timeout: 0.1 }],
  "open_timeout, two dead addresses" => ["dead.test", PORT, { open_timeout: 0.1 }],
  "open_timeout, one dead address" => ["dead4.test", PORT, { open_timeout: 0.1 }],
  "open_timeout, dead literal" => ["203.0.113.66", PORT, { open_timeout: 0.1 }],
  "open_timeout, dead IPv6 literal" => ["2001:db8:2::66", PORT, { open_timeout: 0.1 }],
  "open_timeout, one dead address, from a local one" => ["dead4.test", PORT, "192.0.2.77", 0, { open_timeout: 0.1 }],
  "open_timeout of 0, literal" => ["203.0.113.66", PORT, { open_timeout: 0 }],
  "open_timeout of Infinity" => ["refused.test", PORT, { open_timeout: Float::INFINITY }],
  "open_timeout of NaN" => ["refused.test", PORT, { open_timeout: Float::NAN }],
  "open_timeout of 1e300" => ["refused.test", PORT, { open_timeout: 1e300 }],
  "negative open_timeout" => ["refused.test", PORT, { open_timeout: -1 }],
  "open_timeout of a wrong class" => ["refused.test", PORT, { open_timeout: "soon" }],
  "plain, resolv_timeout" => ["silent.test", 80, { resolv_timeout: 0.1, fast_fallback: false }],
  "plain, open_timeout, lookup" => ["silent.test", 80, { open_timeout: 0.1, fast_fallback: false }],
  "plain, open_timeout, one dead address" => ["dead4.test", PORT, { open_timeout: 0.1, fast_fallback: false }],
  "plain, open_timeout, two dead addresses" => ["dead.test", PORT, { open_timeout: 0.1, fast_fallback: false }],
  "open_timeout with connect_timeout" => ["localhost", CLOSED, { open_timeout: 1, connect_timeout: 1 }],
}

# test_mode_settings are an option of TCPSocket.new alone.
def failures_of_lookups
  both = { ipv4: Socket::EAI_FAIL, ipv6: Socket::EAI_AGAIN }
  {
    "failure of one lookup, then of the connect" => { error: { ipv6: Socket::EAI_FAIL }, delay: { ipv4: 50 } },
    "failure of the connect, then of one lookup" => { error: { ipv4: Socket::EAI_FAIL }, delay: { ipv4: 50 } },
    "failure of both lookups" => { error: both, delay: { ipv4: 50 } },
    "failure of both lookups, the other way round" => { error: both, delay: { ipv6: 50 } },
  }
end

# Groups of calls that follow each other, by name.
def cases
  connects = CONNECTS
  connects = connects.merge(RACES) if RUBY_VERSION >= "3.4"
  connects = connects.merge(OPEN_TIMEOUTS) if RUBY_VERSION >= "4.0"
  all = connects.map do |name, given|
    options = given.last.is_a?(Hash) ? given.last : {}
    arguments = given.last.is_a?(Hash) ? given[0..-2] : given
    { "TCPSocket.new: #{name}" => -> { TCPSocket.new(*arguments, **options) },
      "Socket.tcp: #{name}" => -> { Socket.tcp(*arguments, **options) } }
  end
  if RUBY_VERSION >= "3.4"
    all += failures_of_lookups.map do |name, settings|
      { "TCPSocket.new: #{name}" => -> { TCPSocket.new("localhost", CLOSED, test_mode_settings: settings) } }
    end
  end
  all << { "TCPServer.new: address of another machine" => -> { TCPServer.new("198.18.0.1", 0) },
           "TCPServer.new: no such name" => -> { TCPServer.new("missing.test", 0) } }
  # The stock 3.4.0 crashes here.
  all << { "TCPSocket.new: neither host nor port" => -> { TCPSocket.new(nil, nil) } } unless RUBY_VERSION.start_with?("3.4")
  all
end

def outcome(call)
  Timeout.timeout(LONG) { call.call.close }
  { class: nil, message: "connected" }
rescue Exception => error
  outcome = { class: error.class.name, message: error.message.scrub }
  outcome[:error_code] = error.error_code if error.respond_to?(:error_code)
  outcome
end

taken = Addrinfo.tcp("192.0.2.77", TAKEN).bind
taken.listen(1)
queue = Thread::Queue.new
cases.each { |calls| queue << calls }
queue.close
lock = Thread::Mutex.new
$stdout.sync = true
workers = Array.new(AT_A_TIME) do
  Thread.new do
    while (calls = queue.pop)
      calls.each do |name, call|
        line = JSON.generate({ case: name, **outcome(call) })
        lock.synchronize { puts line }
      end
    end
  end
end
workers.each(&:join)
