# Lays out what the gem contains, for `gem build`:
#
#     ruby stage.rb --output DIRECTORY [--cargo CARGO]                  the gem that builds the Rust library when it is installed
#     ruby stage.rb --output DIRECTORY --native VERSION=FILE...         the precompiled gem: happysock.so for each version of Ruby
#
# The Rust library comes along as crate/: its sources, a manifest without this repository's tests, benchmarks and other
# packages, and under crate/vendor what it depends on, so that an installation asks no network.

require "fileutils"
require "json"
require "optparse"

ROOT = File.expand_path("../..", __dir__)

# Directories of the crate libc, under its src/, that are read for Linux; the others are two thirds of it.
LIBC_DIRECTORIES = %w[src/new src/unix src/unix/linux_like].freeze

def run(*command, chdir: ".")
  output = IO.popen(command, chdir: chdir, err: [:child, :out], &:read)
  abort "#{command.join(" ")} failed:\n#{output}" unless $?.success?
  output
end

# The manifest of the package alone. What it says is read through cargo, which knows what Cargo.toml means.
def manifest(package)
  dependencies = package["dependencies"].select do |dependency|
    dependency["kind"].nil? && dependency["target"].nil? && !dependency["optional"]
  end
  # Those that need none of the optional dependencies.
  features = package["features"].reject { |_, wanted| wanted.any? { |name| name.start_with?("dep:") || name.include?("/") } }
  lines = ["[package]"]
  lines += %w[name version edition].map { |key| "#{key} = #{package[key].to_json}" }
  lines << "rust-version = #{package["rust_version"].to_json}" << "license = #{package["license"].to_json}" << "build = false"
  lines << "" << "[lib]" << 'crate-type = ["staticlib"]' << "" << "[features]"
  lines += features.map { |name, wanted| "#{name} = #{wanted.to_json}" }
  lines << "" << "[dependencies]"
  lines += dependencies.map do |dependency|
    features = dependency["features"].to_json
    "#{dependency["name"]} = { version = #{dependency["req"].to_json}, features = #{features}, " \
      "default-features = #{dependency["uses_default_features"]} }"
  end
  # As in this repository, but for the debugging information: an extension is installed without it.
  lines << "" << "[profile.release]" << 'lto = "fat"' << "codegen-units = 1"
  lines << "" << "[lints.rust]" << 'unexpected_cfgs = { level = "allow", check-cfg = ["cfg(loom)"] }' << "" << "[workspace]"
  "#{lines.join("\n")}\n"
end

# Leaves out of the vendored libc what no build for Linux reads, and out of its list of checksums.
def prune_libc(directory)
  list = "#{directory}/.cargo-checksum.json"
  checksums = JSON.parse(File.read(list))
  checksums["files"].select! do |path, _|
    parent = File.dirname(path)
    kept = !path.include?("/") || LIBC_DIRECTORIES.include?(parent) || path.start_with?("src/new/", "src/unix/linux_like/") ||
           parent == "src"
    FileUtils.rm_f("#{directory}/#{path}") unless kept
    kept
  end
  Dir["#{directory}/**/"].sort.reverse_each { |path| Dir.rmdir(path) if Dir.empty?(path) }
  File.write(list, JSON.generate(checksums))
end

def stage_crate(output, cargo)
  crate = "#{output}/crate"
  metadata = JSON.parse(run(cargo, "metadata", "--no-deps", "--offline", "--format-version", "1", chdir: ROOT))
  package = metadata["packages"].find { |entry| entry["name"] == "happysock" }
  FileUtils.mkdir_p(%W[#{crate}/include #{crate}/glue])
  FileUtils.cp_r("#{ROOT}/src", crate)
  FileUtils.cp([*Dir["#{ROOT}/LICENSE*"], "#{ROOT}/Cargo.lock"], crate)
  FileUtils.cp("#{ROOT}/include/happysock.h", "#{crate}/include")
  FileUtils.cp(Dir["#{ROOT}/ruby_ext/glue/*.{c,h}"], "#{crate}/glue")
  File.write("#{crate}/Cargo.toml", manifest(package))
  # The versions that this repository is tested with; cargo drops the rest of the list.
  run(cargo, "vendor", "--offline", "--quiet", "vendor", chdir: crate)
  prune_libc("#{crate}/vendor/libc")
end

# The newest version of glibc that one of the libraries asks for.
def glibc_of(libraries)
  versions = libraries.flat_map { |library| run("objdump", "-T", library).scan(/GLIBC_(\d+(?:\.\d+)+)/).flatten }
  versions.max_by { |version| Gem::Version.new(version) }
end

options = { cargo: ENV.fetch("CARGO", "cargo"), native: [] }
OptionParser.new do |parser|
  parser.on("--output DIRECTORY") { |directory| options[:output] = File.expand_path(directory) }
  parser.on("--cargo CARGO") { |cargo| options[:cargo] = cargo }
  parser.on("--native VERSION=FILE") { |pair| options[:native] << pair.split("=", 2) }
end.parse!
output = options[:output] or abort "missing: --output"

FileUtils.rm_rf(output)
FileUtils.mkdir_p(output)
FileUtils.cp_r(%w[README.md happysock.gemspec lib sig].map { |name| "#{__dir__}/#{name}" }, output)
if options[:native].empty?
  FileUtils.cp_r("#{__dir__}/ext", output)
  stage_crate(output, options[:cargo])
else
  FileUtils.cp(Dir["#{ROOT}/LICENSE*"], output)
  options[:native].each do |version, file|
    FileUtils.mkdir_p("#{output}/lib/happysock/#{version}")
    FileUtils.cp(file, "#{output}/lib/happysock/#{version}/happysock.so")
  end
  # Read by the gemspec, which says it to whoever installs the gem.
  File.write("#{output}/glibc", glibc_of(options[:native].map(&:last)))
end
