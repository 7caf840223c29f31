# Has the Makefile build the Rust library with cargo and link the extension against it.
#
#     --with-happysock=DIRECTORY   link DIRECTORY/lib/libhappysock.a instead, and build nothing with cargo

crate = File.expand_path("../../crate", __dir__)
given = ARGV.filter_map { |argument| argument[/\A--with-happysock=(.+)/, 1] }.last

# What the program that is asked for its version answers, or nil where it is not there.
def version_of(program)
  IO.popen([program, "--version"], err: File::NULL, &:read)[/\d+\.\d+(\.\d+)?/]
rescue SystemCallError
  nil
end

# Before mkmf, so that what is missing is all that is said.
abort "happysock is made for Linux with glibc" unless RbConfig::CONFIG["target_os"].match?(/\Alinux(-gnu)?\z/)
if given
  archive = File.expand_path("lib/libhappysock.a", given)
  abort "happysock: there is no #{archive}" unless File.exist?(archive)
  include_directories = [File.expand_path("include", given)]
else
  abort "happysock: #{crate} is missing; build the gem with `make gem`" unless File.exist?("#{crate}/Cargo.toml")
  needed = File.read("#{crate}/Cargo.toml")[/^rust-version = "(.*)"/, 1]
  advice = "install Rust #{needed} or newer (https://rustup.rs), or take the precompiled gem"
  cargo = ENV.fetch("CARGO", "cargo")
  abort "happysock: #{cargo} was not found; #{advice}" unless version_of(cargo)
  found = version_of(ENV.fetch("RUSTC", "rustc"))
  abort "happysock: rustc was not found; #{advice}" unless found
  abort "happysock: rustc #{found} is too old; #{advice}" if Gem::Version.new(found) < Gem::Version.new(needed)
  archive = "libhappysock.a"
  include_directories = ["#{crate}/include"]
end
# Where the gem was not staged, in this repository, the glue is not in crate/.
glue = ["#{crate}/glue", File.expand_path("../../../glue", __dir__)].find { |path| File.directory?(path) }

require "mkmf"

append_cflags("-fvisibility=hidden")
# The other file is a part of it, as the glue is: one object, all names static.
$srcs = ["happysock.c"]
$INCFLAGS << [*include_directories, glue].map { |path| " -I#{path}" }.join
$libs << " #{archive} -lpthread -ldl -lm"
# The Rust library is the extension's own business: none of its names shows, and nothing of it stays that is not used.
$DLDFLAGS << " -Wl,--exclude-libs,#{File.basename(archive)} -Wl,--gc-sections -Wl,-s"

create_makefile("happysock/happysock") do |lines|
  lines << "HAPPYSOCK_CARGO = #{cargo}\nHAPPYSOCK_CRATE = #{crate}\nHAPPYSOCK_ARCHIVE = #{archive}\n"
end
