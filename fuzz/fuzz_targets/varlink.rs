//! Any bytes as a reply of systemd-resolved: JSON is read as serde_json reads it, in pieces as whole, and only
//! what was asked for comes out.
#![no_main]
use happysock::dns::json::{self, DEEPEST, Value};
use happysock::dns::varlink::{Call, Outcome};
use happysock::dns::{Families, Family};
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;
use std::time::Instant;

fuzz_target!(|input: &[u8]| {
    let Some((&first, reply)) = input.split_first() else { return };
    compare(reply);
    let families = match first % 3 {
        0 => Families::Both,
        1 => Families::Only(Family::V6),
        _ => Families::Only(Family::V4),
    };
    let whole = receive(families, reply.chunks(usize::MAX));
    assert_eq!(receive(families, reply.chunks(1 + usize::from(first / 3))), whole);
    for address in whole.into_iter().flatten().flatten() {
        assert!(families == Families::Both || families == Families::Only(address.family()));
        let is_local = matches!(address.ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        assert!(address.scope_id == 0 || is_local && families == Families::Both);
    }
    write(reply);
});

fn receive<'a>(families: Families, mut pieces: impl Iterator<Item = &'a [u8]>) -> Option<Outcome> {
    let mut call = Call::new(b"www.test", families, true, Instant::now()).unwrap();
    pieces.find_map(|piece| call.receive(piece))
}

/// With serde_json, which lets more lie in each other.
fn compare(text: &[u8]) {
    let ours = json::parse(text);
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(theirs) if depth(&theirs) <= DEEPEST => assert!(is_same(&ours.unwrap(), &theirs)),
        // Where a name came twice, what lay under the first one may have been the deepest.
        Ok(_) | Err(_) => assert!(ours.is_err(), "{ours:?}"),
    }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn is_same(ours: &Value, theirs: &serde_json::Value) -> bool {
    match (ours, theirs) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(ours), serde_json::Value::Bool(theirs)) => ours == theirs,
        (Value::Integer(ours), serde_json::Value::Number(theirs)) => theirs.as_i64() == Some(*ours),
        (Value::Real, serde_json::Value::Number(theirs)) => theirs.as_i64().is_none(),
        (Value::Text(ours), serde_json::Value::String(theirs)) => ours == theirs,
        (Value::Array(ours), serde_json::Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        // There a name that comes twice has its last value.
        (Value::Object(ours), serde_json::Value::Object(theirs)) => {
            ours.iter().all(|(name, _)| theirs.contains_key(&**name))
                && theirs.iter().all(|(name, theirs)| {
                    ours.iter().rfind(|(ours, _)| ours == name).is_some_and(|(_, ours)| is_same(ours, theirs))
                })
        }
        _ => false,
    }
}

/// What is written of a name is read again.
fn write(name: &[u8]) {
    let Ok(mut call) = Call::new(name, Families::Both, true, Instant::now()) else {
        return assert!(std::str::from_utf8(name).is_err());
    };
    let Some((0, text)) = call.unsent().split_last() else { panic!("no zero byte at the end") };
    let text: serde_json::Value = serde_json::from_slice(text).unwrap();
    assert_eq!(text["parameters"]["name"].as_str().unwrap().as_bytes(), name);
    call.sent(call.unsent().len());
    assert!(call.unsent().is_empty());
}
