//! What nss-resolve(8) makes of each reply, as its source (systemd 252 and 258) and its libnss_resolve.so.2
//! say.
use crate::*;
use happysock::dns::failure::{Failure, HostError, Status};
use happysock::dns::varlink::{Call, LIMIT, LONGEST_REPLY, Outcome, UNAVAILABLE};
use std::time::{Duration, Instant};

const TRY_AGAIN: Failure = Failure { status: Status::TryAgain, error: HostError::TryAgain };

fn call(families: Families) -> Call {
    Call::new(b"www.test", families, true, Instant::now()).unwrap()
}

/// What follows from a reply, to a call for both families.
fn outcome(reply: &str) -> Outcome {
    outcome_for(BOTH, reply)
}

fn outcome_for(families: Families, reply: &str) -> Outcome {
    call(families).receive(format!("{reply}\0").as_bytes()).expect("a complete reply")
}

fn addresses(entries: &str) -> Outcome {
    outcome(&format!(r#"{{"parameters":{{"addresses":{entries},"name":"www.test","flags":1}}}}"#))
}

#[test]
fn a_call_says_what_is_asked() {
    let asked = |name: &[u8], families| {
        let call = Call::new(name, families, true, Instant::now()).unwrap();
        String::from_utf8(call.unsent().to_vec()).unwrap()
    };
    let start = r#"{"method":"io.systemd.Resolve.ResolveHostname","parameters":{"name":"#;
    assert_eq!(asked(b"www.test", BOTH), format!("{start}\"www.test\",\"flags\":0}}}}\0"));
    assert_eq!(asked(b"x", ONLY_V4), format!("{start}\"x\",\"family\":2,\"flags\":0}}}}\0"));
    assert_eq!(asked("ü\"".as_bytes(), ONLY_V6), format!("{start}\"ü\\\"\",\"family\":10,\"flags\":0}}}}\0"));
}

#[test]
fn a_name_that_no_json_can_hold_is_not_asked() {
    assert_eq!(Call::new(b"\xff.test", BOTH, true, Instant::now()).err(), Some(UNAVAILABLE));
}

#[test]
fn addresses_keep_their_order() {
    let reply = r#"[{"ifindex":2,"family":2,"address":[192,0,2,1]},{"family":10,"address":[32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1]},
        {"family":2,"address":[192,0,2,0]}]"#;
    let expected = vec![address("192.0.2.1", 0), address("2001:db8::1", 0), address("192.0.2.0", 0)];
    assert_eq!(addresses(reply), Ok(expected));
}

#[test]
fn the_interface_counts_for_link_local_addresses_of_both_families_only() {
    let entry = |octets: &str, ifindex: &str| format!(r#"[{{"ifindex":{ifindex},"family":10,"address":[{octets}]}}]"#);
    let link_local = "254,128,0,0,0,0,0,0,0,0,0,0,0,0,0,1";
    assert_eq!(addresses(&entry(link_local, "7")), Ok(vec![address("fe80::1", 7)]));
    assert_eq!(addresses(&entry(link_local, "0")), Ok(vec![address("fe80::1", 0)]));
    assert_eq!(addresses(&entry(link_local, "-7")), Ok(vec![address("fe80::1", 0)]));
    // The last address of fe80::/10, and the first behind it.
    assert_eq!(addresses(&entry("254,191,0,0,0,0,0,0,0,0,0,0,0,0,0,1", "7")), Ok(vec![address("febf::1", 7)]));
    assert_eq!(addresses(&entry("254,192,0,0,0,0,0,0,0,0,0,0,0,0,0,1", "7")), Ok(vec![address("fec0::1", 0)]));
    // gethostbyname2_r(3) has no place for it.
    let reply = format!(r#"{{"parameters":{{"addresses":{}}}}}"#, entry(link_local, "7"));
    assert_eq!(outcome_for(ONLY_V6, &reply), Ok(vec![address("fe80::1", 0)]));
}

#[test]
fn families_that_were_not_asked_for_are_passed_over() {
    let reply = r#"{"parameters":{"addresses":[{"family":2,"address":[192,0,2,1]},
        {"family":10,"address":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]},{"family":1,"address":[1,2,3,4]}]}}"#;
    assert_eq!(outcome_for(ONLY_V4, reply), Ok(vec![address("192.0.2.1", 0)]));
    assert_eq!(outcome_for(ONLY_V6, reply), Ok(vec![address("::1", 0)]));
    assert_eq!(outcome(reply), Ok(vec![address("192.0.2.1", 0), address("::1", 0)]));
    let other = r#"{"parameters":{"addresses":[{"family":2,"address":[192,0,2,1]}]}}"#;
    assert_eq!(outcome_for(ONLY_V6, other), Err(Failure::HOST_NOT_FOUND));
}

