# frozen_string_literal: true

require "socket"
require_relative "happysock/version"
require_relative "happysock/settings"
# The precompiled gem has a file for each version of Ruby.
native = "happysock/#{RUBY_VERSION[/\A\d+\.\d+/]}/happysock"
require File.exist?("#{__dir__}/#{native}.so") ? native : "happysock/happysock"
require_relative "happysock/lookup"
require_relative "happysock/resolver"

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
  private_constant :Native

  class << self
    # Looks +host+ and +service+ up and returns an array of Addrinfo. Takes what Addrinfo.getaddrinfo takes.
    #
    # A canonical name (AI_CANONNAME) is not kept.
    #
    # timeout:: limit in seconds; IO::TimeoutError (Errno::ETIMEDOUT before 4.0) when it is over
    #
    #   HappySock.getaddrinfo("example.com", 80, :INET6, :STREAM, timeout: 2)
    def getaddrinfo(host, service, family = nil, socktype = nil, protocol = nil, flags = nil, timeout: nil)
      Lookup.new(host, service, family, socktype, protocol, flags, timeout: timeout).value
    end

    # Has each step of each race given to the block or to +tracer+ (which answers +call+) as it happens, on the thread that
    # connects; +nil+ ends it. Returns the tracer before. What it raises ends the connect.
    #
    # A step is a frozen Hash with +:name+, +:time+ (seconds since the race began), +:host+, +:port+, and as the name
    # has it +:family+, +:address+, +:attempt+, +:outcome+, +:error+, +:count+, +:delay+ and +:status+. The names are
    # +:lookup_started+, +:lookup_answered+, +:lookup_abandoned+, +:lookup_hastened+, +:resolution_delay_started+,
    # +:resolution_delay_expired+, +:candidate_added+, +:candidate_dropped+, +:attempt_started+, +:attempt_held+,
    # +:attempt_ended+, +:next_attempt_timer_set+, +:next_attempt_timer_fired+, +:family_unanswered+,
    # +:address_synthesized+ and +:finished+.
    #
    #   HappySock.trace { |step| p step }
    #
    # Each Ractor has a tracer of its own.
    def trace(tracer = nil, &block)
      before = Native.tracer
      Native.tracer = tracer || block
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
  end
end
