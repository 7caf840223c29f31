# Connects to HOST PORT by TCPSocket, which races the families from Ruby 3.4 on, and prints the milliseconds it took.
require 'socket'

start = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond)
socket = TCPSocket.new(ARGV[0], Integer(ARGV[1]))
puts Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond) - start
socket.close
