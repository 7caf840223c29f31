require "helper"

# Exceptions are those of the stock socket library of the same Ruby: class, message, error_code. What differs is what
# README.md lists, and no more.
class TestExceptions < Minitest::Test
  include Helper

  README = File.expand_path("../README.md", __dir__)

  # The cases that the table of the README names for this Ruby. A row is: cases in backticks, Rubies, reason.
  def listed_differences
    table = File.read(README)[/^\| cases \| Rubies \| why \|\n.*?\n((?:\|.*\n)+)/, 1]
    rows = table.lines.map { |line| line.split("|").map(&:strip) }
    rows.select { |_, _, rubies| meant?(rubies) }.flat_map { |_, cases,| cases.scan(/`([^`]+)`/).flatten }
  end

  def meant?(rubies)
    case rubies
    when "all" then true
    when /\A(\d\.\d) to (\d\.\d)\z/ then (Gem::Version.new($1)..Gem::Version.new($2)).cover?(minor)
    when /\Afrom (\d\.\d)\z/ then minor >= Gem::Version.new($1)
    when /\A\d\.\d\z/ then minor == Gem::Version.new(rubies)
    else flunk "#{README}: which Rubies are #{rubies.inspect}?"
    end
  end

  def minor
    Gem::Version.new(RUBY_VERSION[/\A\d+\.\d+/])
  end

  def outcomes(environment)
    output, error, status = Open3.capture3(environment, RbConfig.ruby, "#{__dir__}/exceptions.rb")
    assert status.success?, error
    output.lines.to_h { |line| JSON.parse(line).then { |outcome| [outcome.delete("case"), outcome] } }
  end

  def test_they_are_those_of_the_stock_library
    skip "this is the stock library" if WAY == "stock"
    ours = outcomes({})
    stock = outcomes("LD_PRELOAD" => nil, "RUBYLIB" => nil, "RUBYOPT" => nil)
    assert_equal stock.keys.sort, ours.keys.sort
    listed = listed_differences
    differing = ours.reject { |name, outcome| outcome == stock[name] }.keys
    unlisted = differing.reject { |name| listed.include?(name) || listed.include?(name[/: (.*)/, 1]) }
    report = unlisted.map { |name| "#{name}:\n  stock #{stock[name]}\n  ours  #{ours[name]}" }
    assert_empty unlisted, report.join("\n")
    # What is listed is a case, and not the misspelling of one.
    named = ours.keys.flat_map { |name| [name, name[/: (.*)/, 1]] }
    assert_empty listed - named, "cases that are listed and do not exist"
  end
end
