# Builds the Rust library with cargo and links the extension against it.

require "mkmf"

abort "happysock is made for Linux" unless RbConfig::CONFIG["target_os"].start_with?("linux")
abort "happysock builds a Rust library and needs cargo: install Rust 1.85 or newer" unless find_executable("cargo")

crate = File.realpath("../../crate", __dir__)
target = ENV.fetch("HAPPYSOCK_TARGET_DIR") { File.expand_path("target") }

# Only the static library: what Cargo.toml lists besides is for others.
command = %W[cargo rustc --manifest-path #{crate}/Cargo.toml --target-dir #{target} --release --locked --lib
             --crate-type staticlib]
puts command.join(" ")
abort "cargo could not build the Rust library" unless system(*command)

$INCFLAGS << " -I#{crate}/include -I#{crate}/ruby_ext/glue"
$libs << " #{target}/release/libhappysock.a -lpthread -ldl -lm"
# The Rust library is the extension's own business: none of its names shows.
$DLDFLAGS << " -Wl,--exclude-libs,libhappysock.a"
append_cflags("-fvisibility=hidden")

create_makefile("happysock/happysock")
