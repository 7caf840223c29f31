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

  def test_every_method_and_every_keyword_has_one
    text = File.read("#{SIGNATURES}/happysock.rbs")
    methods = HappySock.singleton_methods(false) - %i[connect]
    assert_equal methods.sort, text.scan(/def self\.(\w+):/).flatten.map(&:to_sym).sort
    keywords = HappySock.method(:tcp).parameters.filter_map { |kind, name| name if kind == :key }
    keywords.each { |keyword| assert_equal 2, text.scan(/\?#{keyword}: /).size, keyword }
  end
end
