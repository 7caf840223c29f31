require "helper"

# The collector may run and move objects at any point.
class TestMemory < Minitest::Test
  include Helper

  def connect_in_many_ways
    TCPSocket.open("dual.test", PORT) { |socket| assert_equal PORT, socket.peeraddr(false)[1] }
    assert_equal 2, assert_raises(Errno::ECONNREFUSED) { TCPSocket.new("refused.test", PORT) }.attempts.size
    assert_raises(SocketError) { TCPSocket.new("missing.test", 80) }
    assert_raises(*timeout_classes) { TCPSocket.new("dead.test", PORT, connect_timeout: 0.01) }
  end

  def test_gc_stress
    GC.stress = true
    connect_in_many_ways
  ensure
    GC.stress = false
  end

  def test_compaction
    skip "no compaction here" unless GC.respond_to?(:compact)
    running = true
    compacter = Thread.new { GC.compact while running }
    20.times { connect_in_many_ways }
  ensure
    running = false
    compacter&.join
  end

  # Resident memory after 3,000 more connects of each kind is about what it was.
  def test_no_growth
    output = run_ruby(<<~'RUBY', limit: 60)
      size = -> { GC.start; File.read("/proc/self/statm").split[1].to_i * 4 }
      server = TCPServer.new("localhost", 0)
      Thread.new { loop { server.accept.close } }
      round = lambda do |count|
        count.times do
          TCPSocket.open("localhost", server.addr[1]) {}
          begin
            TCPSocket.new("localhost", 7099)
          rescue SystemCallError
            nil
          end
        end
      end
      round.call(1000)
      before = size.call
      round.call(3000)
      p size.call - before
    RUBY
    assert_operator Integer(output), :<, 2048, "kilobytes"
  end
end
