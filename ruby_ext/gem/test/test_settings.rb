require "helper"
require "happysock"

# What HappySock.configure sets holds for calls that leave it open.
class TestSettings < Minitest::Test
  include Helper

  def teardown
    HappySock.configure do |settings|
      HappySock::Settings.members.each { |name| settings.public_send("#{name}=", nil) }
      settings.tracer = nil
    end
  end

  def test_a_default_limit
    HappySock.configure { |settings| settings.open_timeout = 0.1 }
    taken = seconds { assert_raises(*timeout_classes) { HappySock.tcp(silent_name, PORT) } }
    assert_took 0.1, taken
    assert_in_delta 0.1, HappySock.settings.open_timeout
  end

  # A limit of the call stands for itself: it does not meet the default that would exclude it.
  def test_a_limit_of_the_call_goes_before
    HappySock.configure { |settings| settings.open_timeout = 0.01 }
    HappySock.tcp("slow.test", PORT, connect_timeout: 5).close
    HappySock.tcp("slow.test", PORT, open_timeout: 10).close
  end

  def test_fast_fallback_and_delays
    HappySock.configure { |settings| settings.connection_attempt_delay = 0.02 }
    assert_operator least_of_tries(0.22) { seconds { HappySock.tcp("dead6.test", PORT).close } }, :<, 0.22
    HappySock.configure { |settings| settings.fast_fallback = false }
    assert_raises(*timeout_classes) { HappySock.tcp("dead6.test", PORT, open_timeout: 0.5) }
    HappySock.tcp("dead6.test", PORT, open_timeout: 10, fast_fallback: true).close
  end

  def test_a_tracer
    steps = []
    HappySock.configure { |settings| settings.tracer = steps.method(:<<) }
    HappySock.tcp("dual.test", PORT).close
    assert_equal :finished, steps.last[:name]
  end

  # In a process of its own: what was learnt stays.
  def test_history
    output = run_ruby(<<~'RUBY', PORT)
      require "happysock"
      seconds = lambda do
        start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        HappySock.tcp("dead6.test", ARGV[0]).close
        Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
      end
      without = Array.new(2) { seconds.call }
      HappySock.configure { |settings| settings.history = true }
      first = seconds.call
      # One connect in 64 takes the standard's order.
      later = Array.new(3) { seconds.call }.min
      child = fork { exit!(seconds.call >= 0.2 && Array.new(3) { seconds.call }.min < 0.2) }
      p [without.min >= 0.2, first >= 0.2, later < 0.2, Process.wait2(child)[1].success?]
    RUBY
    assert_equal "[true, true, true, true]\n", output
  end

  # The second delay is twice the first, since the race began; a slow machine only adds to that.
  def test_growing_delay
    HappySock.configure do |settings|
      settings.connection_attempt_delay = 0.1
      settings.growing_delay = true
    end
    started = {}
    trace = ->(step) { started[step[:attempt]] = step[:time] if step[:name] == :attempt_started }
    HappySock.connect_to(addresses("2001:db8:2::66", "203.0.113.66", "203.0.113.1"), trace: trace).close
    assert_equal [0, 1, 2], started.keys
    assert_operator started[2], :>=, 0.299
  end

  # The address that does not answer has a third of the limit, and not all of it.
  def test_share_timeout
    HappySock.configure do |settings|
      settings.fast_fallback = false
      settings.share_timeout = true
    end
    known = addresses("203.0.113.66", "203.0.113.1", "2001:db8:2::1")
    HappySock.connect_to(known, open_timeout: 6) { |socket| assert_equal PORT, socket.remote_address.ip_port }
  end

  # libc hangs on a thread of the library's; the library's own client needs none. In a process of its own: others have threads.
  def test_lookup_by_libc
    output = run_ruby(<<~'RUBY', silent_name, silent_name, PORT)
      require "happysock"
      helpers = -> { Dir["/proc/self/task/*/comm"].count { |path| File.read(path).start_with?("happysock") } }
      counts = [false, true].zip(ARGV).map do |by_libc, name|
        HappySock.configure { |settings| settings.lookup_by_libc = by_libc }
        HappySock.tcp(name, ARGV[2], open_timeout: 0.1)
      rescue SystemCallError, IOError
        # The thread may have begun and not have its name yet.
        sleep 0.001 while by_libc && helpers.call.zero?
        helpers.call
      end
      p counts
    RUBY
    assert_equal "[0, 1]\n", output
  end

  # localhost has an address of each family. Nothing listens there.
  def test_only_connected_families
    tried = attempts_in_network("192.0.2.9/24", "localhost", only_connected_families: [nil, true])
    assert_equal ["127.0.0.1 ::1", "127.0.0.1"], tried
  end

  # Of two prefixes the first is not for addresses like this one (RFC 6052, section 3.1).
  def test_nat64
    prefix = "2001:db8:64::/96"
    tried = attempts_in_network("2001:db8:64::cb00:7109/96 nodad", "203.0.113.9",
                                nat64: [nil, prefix, ["64:ff9b::/96", prefix], false])
    assert_equal %w[203.0.113.9 2001:db8:64::cb00:7109 2001:db8:64::cb00:7109 203.0.113.9], tried
    refuted = assert_raises(ArgumentError) { HappySock.tcp("dual.test", PORT, nat64: "64:ff9b::/95") }
    assert_match(/\Anat64: /, refuted.message)
  end

  # A call can do without what is configured, and what was configured is not the caller's any more.
  def test_nat64_is_kept_as_a_string_of_its_own
    prefix = +"64:ff9b::/96"
    HappySock.configure { |settings| settings.nat64 = prefix }
    prefix << "x"
    assert_equal "64:ff9b::/96", HappySock.settings.nat64
    HappySock.configure { |settings| settings.nat64 = :discover }
    assert_equal "discover", HappySock.settings.nat64
    HappySock.tcp("dual.test", PORT, nat64: false).close
  end

  def test_what_is_refused_changes_nothing
    HappySock.configure { |settings| settings.open_timeout = 5 }
    before = HappySock.settings
    refused = {
      { open_timeout: -1 } => /\Aopen_timeout: -1 is not within/, { open_timeout: Float::NAN } => /\Aopen_timeout: NaN/,
      { connect_timeout: 1 } => /\Aopen_timeout: cannot be set along/, { nat64: "64:ff9b::/95" } => /\Anat64: /
    }
    refused.each do |values, message|
      error = assert_raises(ArgumentError) do
        HappySock.configure { |settings| values.each { |name, value| settings.public_send("#{name}=", value) } }
      end
      assert_match(message, error.message)
      assert_same before, HappySock.settings
    end
    assert_raises(TypeError) { HappySock.configure { |settings| settings.resolution_delay = "soon" } }
    assert_raises(TypeError) { HappySock.configure { |settings| settings.nat64 = 64 } }
    assert_raises(NoMethodError) { HappySock.configure { |settings| settings.surprise = 1 } }
    assert_same before, HappySock.settings
    assert_predicate before, :frozen?
  end

  def test_in_a_ractor_and_in_a_child
    output = run_ruby(<<~'RUBY', silent_name, PORT)
      require "happysock"
      Warning[:experimental] = false
      HappySock.configure { |settings| settings.open_timeout = 0.1; settings.tracer = ->(step) { step } }
      attempt = lambda do |name, port|
        HappySock.tcp(name, port)
      rescue => error
        error.class
      end
      fork { p attempt.call(ARGV[0], ARGV[1]) }.then { |child| Process.wait(child) }
      ractor = Ractor.new(*ARGV) do |name, port|
        begin
          HappySock.tcp(name, port)
        rescue => error
          [error.class, HappySock.settings.open_timeout, HappySock.trace(nil)]
        end
      end
      p ractor.respond_to?(:value) ? ractor.value : ractor.take
    RUBY
    lines = output.lines
    assert_includes timeout_classes.map(&:to_s), lines[0].chomp
    assert_match(/\A\[#{Regexp.union(timeout_classes.map(&:to_s))}, 0\.1, nil\]\n\z/, lines[1])
  end

  def test_the_scheduler_is_asked_where_that_is_said
    require "scheduler"
    scheduler = ResolvingScheduler.new({ "known.test" => ["2001:db8:2::66", "203.0.113.1"], "unknown.test" => [] })
    HappySock.configure { |settings| settings.ask_scheduler = true }
    Thread.new do
      Fiber.set_scheduler(scheduler)
      Fiber.schedule do
        HappySock.tcp("known.test", PORT) { |socket| assert_equal "203.0.113.1", socket.remote_address.ip_address }
        assert_raises(SocketError) { HappySock.tcp("unknown.test", PORT) }
        HappySock.tcp("203.0.113.1", PORT).close
        HappySock.tcp("dual.test", PORT, ask_scheduler: false).close
      end
    end.join
    assert_equal %w[known.test unknown.test], scheduler.asked
  end

  private

  def addresses(*hosts)
    hosts.map { |host| Addrinfo.tcp(host, PORT) }
  end

  # What is tried for `host`, in order of the text, with each value of a setting, where the machine has one address and the
  # loopback. Nothing is reached.
  def attempts_in_network(address, host, setting)
    script = <<~'RUBY'
      require "happysock"
      host, name, values = Marshal.load([ARGV[0]].pack("H*"))
      values.each do |value|
        HappySock.configure { |settings| settings.public_send("#{name}=", value) }
        HappySock.tcp(host, 1)
      rescue SystemCallError => error
        puts error.attempts.map { |attempt| attempt.address.ip_address }.sort.join(" ")
      end
    RUBY
    name, values = setting.first
    network = "ip link set lo up && ip link add near up type veth peer far && ip link set far up && " \
              "ip address add #{address} dev near && exec \"$@\""
    arguments = [RbConfig.ruby, "-rsocket", "-e", script, "--", Marshal.dump([host, name, values]).unpack1("H*")]
    output, status = Open3.capture2e("unshare", "--net", "sh", "-c", network, "sh", *arguments)
    assert status.success?, output
    output.lines(chomp: true)
  end
end
