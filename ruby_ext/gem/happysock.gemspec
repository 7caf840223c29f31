# frozen_string_literal: true

# Evaluated where stage.rb has laid out what the gem contains: `make gem`, `make gem-native`.

require_relative "lib/happysock/version"

Gem::Specification.new do |spec|
  native = Dir.chdir(__dir__) { Dir["lib/happysock/*/happysock.so"] }

  spec.name = "happysock"
  spec.version = HappySock::VERSION
  spec.summary = "Happy Eyeballs and interruptible lookups for Ruby's sockets"
  spec.description = "Connects to a host by name with Happy Eyeballs (RFC 8305). Lookups can be interrupted, work with fiber schedulers " \
                     "and do not hold up fork. One require makes TCPSocket, Socket.tcp and all that is built on them use it."
  spec.authors = ["The happysock authors"]
  spec.licenses = ["MIT", "Apache-2.0"]
  spec.files = Dir.chdir(__dir__) do
    # The list of checksums of a vendored crate has a name that begins with a dot.
    Dir.glob(%w[README.md LICENSE* lib/**/*.rb lib/**/*.so sig/*.rbs ext/**/* crate/**/*], File::FNM_DOTMATCH)
       .select { |path| File.file?(path) }
  end
  spec.require_paths = ["lib"]
  spec.rdoc_options = ["--main", "README.md", "--exclude", "crate/|ext/"]
  spec.extra_rdoc_files = ["README.md"]

  if native.empty?
    spec.required_ruby_version = ">= 3.1"
    spec.requirements = ["cargo", "a C compiler", "Linux with glibc"]
    spec.extensions = ["ext/happysock/extconf.rb"]
  else
    # For the versions of Ruby that it has a file for.
    versions = native.map { |path| Gem::Version.new(path.split("/")[2]) }.sort
    spec.requirements = ["glibc #{File.read("#{__dir__}/glibc")} or newer"]
    spec.platform = Gem::Platform.new("x86_64-linux-gnu")
    spec.required_ruby_version = [">= #{versions.first}", "< #{Gem::Version.new("#{versions.last}.0").bump}"]
  end
end
