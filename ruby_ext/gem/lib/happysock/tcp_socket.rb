# frozen_string_literal: true

require "happysock"

# Has TCPSocket.new, TCPSocket.open and Socket.tcp connect through HappySock, and with them Net::HTTP and every client
# that is built on them:
#
#   require "happysock/tcp_socket"
module HappySock
  # TCPSocket.new. Takes the options of every version of Ruby, and those of HappySock.tcp.
  module TCPSocketInitialize
    def initialize(host, port, local_host = nil, local_port = nil, **options)
      HappySock.connect(self, host, port, local_host, local_port, **options)
    end
  end

  # Socket.tcp, which returns a Socket.
  module SocketTCP
    def tcp(host, port, local_host = nil, local_port = nil, **options)
      socket = HappySock.connect(allocate, host, port, local_host, local_port, socket_tcp: true, **options)
      return socket unless block_given?

      begin
        yield socket
      ensure
        socket.close
      end
    end
  end

  private_constant :TCPSocketInitialize, :SocketTCP

  ::TCPSocket.prepend(TCPSocketInitialize)
  ::Socket.singleton_class.prepend(SocketTCP)
end
