require "helper"

# Exceptions are those of the stock socket library of the same Ruby: class, message, error_code.
class TestExceptions < Minitest::Test
  include Helper

  # Where ours is meant to differ.
  BETTER = {
    "negative connect_timeout" => "refused before anything is done, also where the stock library never looks at it",
    "connect_timeout of a wrong class" => "likewise",
    "failure of the connect, then of one lookup" => "the connect's, as from 4.0 on (CRuby bug 21088)",
    "failure of both lookups" => "the more telling error, or the first one, and not whichever came last",
    "failure of both lookups, the other way round" => "likewise",
  }.freeze

  def outcomes(environment)
    output, error, status = Open3.capture3(environment, RbConfig.ruby, "#{__dir__}/exceptions.rb")
    assert status.success?, error
    output.lines.to_h { |line| JSON.parse(line).then { |outcome| [outcome.delete("case"), outcome] } }
  end

  def test_they_are_those_of_the_stock_library
    skip "this is the stock library" if WAY == "stock"
    ours = outcomes({})
    stock = outcomes("LD_PRELOAD" => nil, "RUBYLIB" => nil, "RUBYOPT" => nil)
    assert_equal stock.keys, ours.keys
    differing = ours.reject { |name, outcome| outcome == stock[name] }.keys - BETTER.keys
    report = differing.map { |name| "#{name}:\n  stock #{stock[name]}\n  ours  #{ours[name]}" }
    assert_empty differing, report.join("\n")
  end
end
