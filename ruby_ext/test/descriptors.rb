# Counts the open descriptors of this process, without the sockets of lookups: those are libc's until it gives a lookup
# up.
module Descriptors
  def self.count
    lookups = %w[udp udp6].flat_map do |protocol|
      File.readlines("/proc/net/#{protocol}").drop(1).map { |line| line.split[9] }
    end
    links = Dir.children("/proc/self/fd").map do |number|
      File.readlink("/proc/self/fd/#{number}")
    rescue Errno::ENOENT
      nil
    end
    links.compact.count { |link| !lookups.include?(link[/\Asocket:\[(\d+)\]\z/, 1]) }
  end
end