#[test]
fn without_addresses_there_is_no_such_name() {
    assert_eq!(addresses("[]"), Err(Failure::HOST_NOT_FOUND));
}

#[test]
fn errors_are_mapped_as_nss_resolve_maps_them() {
    let error = |error: &str| outcome(&format!(r#"{{"error":"{error}","parameters":{{"rcode":3}}}}"#));
    for name in [
        "io.systemd.Disconnected",
        "io.systemd.TimedOut",
        "io.systemd.Protocol",
        "org.varlink.service.InterfaceNotFound",
        "org.varlink.service.MethodNotFound",
        "org.varlink.service.MethodNotImplemented",
    ] {
        assert_eq!(error(name), Err(UNAVAILABLE), "{name}");
    }
    for name in ["NoNameServers", "QueryTimedOut", "MaxAttemptsReached", "NetworkDown"] {
        assert_eq!(error(&format!("io.systemd.Resolve.{name}")), Err(TRY_AGAIN), "{name}");
    }
    for name in [
        "io.systemd.Resolve.DNSError",
        "io.systemd.Resolve.DNSSECValidationFailed",
        "io.systemd.Resolve.NoTrustAnchor",
        "io.systemd.Resolve.ResourceRecordTypeUnsupported",
        "io.systemd.Resolve.NoSource",
        "io.systemd.Resolve.StubLoop",
        "io.systemd.Resolve.QueryRefused",
        "io.systemd.Resolve.CNAMELoop",
        "io.systemd.Resolve.InvalidReply",
        "io.systemd.Resolve.QueryAborted",
        "io.systemd.System",
        "org.varlink.service.InvalidParameter",
        "anything.else",
    ] {
        assert_eq!(error(name), Err(Failure::HOST_NOT_FOUND), "{name}");
    }
    assert_eq!(error("io.systemd.Resolve.NoSuchResourceRecord"), Err(Failure::NO_DATA));
    // It needs no parameters; and an error counts, whatever they are.
    assert_eq!(outcome(r#"{"error":"io.systemd.Resolve.NetworkDown"}"#), Err(TRY_AGAIN));
    let with_addresses = r#"{"error":"io.systemd.Resolve.NetworkDown","parameters":{"addresses":[]}}"#;
    assert_eq!(outcome(with_addresses), Err(TRY_AGAIN));
}

#[test]
fn an_older_module_does_not_tell_a_name_without_addresses() {
    let mut call = Call::new(b"www.test", BOTH, false, Instant::now()).unwrap();
    let reply = call.receive(b"{\"error\":\"io.systemd.Resolve.NoSuchResourceRecord\",\"parameters\":{}}\0");
    assert_eq!(reply, Some(Err(Failure::HOST_NOT_FOUND)));
}

#[test]
fn what_is_no_reply_is_as_if_nobody_were_there() {
    for reply in [
        "",
        "x",
        "[]",
        "{}",
        "null",
        r#"{"parameters":null}"#,
        r#"{"parameters":[]}"#,
        r#"{"parameters":{}}"#,
        r#"{"parameters":{"addresses":null}}"#,
        r#"{"parameters":{"addresses":{}}}"#,
        r#"{"parameters":{"addresses":[]},"more":1}"#,
        r#"{"parameters":{"addresses":[]},"continues":true}"#,
        r#"{"parameters":{"addresses":[]},"continues":1}"#,
        r#"{"parameters":{"addresses":[]},"parameters":{"addresses":[]}}"#,
        r#"{"parameters":{"addresses":[],"addresses":[]}}"#,
        r#"{"parameters":{"addresses":[],"name":1}}"#,
        r#"{"parameters":{"addresses":[],"flags":-1}}"#,
        r#"{"parameters":{"addresses":[],"flags":"1"}}"#,
        r#"{"error":1}"#,
        r#"{"error":null,"parameters":{"addresses":[]}}"#,
        r#"{"error":"x","error":"y"}"#,
        r#"{"error":"x"} x"#,
    ] {
        assert_eq!(outcome(reply), Err(UNAVAILABLE), "{reply}");
    }
    let good = r#"{"family":2,"address":[192,0,2,1]}"#;
    for entry in [
        "1",
        "[]",
        "{}",
        r#"{"family":2}"#,
        r#"{"address":[192,0,2,1]}"#,
        r#"{"family":"2","address":[192,0,2,1]}"#,
        r#"{"family":2,"address":"192.0.2.1"}"#,
        r#"{"family":2,"address":[192,0,2]}"#,
        r#"{"family":2,"address":[192,0,2,256]}"#,
        r#"{"family":2,"address":[192,0,2,-1]}"#,
        r#"{"family":2,"address":[192,0,2,1.0]}"#,
        r#"{"family":2,"address":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]}"#,
        r#"{"family":10,"address":[192,0,2,1]}"#,
        r#"{"family":1,"address":[192,0,2]}"#,
        r#"{"ifindex":"2","family":2,"address":[192,0,2,1]}"#,
        r#"{"ifindex":2147483648,"family":2,"address":[192,0,2,1]}"#,
        r#"{"family":2,"family":2,"address":[192,0,2,1]}"#,
    ] {
        assert_eq!(addresses(&format!("[{good},{entry}]")), Err(UNAVAILABLE), "{entry}");
    }
}

#[test]
fn what_a_later_version_may_add_changes_nothing() {
    let reply = r#"{"continues":false,"error":"","parameters":{"new":{"a":[1.5,true]},"flags":0,
        "addresses":[{"new":null,"family":2,"address":[192,0,2,1]}]}}"#;
    assert_eq!(outcome(reply), Ok(vec![address("192.0.2.1", 0)]));
}

#[test]
fn a_reply_may_come_in_pieces_of_any_length() {
    let reply = b"{\"parameters\":{\"addresses\":[{\"family\":2,\"address\":[192,0,2,1]}],\"name\":\"\\u00e9\xc3\xa9\"}}\0{\"error\"";
    let end = reply.iter().position(|&byte| byte == 0).unwrap();
    for length in 1..=reply.len() {
        let mut call = call(BOTH);
        let outcome = reply.chunks(length).enumerate().find_map(|(count, piece)| Some((count, call.receive(piece)?)));
        assert_eq!(outcome, Some((end / length, Ok(vec![address("192.0.2.1", 0)]))), "pieces of {length}");
    }
    assert_eq!(call(BOTH).receive(b""), None);
}

#[test]
fn the_length_of_a_reply_is_bounded() {
    let mut fits = call(BOTH);
    let blanks = vec![b' '; LONGEST_REPLY - 2];
    assert_eq!(fits.receive(&blanks), None);
    assert_eq!(fits.receive(b"{}\0"), Some(Err(UNAVAILABLE)), "nothing in it");
    let reply = br#"{"error":"io.systemd.Resolve.NetworkDown"}"#;
    let mut longest = vec![b' '; LONGEST_REPLY - reply.len()];
    longest.extend_from_slice(reply);
    let mut fits = call(BOTH);
    assert_eq!(fits.receive(&longest), None);
    assert_eq!(fits.receive(b"\0"), Some(Err(TRY_AGAIN)));
    let mut exceeds = call(BOTH);
    assert_eq!(exceeds.receive(&longest), None);
    assert_eq!(exceeds.receive(b" "), Some(Err(UNAVAILABLE)));
    // All that a name can have in DNS fits.
    let v4 = r#"{"ifindex":2147483647,"family":2,"address":[255,255,255,255]},"#;
    let v6 = r#"{"ifindex":2147483647,"family":10,"address":[255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255]},"#;
    assert!(4095 * v4.len() + 2340 * v6.len() + 512 < LONGEST_REPLY);
}

#[test]
fn it_is_given_up_after_two_minutes() {
    let now = Instant::now();
    let call = Call::new(b"www.test", BOTH, true, now).unwrap();
    assert_eq!(LIMIT, Duration::from_secs(120));
    assert_eq!(call.deadline(), now + LIMIT);
    assert_eq!(call.expire(now + LIMIT - Duration::from_nanos(1)), None);
    assert_eq!(call.expire(now + LIMIT), Some(Err(UNAVAILABLE)));
}

#[test]
fn what_was_sent_is_not_sent_again() {
    let mut call = call(BOTH);
    let whole = call.unsent().to_vec();
    call.sent(10);
    assert_eq!(call.unsent(), &whole[10..]);
    call.sent(usize::MAX);
    assert!(call.unsent().is_empty());
}
