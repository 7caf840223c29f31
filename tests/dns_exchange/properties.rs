//! Property tests: whatever servers say, in whatever order and at whatever time.
use crate::{oracle, stories};
use proptest::prelude::*;
use std::path::Path;
use std::time::Instant;

fn settings() -> ProptestConfig {
    ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

/// A name of a record: of the question, by a pointer into it, in full, or a pointer to anywhere.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(vec![0xc0, 12]),
        2 => Just(vec![0xc0, 14]),
        2 => Just(b"\x01a\x04test\x00".to_vec()),
        2 => Just(b"\x01A\xc0\x0e".to_vec()),
        1 => Just(vec![0]),
        1 => any::<u8>().prop_map(|low| vec![0xc0, low]),
    ]
}

/// A resource record as servers send them, or not quite so.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        3 => Just((1, vec![192, 0, 2, 1])),
        3 => Just((28, vec![0x20; 16])),
        3 => name().prop_map(|name| (5, name)),
        1 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)),
    ];
    (name(), data, prop_oneof![9 => Just(1), 1 => Just(3)]).prop_map(|(owner, (record_type, data), class)| {
        let fields = [0, record_type, 0, class, 0, 0, 0, 60, 0, data.len() as u8];
        [&owner[..], &fields, &data].concat()
    })
}

/// An answer to a question for `a.test`, sometimes with an octet changed.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let mutation = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(record(), 0..6), prop_oneof![Just(1), Just(28)], mutation).prop_map(
        |(records, record_type, mutation)| {
            let header = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
            let mut message = [&header[..], b"\x01a\x04test\x00\x00", &[record_type, 0, 1], &records.concat()].concat();
            if let Some((place, octet)) = mutation {
                let place = place.index(message.len());
                message[place] = octet;
            }
            message
        },
    )
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn messages_are_read_as_another_codec_reads_them(message in message()) {
        oracle::check(&message);
    }

    #[test]
    fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        oracle::check(&octets);
    }

    #[test]
    fn every_walk_ends_and_answers_each_family_once(story in prop::collection::vec(any::<u8>(), 0..300)) {
        stories::check(&story, Instant::now());
    }

    #[test]
    fn equal_stories_are_told_equally(story in prop::collection::vec(any::<u8>(), 0..100)) {
        let origin = Instant::now();
        prop_assert_eq!(stories::check(&story, origin), stories::check(&story, origin));
    }
}

/// Each file of a fuzzer's corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap();
    let files: Vec<Vec<u8>> = files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() > 50, "the corpus was not found");
    files
}

#[test]
fn the_stories_that_the_fuzzer_kept_end_well() {
    for story in corpus("dns_exchange") {
        stories::check(&story, Instant::now());
    }
}

#[test]
fn the_messages_that_the_fuzzer_kept_are_read() {
    for message in corpus("dns_message") {
        oracle::check(&message);
    }
}
