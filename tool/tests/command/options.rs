//! Every option of the library has a flag.

use crate::world::*;
use std::collections::BTreeSet;

/// The options of the library and their flags. None: what no command line can give, or nobody would see.
const FLAGS: [(&str, Option<&str>); 29] = [
    ("local_host", Some("--local-host")),
    ("local_service", Some("--local-port")),
    ("local_v4", Some("--local-v4")),
    ("local_v6", Some("--local-v6")),
    ("addresses", Some("--address")),
    ("families", Some("--ipv4")),
    ("preferred_family", Some("--prefer")),
    ("fast_fallback", Some("--no-fast-fallback")),
    // The mode of a socket that the command keeps to itself.
    ("nonblocking", None),
    ("lookup_flags", Some("--lookup-flag")),
    ("resolv_timeout", Some("--resolv-timeout")),
    ("connect_timeout", Some("--connect-timeout")),
    ("open_timeout", Some("--timeout")),
    ("resolution_delay", Some("--resolution-delay")),
    ("connection_attempt_delay", Some("--attempt-delay")),
    ("first_address_family_count", Some("--first-family-count")),
    ("max_attempts", Some("--max-attempts")),
    ("history", Some("--no-history")),
    ("nat64", Some("--nat64")),
    ("service", Some("--service")),
    ("alpn", Some("--alpn")),
    ("lookup_by_libc", Some("--libc")),
    ("growing_delay", Some("--growing-delay")),
    ("share_open_timeout", Some("--share-timeout")),
    ("only_connected_families", Some("--only-connected")),
    ("confirm", Some("--tls")),
    // A function of the caller's.
    ("lookup", None),
    // The same: these are what the command shows the race with.
    ("hooks", None),
    ("trace", None),
];

#[test]
fn every_option_of_the_library_has_a_flag() {
    let source = std::fs::read_to_string(root().join("src/drive/plan.rs")).expect("it is there");
    let options = source.split("pub struct Options<'a> {").nth(1).and_then(|rest| rest.split("\n}").next());
    let fields = options.expect("the options are here").lines().filter_map(|line| line.trim().strip_prefix("pub "));
    let fields: BTreeSet<&str> = fields.filter_map(|field| field.split(':').next()).collect();
    let known: BTreeSet<&str> = FLAGS.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, known, "an option needs a flag in tool/src/args.rs and a line in this test");
    let help = run(&["connect", "--help"]).out;
    for flag in FLAGS.iter().filter_map(|(_, flag)| *flag) {
        assert!(help.contains(flag), "{flag} is not in the help");
    }
}
