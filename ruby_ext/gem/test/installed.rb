# What an installation of the gem leaves behind, and whether it connects: ruby installed.rb GEM_HOME
#
# Whatever way it was installed, nothing more is called than ruby itself.

INSTALLED_IN = ARGV.shift
require "minitest/autorun"
require "open3"
require "rbconfig"

class TestInstalled < Minitest::Test
  # The program that brings in the gem, where PATH has nothing.
  def run_ruby(program)
    environment = { "PATH" => "/nonexistent", "GEM_HOME" => INSTALLED_IN, "GEM_PATH" => INSTALLED_IN,
                    "RUBYLIB" => nil, "RUBYOPT" => nil }
    output, status = Open3.capture2e(environment, RbConfig.ruby, "-e", program)
    assert status.success?, output
    output
  end

  def test_it_connects
    output = run_ruby(<<~'RUBY')
      require "happysock"
      server = TCPServer.new("127.0.0.1", 0)
      HappySock.tcp("127.0.0.1", server.addr[1]) { |socket| server.accept.puts("hello"); print socket.gets }
    RUBY
    assert_equal "hello\n", output
  end

  def test_small_stripped_files_and_nothing_of_the_build
    libraries = Dir["#{INSTALLED_IN}/**/*.so"].reject { |path| File.symlink?(path) }
    refute_empty libraries
    # A file for each version of Ruby, or one; RubyGems keeps a copy of the latter in a directory of extensions.
    assert_equal libraries.map { |path| path[%r{happysock/(\d\.\d)/}, 1] }.uniq.size,
                 libraries.map { |path| File.binread(path) }.uniq.size
    libraries.each do |path|
      assert_operator File.size(path), :<, 1_000_000, path
      assert_match(/no symbols/, Open3.capture2e("nm", path)[0], path)
    end
    assert_empty Dir["#{INSTALLED_IN}/**/*.{o,a}"]
    assert_empty Dir["#{INSTALLED_IN}/gems/happysock-*/{ext/happysock,crate}/target"]
  end

  def test_no_name_of_the_library_shows
    output, status = Open3.capture2e("nm", "-D", "--defined-only", Dir["#{INSTALLED_IN}/gems/**/*.so"].first)
    assert status.success?, output
    assert_equal ["Init_happysock"], output.lines.map { |line| line.split.last }
  end
end
