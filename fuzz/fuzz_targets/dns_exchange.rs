//! Any events at any time: a walk ends, and answers each family once. The stories are those of the property
//! tests.
#![no_main]
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use std::time::Instant;

#[path = "../../tests/dns_exchange/stories.rs"]
mod stories;

/// One origin for all, so that a story is played the same way each time.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|story: &[u8]| {
    stories::check(story, *ORIGIN);
});
