//! Property tests: whatever happens, in whatever order and at whatever time, the invariants hold.
use crate::invariants::check;
use proptest::prelude::*;
use std::time::Instant;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    // Our rule: no order of events and times breaks what `invariants` checks.
    #[test]
    fn the_invariants_hold(story in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&story, Instant::now());
    }

    // Our rule: the machine depends on nothing but what it is told.
    #[test]
    fn equal_inputs_give_equal_outputs(story in prop::collection::vec(any::<u8>(), 0..200)) {
        let origin = Instant::now();
        prop_assert_eq!(check(&story, origin), check(&story, origin));
    }
}

// Our rule: what the fuzzer has found once stays found.
#[test]
fn the_invariants_hold_in_the_stories_that_the_fuzzer_kept() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/race_events");
    let mut played = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap(), Instant::now());
        played += 1;
    }
    assert!(played > 50, "the corpus was not found");
}
