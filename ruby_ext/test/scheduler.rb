# A small fiber scheduler over IO.select: what the scheduler interface asks for and the tests use.
class Scheduler
  attr_reader :waited_for

  def initialize(timeout_answer: false)
    @timeout_answer = timeout_answer
    @waiting = {}    # fiber => [io, events, time]
    @sleeping = {}   # fiber => time
    @timers = []     # [time, fiber, exception, message]
    @ready = []
    @waited_for = []
    @lock = Thread::Mutex.new
    @wakeup, @waker = IO.pipe
  end

  def run
    until @waiting.empty? && @sleeping.empty? && @ready.empty?
      ready = @lock.synchronize { @ready.slice!(0..) }
      ready.each { |fiber| fiber.resume if fiber.alive? }
      wait_for_events(@ready.empty?)
    end
  ensure
    @wakeup.close
    @waker.close
  end
  alias close run

  def fiber(&block)
    Fiber.new(blocking: false, &block).tap(&:resume)
  end

  def io_wait(io, events, timeout)
    @waited_for << io
    @waiting[Fiber.current] = [io, events, timeout && now + timeout]
    Fiber.yield
  ensure
    @waiting.delete(Fiber.current)
  end

  def kernel_sleep(duration = nil)
    block(:sleep, duration)
    true
  end

  def block(_blocker, timeout = nil)
    @sleeping[Fiber.current] = timeout ? now + timeout : Float::INFINITY
    Fiber.yield
  ensure
    @sleeping.delete(Fiber.current)
  end

  def unblock(_blocker, fiber)
    @lock.synchronize { @ready << fiber }
    @waker.write_nonblock(".", exception: false)
  end

  # Timeout.timeout calls this.
  def timeout_after(duration, exception, message)
    timer = [now + duration, Fiber.current, exception, message]
    @timers << timer
    yield duration
  ensure
    @timers.delete_if { |other| other.equal?(timer) }
  end

  # Raises `error` in another fiber that waits.
  def fiber_interrupt(fiber, error)
    fiber.raise(error)
  end

  private

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  def wait_for_events(idle)
    return if @waiting.empty? && @sleeping.empty?

    readable = @waiting.values.filter_map { |io, events,| io if events & IO::READABLE != 0 }
    writable = @waiting.values.filter_map { |io, events,| io if events & IO::WRITABLE != 0 }
    next_time = [*@waiting.values.filter_map(&:last), *@sleeping.values, *@timers.map(&:first)].min
    rest = next_time && next_time.finite? ? [next_time - now, 0].max : nil
    rest = 0 unless idle
    reads, writes = IO.select([@wakeup, *readable], writable, [], rest)
    @wakeup.read_nonblock(100, exception: false) if reads&.include?(@wakeup)
    resume_waiting(reads || [], writes || [])
    due, @timers = @timers.partition { |time,| time <= now }
    due.each { |_, fiber, exception, message| fiber.raise(exception, message) if fiber.alive? }
    expired = @sleeping.select { |_, time| time <= now }.keys
    expired.each { |fiber| fiber.resume if fiber.alive? }
  end

  def resume_waiting(reads, writes)
    @waiting.to_a.each do |fiber, (io, _events, time)|
      events = (reads.include?(io) ? IO::READABLE : 0) | (writes.include?(io) ? IO::WRITABLE : 0)
      if events != 0
        fiber.resume(events)
      elsif time && time <= now
        fiber.resume(@timeout_answer)
      end
    end
  end
end

# One that resolves names itself, as that of async 2 does.
class ResolvingScheduler < Scheduler
  attr_reader :asked

  def initialize(addresses, **options)
    super(**options)
    @addresses = addresses
    @asked = []
  end

  def address_resolve(host)
    @asked << host
    kernel_sleep(0.01)
    @addresses[host]
  end
end
