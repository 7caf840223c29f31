require "helper"
require "fileutils"
require "rbconfig"
require "tmpdir"

# Where Rust is missing or too old, the installation says so in one line, and not in mkmf's many.
class TestExtconf < Minitest::Test
  include Helper

  # What extconf.rb of the installed gem says where `programs`, which are shell scripts, are all there is.
  def refusal(programs)
    extconf = File.join(Gem::Specification.find_by_name("happysock").gem_dir, "ext/happysock/extconf.rb")
    skip "a precompiled gem has none" unless File.exist?(extconf)
    Dir.mktmpdir do |directory|
      programs.each do |name, answer|
        File.write("#{directory}/#{name}", "#!/bin/sh\necho '#{answer}'\n")
        File.chmod(0o755, "#{directory}/#{name}")
      end
      environment = { "PATH" => directory, "CARGO" => nil, "RUSTC" => nil, "RUBYOPT" => nil, "LD_PRELOAD" => nil }
      output, status = Open3.capture2e(environment, RbConfig.ruby, extconf, chdir: directory)
      refute status.success?
      assert_equal programs.keys.sort, Dir.children(directory).sort, "it left nothing behind"
      output
    end
  rescue Gem::MissingSpecError
    skip "the gem is not installed as a gem"
  end

  ADVICE = /; install Rust \d+\.\d+ or newer \(https:\/\/rustup\.rs\), or take the precompiled gem\n\z/

  def test_no_cargo
    assert_match(/\Ahappysock: cargo was not found#{ADVICE}/, refusal({}))
  end

  def test_no_rustc
    assert_match(/\Ahappysock: rustc was not found#{ADVICE}/, refusal({ "cargo" => "cargo 1.88.0" }))
  end

  def test_an_old_rustc
    versions = { "cargo" => "cargo 1.70.0 (ec8a8a0ca 2023-04-25)", "rustc" => "rustc 1.70.0 (90c541806 2023-05-31)" }
    assert_match(/\Ahappysock: rustc 1\.70\.0 is too old#{ADVICE}/, refusal(versions))
  end
end
