require "helper"
require "happysock"

# The RBS signatures say what the code says.
class TestSignatures < Minitest::Test
  include Helper

  SIGNATURES = File.expand_path("../sig", __dir__)

  def test_they_are_valid
    # Run by its file: Debian has the gem and not its command.
    command = Gem::Specification.find_by_name("rbs").bin_file("rbs")
    output, status = Open3.capture2e(RbConfig.ruby, "-W0", command, "-r", "socket", "-I", SIGNATURES, "validate",
                                     "--silent")
    assert status.success?, output.lines.last(20).join
  rescue Gem::MissingSpecError
    skip "no rbs here"
  end

  # The keywords of what is written in C are known to nobody but the settings.
  def test_every_method_and_every_keyword_has_one
    text = File.read("#{SIGNATURES}/happysock.rbs")
    own = text.scan(/^  def self\.(\w+):/).flatten.map(&:to_sym)
    assert_equal HappySock.singleton_methods(false).sort, own.sort
    classes = { HappySock::Lookup => "Lookup", HappySock::Resolver => "Resolver" }
    classes.each do |klass, name|
      methods = klass.public_instance_methods(false) + [:initialize]
      assert_equal methods.sort, text[/^  class #{name}\n.*?^  end$/m].scan(/^    def (\w+\??):/).flatten.map(&:to_sym).sort
    end
    tcp = text[/def self\.tcp: .*?-> TCPSocket/m].scan(/\?(\w+): /).flatten.map(&:to_sym)
    assert_equal (HappySock::Settings.members + [:trace]).sort, tcp.sort
    draft = text[/interface _Draft\n.*?^  end$/m].scan(/def (\w+)=:/).flatten.map(&:to_sym)
    assert_equal (HappySock::Settings.members + [:tracer]).sort, draft.sort
  end

  def test_everything_is_documented
    directory = File.dirname($LOADED_FEATURES.grep(/happysock\/version\.rb\z/).first, 2)
    sources = Dir["#{directory}/**/*.rb"] + Dir[File.expand_path("../ext/**/*.c", __dir__)]
    output, status = Open3.capture2e(RbConfig.ruby, "-W0", "-S", "rdoc", "--coverage-report", *sources)
    skip "no rdoc here" if output.match?(/LoadError|GemNotFoundException/)
    assert status.success?, output
    assert_match(/100\.00% documented/, output)
  end
end
