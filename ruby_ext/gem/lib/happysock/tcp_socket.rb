# frozen_string_literal: true

require "happysock"

# Has TCPSocket.new, TCPSocket.open and Socket.tcp connect through HappySock, and with them Net::HTTP and every client
# that is built on them:
#
#   require "happysock/tcp_socket"
#
# They take the options of every version of Ruby, and those of HappySock.tcp.
module HappySock
  ::TCPSocket.prepend(Native::TCPSocketInitialize)
  ::Socket.singleton_class.prepend(Native::SocketTCP)
end
