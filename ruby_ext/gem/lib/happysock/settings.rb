# frozen_string_literal: true

module HappySock
  # What a call leaves open, see HappySock.configure. +nil+ is the library's own default.
  #
  # fast_fallback:: +false+ tries one address after the other; +nil+ asks Socket.tcp_fast_fallback, where Ruby has it
  # resolv_timeout, connect_timeout, open_timeout:: limits in seconds, for calls that give none
  # resolution_delay, connection_attempt_delay:: the delays of RFC 8305, in seconds
  # ask_scheduler:: +true+ has the fiber scheduler find the addresses, where it has +address_resolve+
  # history:: +true+ has connects learn from each other which family answers, and which address answers sooner: a network
  #           without a working IPv6 costs one delay, and not one a connect. Forgotten after ten minutes without news
  # nat64:: for networks without IPv4 whose translator leads there (RFC 8305, section 7): +:discover+ asks for its prefixes
  #         when they are needed (RFC 7050); or the prefixes, as "64:ff9b::/96", or an Array of them. +false+ in a call: none
  # lookup_by_libc:: +true+ has libc look up the hosts that are connected to, on a thread, and not the library's own DNS
  #                  client. For Lookup and Resolver the environment says so, HAPPYSOCK_DNS=libc
  # growing_delay:: +true+ doubles the time between attempts from one to the next, up to 2 seconds
  # share_timeout:: +true+, where +fast_fallback+ is +false+ and there is an +open_timeout+, gives each address an equal share
  #                 of what is left of it, 2 seconds at least
  # only_connected_families:: +true+ does not ask for addresses of a family that this machine has no network in, where it has
  #                           one in the other
  #
  # The members are in the order in which the extension knows them.
  Settings = Struct.new(:fast_fallback, :resolv_timeout, :connect_timeout, :open_timeout, :resolution_delay,
                        :connection_attempt_delay, :ask_scheduler, :history, :nat64, :lookup_by_libc, :growing_delay,
                        :share_timeout, :only_connected_families, keyword_init: true) do
    # Raises an ArgumentError or a TypeError that names the member at fault. Keeps nothing that is the caller's.
    def validate # :nodoc:
      self.nat64 = Native.check_nat64(nat64)
      %i[resolv_timeout connect_timeout open_timeout resolution_delay connection_attempt_delay].each do |name|
        value = self[name]
        next if value.nil?
        raise TypeError, "#{name}: #{value.inspect} is no number of seconds" unless value.is_a?(Numeric) && value.real?
        raise ArgumentError, "#{name}: #{value.inspect} is not within 0 and 2147483" unless (0..2_147_483).cover?(value)
      end
      return self unless open_timeout && (resolv_timeout || connect_timeout)

      raise ArgumentError, "open_timeout: cannot be set along with connect_timeout or resolv_timeout"
    end
  end

  @settings = Ractor.make_shareable(Settings.new)

  class << self
    # The settings of this process, frozen. Every Ractor may read them.
    attr_reader :settings

    # Yields the settings to be changed, for all calls from here on. Where one is refused, all stay as they were.
    #
    #   HappySock.configure do |settings|
    #     settings.open_timeout = 5
    #     settings.tracer = ->(step) { warn HappySock.format_step(step) }
    #   end
    #
    # +tracer+ is what ::trace takes. Of the main Ractor alone.
    def configure
      draft = Draft.new(@settings.dup, Native.tracer)
      yield draft
      @settings = Ractor.make_shareable(draft.settings.validate)
      Native.tracer = draft.tracer
      @settings
    end
  end

  # What ::configure yields: the members of Settings and the tracer.
  class Draft # :nodoc:
    attr_accessor :tracer
    attr_reader :settings

    def initialize(settings, tracer)
      @settings = settings
      @tracer = tracer
    end

    Settings.members.each do |name|
      define_method(name) { @settings[name] }
      define_method("#{name}=") { |value| @settings[name] = value }
    end
  end
  private_constant :Draft
end
