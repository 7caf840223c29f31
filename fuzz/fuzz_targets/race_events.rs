//! Any events at any time: the invariants of a race hold. The stories are those of the property tests.
#![no_main]
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use std::time::Instant;

#[path = "../../tests/race/invariants.rs"]
mod invariants;

/// One origin for all, so that a story is played the same way each time.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|story: &[u8]| {
    invariants::check(story, *ORIGIN);
});
