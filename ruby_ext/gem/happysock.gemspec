# frozen_string_literal: true

require_relative "lib/happysock/version"

Gem::Specification.new do |spec|
  spec.name = "happysock"
  spec.version = HappySock::VERSION
  spec.summary = "Happy Eyeballs and interruptible lookups for Ruby's sockets"
  spec.description = "Connects to a host by name with Happy Eyeballs (RFC 8305). Lookups can be interrupted, work with fiber schedulers " \
                     "and do not hold up fork. One require makes TCPSocket, Socket.tcp and all that is built on them use it."
  spec.authors = ["The happysock authors"]
  spec.licenses = ["MIT", "Apache-2.0"]
  spec.required_ruby_version = ">= 3.1"
  spec.requirements = ["cargo", "a C compiler", "Linux"]

  # The Rust library comes along as crate/, in a checkout a link to the repository's root. Cargo wants to see whatever its manifest
  # names, the benchmark and the other package too.
  spec.files = Dir.chdir(__dir__) do
    Dir["README.md", "lib/**/*.rb", "ext/**/*.{c,rb}", "sig/*.rbs", "crate/Cargo.{toml,lock}", "crate/*.rs", "crate/LICENSE*",
        "crate/src/**/*.rs", "crate/include/*.h", "crate/ruby_ext/glue/*.{c,h}",
        "crate/benches/*.rs", "crate/lab/Cargo.toml", "crate/lab/src/**/*.rs"]
  end
  spec.require_paths = ["lib"]
  spec.extensions = ["ext/happysock/extconf.rb"]
  spec.rdoc_options = ["--main", "README.md"]
  spec.extra_rdoc_files = ["README.md"]
end
