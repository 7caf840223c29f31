//! The examples of the README are usable.

use lab::Scenario;

#[test]
fn every_scenario_of_the_readme_is_accepted() {
    let readme = include_str!("../README.md");
    let (scenarios, _logs) = readme.split_once("## The logs").expect("the README has a chapter on the logs");
    let examples: Vec<&str> =
        scenarios.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 8, "the README has only {} examples", examples.len());
    for example in examples {
        Scenario::parse(example).unwrap_or_else(|error| panic!("{error:#}\n{example}"));
    }
}
