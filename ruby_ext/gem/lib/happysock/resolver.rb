# frozen_string_literal: true

module HappySock
  # Lookups that belong together: each family's answer as it comes, and all of them ended by one call.
  #
  #   resolver = HappySock::Resolver.new(timeout: 2)
  #   resolver.each_answer("example.com", 80) { |answer| p answer.family, answer.addresses }
  class Resolver
    # What came back for one family: +family+ is +:ipv6+ or +:ipv4+, +addresses+ an array of Addrinfo, empty where there
    # is an +error+.
    Answer = Struct.new(:family, :addresses, :error)

    FAMILIES = { ipv6: Socket::AF_INET6, ipv4: Socket::AF_INET }.freeze
    private_constant :FAMILIES

    # timeout:: the limit of each lookup, in seconds
    def initialize(timeout: nil)
      @timeout = timeout
      @lookups = []
      @lock = Thread::Mutex.new
    end

    # The addresses of both families, in the system's order.
    def addresses(host, service = nil, socktype: :STREAM)
      with_lookups([Lookup.new(host, service, nil, socktype, timeout: @timeout)]) { |lookups| lookups.first.value }
    end

    # Asks for both families at once and yields an Answer for each, in the order in which they come. Without a block it
    # returns an Enumerator. What is still under way when the block is left is cancelled.
    def each_answer(host, service = nil, socktype: :STREAM)
      return enum_for(:each_answer, host, service, socktype: socktype) unless block_given?

      families = FAMILIES.transform_values { |family| Lookup.new(host, service, family, socktype, timeout: @timeout) }
      with_lookups(families.values) do |lookups|
        until families.empty?
          done = Lookup.wait_any(families.values)
          family = families.key(done)
          families.delete(family)
          yield answer(family, done)
        end
      end
      self
    end

    # Ends the lookups of this resolver that are under way: they raise Errno::ECANCELED, or have it for their error. From
    # any thread. Lookups that begin later are not concerned.
    def cancel
      @lock.synchronize { @lookups.dup }.each(&:cancel)
      nil
    end

    private

    def answer(family, lookup)
      Answer.new(family, lookup.value, nil)
    rescue SocketError, SystemCallError, IOError => error
      Answer.new(family, [], error)
    end

    def with_lookups(lookups)
      @lock.synchronize { @lookups.concat(lookups) }
      yield lookups
    ensure
      lookups.each(&:cancel)
      @lock.synchronize { @lookups -= lookups }
    end
  end
end
