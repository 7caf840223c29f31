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

  # Resident memory over rounds of 3,000 connects and 3,000 failures: Ruby's heap grows in steps, a leak in every round.
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
      sizes = Array.new(5) do
        round.call(3000)
        size.call
      end
      p sizes.each_cons(2).map { |before, after| after - before }.min
    RUBY
    assert_operator Integer(output), :<, 512, "kilobytes"
  end
end
