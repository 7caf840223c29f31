# frozen_string_literal: true

require "socket"
require_relative "happysock/version"
# The precompiled gem has a file for each version of Ruby.
native = "happysock/#{RUBY_VERSION[/\A\d+\.\d+/]}/happysock"
require File.exist?("#{__dir__}/#{native}.so") ? native : "happysock/happysock"

# Connects to hosts by name: Happy Eyeballs (RFC 8305), and lookups that can be interrupted.
#
# Waiting can be ended by Thread#raise, Thread#kill, Timeout.timeout and signals at any time, whatever a lookup is
# doing; other threads run meanwhile, and under a fiber scheduler other fibers do.
#
#   require "happysock"
#
#   HappySock.tcp("example.com", 80, open_timeout: 5) do |socket|
#     socket.write("HEAD / HTTP/1.0\r\n\r\n")
#     puts socket.read
#   end
module HappySock
  # The options of every version of TCPSocket.new and Socket.tcp, and those of HappySock.tcp.
  OPTIONS = %i[resolv_timeout connect_timeout open_timeout fast_fallback resolution_delay connection_attempt_delay trace
               test_mode_settings].freeze
  private_constant :Native, :OPTIONS

  class << self
    # Connects to +host+ and +port+ and returns a TCPSocket, or yields it and closes it after the block.
    #
    # Both address families are looked up at once, and connection attempts are started one after the other without
    # waiting for the ones before to fail; the first to succeed wins.
    #
    # host, port:: as TCPSocket.new takes them
    # local_host, local_port:: the local address to bind to
    # resolv_timeout:: limit for the lookups, in seconds from the start
    # connect_timeout:: limit for connecting, in seconds from the start of the last address' attempt
    # open_timeout:: limit over everything; not together with the other two
    # fast_fallback:: +false+ tries one address after the other, in the system's order
    # resolution_delay:: how long an IPv4 answer waits for the IPv6 answer, in seconds (RFC 8305, section 3)
    # connection_attempt_delay:: the time between two attempts, in seconds, held within 0.01 to 2 (RFC 8305, section 5)
    # trace:: called with each step of the race, see ::trace
    #
    # Raises what TCPSocket.new of the running Ruby raises: SystemCallError, Socket::ResolutionError (SocketError before
    # 3.3),
    # IO::TimeoutError (Errno::ETIMEDOUT before 4.0), ArgumentError. The exception answers +attempts+: an array of
    # HappySock::Attempt, a Struct of the +address+ (an Addrinfo), the +outcome+ (+:connected+, +:failed+, +:timed_out+ or
    # +:abandoned+), the +error+ (a SystemCallError or +nil+), the +syscall+ that failed, and +started_at+ and +ended_at+ in
    # seconds since the connect began.
    def tcp(host, port, local_host = nil, local_port = nil, resolv_timeout: nil, connect_timeout: nil,
            open_timeout: nil, fast_fallback: nil, resolution_delay: nil, connection_attempt_delay: nil, trace: nil)
      socket = connect(TCPSocket.allocate, host, port, local_host, local_port,
                       resolv_timeout: resolv_timeout, connect_timeout: connect_timeout, open_timeout: open_timeout,
                       fast_fallback: fast_fallback, resolution_delay: resolution_delay,
                       connection_attempt_delay: connection_attempt_delay, trace: trace)
      return socket unless block_given?

      begin
        yield socket
      ensure
        socket.close
      end
    end

    # Looks +host+ and +service+ up and returns an array of Addrinfo. Takes what Addrinfo.getaddrinfo takes.
    #
    # A canonical name (AI_CANONNAME) is not kept.
    #
    # timeout:: limit in seconds; IO::TimeoutError (Errno::ETIMEDOUT before 4.0) when it is over
    #
    #   HappySock.getaddrinfo("example.com", 80, :INET6, :STREAM, timeout: 2)
    def getaddrinfo(host, service, family = nil, socktype = nil, protocol = nil, flags = nil, timeout: nil)
      found = Native.lookup(host, service, constant(family, "AF_", "PF_"), constant(socktype, "SOCK_"), protocol || 0,
                            flags || 0, timeout)
      found.map { |sockaddr, pfamily, type, number| Addrinfo.new(sockaddr, pfamily, type, number) }
    end

    # Has each step of each race given to the block or to +tracer+ (which answers +call+) when the race is over; +nil+
    # ends it. Returns the tracer before.
    #
    # A step is a frozen Hash with +:name+, +:time+ (seconds since the race began), +:host+, +:port+, and as the name
    # has it +:family+, +:address+, +:attempt+, +:outcome+, +:error+, +:count+, +:delay+ and +:status+. The names are
    # +:lookup_started+, +:lookup_answered+, +:lookup_abandoned+, +:lookup_hastened+, +:resolution_delay_started+,
    # +:resolution_delay_expired+, +:candidate_added+, +:candidate_dropped+, +:attempt_started+, +:attempt_ended+,
    # +:next_attempt_timer_set+, +:next_attempt_timer_fired+ and +:finished+.
    #
    #   HappySock.trace { |step| p step }
    #
    # Races in a Ractor other than the main one are given to the +trace+ argument of ::tcp alone.
    def trace(tracer = nil, &block)
      before = @tracer
      @tracer = tracer || block
      before
    end

    # Writes each race to +logger+, which is a Logger or answers to +level+ with a String: one line a step.
    #
    #   HappySock.log(Logger.new($stderr))
    def log(logger, level = :debug)
      trace { |step| logger.public_send(level, format_step(step)) }
    end

    # One line for a step of a race, such as
    # <tt>example.com:80 +0.3ms attempt_started #0 [2001:db8::1]:80</tt>.
    def format_step(step)
      words = ["#{step[:host]}:#{step[:port]}", format("+%.1fms", step[:time] * 1000), step[:name]]
      words << step[:family] if step[:family] && !step[:address]
      words << "##{step[:attempt]}" if step[:attempt]
      words << step[:address].inspect_sockaddr if step[:address]
      words << "#{step[:count]} addresses" if step[:count] && !step[:error]
      words << format("%.0fms", step[:delay] * 1000) if step[:delay]
      words << step[:outcome] if step[:outcome]
      words << step[:status] if step[:status]
      words << "(#{step[:error].message})" if step[:error]
      words.join(" ")
    end

    # Connects +socket+, which was only allocated. For TCPSocket and Socket, see happysock/tcp_socket.
    def connect(socket, host, port, local_host, local_port, socket_tcp: false, **options) # :nodoc:
      unknown = options.keys - OPTIONS
      raise ArgumentError, "unknown keyword: #{unknown.map(&:inspect).join(", ")}" unless unknown.empty?

      options[:socket_tcp] = socket_tcp
      options[:fast_fallback] = default_fast_fallback if options[:fast_fallback].nil?
      options[:trace] ||= @tracer if Ractor.current == Ractor.main
      Native.connect(socket, host, port, local_host, local_port, options)
    end

    private

    def default_fast_fallback
      return true unless Socket.respond_to?(:tcp_fast_fallback)

      setting = Socket.tcp_fast_fallback
      setting.nil? || setting
    end

    # The number of a constant of Socket, given as a number, a name or a part of a name.
    def constant(value, *prefixes)
      return 0 if value.nil?
      return value if value.is_a?(Integer)

      names = [value.to_s, *prefixes.map { |prefix| "#{prefix}#{value}" }]
      found = names.find { |name| name.match?(/\A[A-Z]\w*\z/) && Socket.const_defined?(name) }
      raise SocketError, "unknown constant: #{value}" unless found

      Socket.const_get(found)
    end
  end
end
