require "helper"

# Other threads and Ractors run while a connect waits, and many connect at once.
class TestConcurrency < Minitest::Test
  include Helper

  def test_other_threads_run_meanwhile
    thread = connecting("slow.test")
    counted = 0
    counted += 1 while thread.alive?
    assert_operator counted, :>, 10_000
    thread.value.close
  end

  def test_two_hundred_threads
    server = TCPServer.new("::1", 0)
    server.listen(1024)
    port = server.addr[1]
    accepter = Thread.new { 200.times { server.accept.close } }
    before = descriptors
    sockets = Array.new(200) { Thread.new { TCPSocket.new("localhost", port) } }.map(&:value)
    assert_equal 200, sockets.map(&:fileno).uniq.size
    sockets.each(&:close)
    accepter.join
    assert_operator descriptors, :<=, before + 16, "wake-up descriptors are kept, and few"
  ensure
    server&.close
  end

  def test_in_a_ractor
    output = run_ruby(<<~'RUBY', PORT)
      Warning[:experimental] = false
      ractors = Array.new(4) do
        Ractor.new(ARGV[0].to_i) do |port|
          failure = begin
            TCPSocket.new("refused.test", port)
          rescue SystemCallError => error
            error.attempts.size
          end
          [TCPSocket.open("dual.test", port) { |socket| socket.peeraddr(false)[3] }, failure]
        end
      end
      p ractors.map { |ractor| ractor.respond_to?(:value) ? ractor.value : ractor.take }
    RUBY
    assert_equal "#{[["2001:db8:2::1", 2]] * 4}\n", output
  end

  # A lookup that was given up keeps its thread until libc returns; the number of those threads is bounded and no
  # descriptor stays. In a process of its own: its lookups hold up others while they hang.
  def test_cancelled_connects_leave_nothing_behind
    output = run_ruby(<<~'RUBY', silent_name, environment: { "RUBYLIB" => [__dir__, ENV["RUBYLIB"]].compact.join(":") })
      require "descriptors"
      require "timeout"
      give_up = lambda do
        Timeout.timeout(0.001) { TCPSocket.new(ARGV[0], 80) }
        abort "connected"
      rescue Timeout::Error
        nil
      end
      10.times { give_up.call }
      before = Descriptors.count
      1000.times { give_up.call }
      puts "#{Descriptors.count - before} #{Dir.children("/proc/self/task").size}"
      $stdout.flush
      exit!(0)
    RUBY
    descriptors, threads = output.split.map(&:to_i)
    assert_operator descriptors, :<=, 4
    assert_operator threads, :<, 1000
  end
end
