# frozen_string_literal: true

module HappySock
  # One lookup: it can be waited for, watched, cancelled or left alone. It goes on while somebody waits for it or asks
  # whether it is done.
  #
  #   lookup = HappySock::Lookup.new("example.com", 80, nil, :STREAM, timeout: 2)
  #   lookup.value # => [#<Addrinfo: ...>, ...]
  class Lookup
    # Takes what Addrinfo.getaddrinfo takes, and a limit in seconds.
    def initialize(host, service = nil, family = nil, socktype = nil, protocol = nil, flags = nil, timeout: nil)
      start(host, service, Constants.number(family, "AF_", "PF_"), Constants.number(socktype, "SOCK_"), protocol || 0,
            flags || 0, timeout)
    end

    # Waits for the answer: an array of Addrinfo. Raises what Addrinfo.getaddrinfo of the running Ruby raises;
    # IO::TimeoutError (Errno::ETIMEDOUT before 4.0) when its limit is over, Errno::ECANCELED when it was cancelled.
    def value
      entries.map { |sockaddr, family, socktype, protocol| Addrinfo.new(sockaddr, family, socktype, protocol) }
    end

    # Numbers of constants of Socket, given as a number, a name, or a part of a name.
    module Constants # :nodoc:
      def self.number(value, *prefixes)
        return 0 if value.nil?
        return value if value.is_a?(Integer)

        names = [value.to_s, *prefixes.map { |prefix| "#{prefix}#{value}" }]
        found = names.find { |name| name.match?(/\A[A-Z]\w*\z/) && Socket.const_defined?(name) }
        raise SocketError, "unknown constant: #{value}" unless found

        Socket.const_get(found)
      end
    end
    private_constant :Constants
  end
end
