# frozen_string_literal: true

require "happysock"

# Has the lookups of Ruby's socket library made by HappySock, so that each can be interrupted, holds up no fork and no other
# fiber, and takes a limit:
#
#   require "happysock/resolv"
#
# It replaces Addrinfo.getaddrinfo, Addrinfo.foreach, Addrinfo.tcp, Addrinfo.udp, Addrinfo.ip, Socket.getaddrinfo and
# IPSocket.getaddress, as resolv-replace does with answers of Resolv. Together with happysock/tcp_socket no lookup of a
# program's own goes another way, but for UDPSocket and servers with a host name.
#
# An Addrinfo does not remember the name that it was looked up by, which only its +inspect+ shows.
module HappySock
  module Resolv # :nodoc:
    module AddrinfoLookups # :nodoc:
      def getaddrinfo(host, service, family = nil, socktype = nil, protocol = nil, flags = nil, timeout: nil)
        # Nobody else keeps a canonical name.
        return super if flags && flags & Socket::AI_CANONNAME != 0

        HappySock.getaddrinfo(host, service, family, socktype, protocol, flags, timeout: timeout)
      end

      def foreach(*arguments, timeout: nil, &block)
        getaddrinfo(*arguments, timeout: timeout).each(&block)
      end

      def tcp(host, service)
        HappySock.getaddrinfo(host, service, nil, :STREAM, Socket::IPPROTO_TCP).first
      end

      def udp(host, service)
        HappySock.getaddrinfo(host, service, nil, :DGRAM, Socket::IPPROTO_UDP).first
      end

      def ip(host)
        found = HappySock.getaddrinfo(host, nil, nil, :STREAM).first
        Addrinfo.new(found.to_sockaddr, found.pfamily, 0, 0)
      end
    end

    module SocketLookups # :nodoc:
      # The reverse lookup of the last argument is the socket library's.
      def getaddrinfo(host, service, family = nil, socktype = nil, protocol = nil, flags = nil, reverse_lookup = nil)
        reverse_lookup = !BasicSocket.do_not_reverse_lookup if reverse_lookup.nil?
        return super if reverse_lookup == true || reverse_lookup == :hostname

        HappySock.getaddrinfo(host, service, family, socktype, protocol, flags).map do |found|
          [found.ipv6? ? "AF_INET6" : "AF_INET", found.ip_port, found.ip_address, found.ip_address, found.pfamily,
           found.socktype, found.protocol]
        end
      end
    end

    module IPSocketLookups # :nodoc:
      def getaddress(host)
        HappySock.getaddrinfo(host, nil, nil, :STREAM).first.ip_address
      end
    end

    ::Addrinfo.singleton_class.prepend(AddrinfoLookups)
    ::Socket.singleton_class.prepend(SocketLookups)
    ::IPSocket.singleton_class.prepend(IPSocketLookups)
  end
  private_constant :Resolv
end
