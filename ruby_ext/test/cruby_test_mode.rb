# For CRuby's own tests: TCPSocket.new with test_mode_settings gives IPv4 a moment.
#
# A test of theirs connects while a thread that it has just started is about to listen on 127.0.0.1, and counts on the
# Resolution Delay to give that thread the time. happysock does not have a loopback address wait for the other family.
require "socket"

module CRubyTestMode
  IPV4_DELAY_MS = 5

  def initialize(*arguments, test_mode_settings: nil, **options)
    if test_mode_settings
      delay = { ipv4: IPV4_DELAY_MS, **test_mode_settings.fetch(:delay, {}) }
      options[:test_mode_settings] = { **test_mode_settings, delay: delay }
    end
    super(*arguments, **options)
  end
end

TCPSocket.prepend(CRubyTestMode)
