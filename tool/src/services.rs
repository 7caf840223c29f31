//! The service bindings of a host: SVCB and HTTPS records (RFC 9460), as `happy lookup --service` shows them.

use crate::look::{Look, Paint};
use crate::names;
use crate::record::ms;
use happysock::{ServiceRecord, Unusable, look_up_services};
use serde::Serialize;
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// What the JSON says of them.
#[derive(Serialize)]
pub struct Services {
    service: String,
    took_ms: f64,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The name that has them, behind the aliases.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aliases: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_s: Option<u32>,
    records: Vec<Record>,
}

#[derive(Serialize)]
struct Record {
    priority: u16,
    /// The host whose addresses count.
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// The protocols by which it can be used here; of one that cannot, those that it names.
    alpn: Vec<String>,
    ipv4_hints: Vec<String>,
    ipv6_hints: Vec<String>,
    /// In hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    ech: Option<String>,
    usable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Asks for the bindings of a service, for a client that speaks these protocols; of every one where none is
/// named.
pub fn ask(host: &CStr, service: &str, alpn: &[String], limit: Option<Duration>) -> Services {
    let began = Instant::now();
    let found = look_up_services(host, service, limit);
    let (service, took_ms) = (service.to_owned(), ms(began.elapsed()));
    match found {
        Ok(found) => {
            let spoken: Vec<Vec<u8>> = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
            let record = |record: &ServiceRecord| {
                let usable = record.usable(found.default_alpn, &spoken);
                let named = || record.alpn.iter().map(Vec::as_slice).collect();
                Record {
                    priority: record.priority,
                    target: if record.target.is_empty() { found.owner.clone() } else { record.target.clone() },
                    port: record.port,
                    alpn: usable.clone().unwrap_or_else(|_| named()).into_iter().map(text).collect(),
                    ipv4_hints: record.ipv4_hints.iter().map(ToString::to_string).collect(),
                    ipv6_hints: record.ipv6_hints.iter().map(ToString::to_string).collect(),
                    ech: record.ech.as_ref().map(|ech| ech.iter().map(|octet| format!("{octet:02x}")).collect()),
                    usable: usable.is_ok(),
                    reason: usable.err().map(reason),
                }
            };
            let records = found.records.iter().map(record).collect();
            let (owner, aliases) = (Some(found.owner.clone()), Some(found.aliases));
            Services { service, took_ms, error: None, owner, aliases, ttl_s: found.ttl, records }
        }
        Err(error) => {
            let error = Some(error.to_string());
            Services { service, took_ms, error, owner: None, aliases: None, ttl_s: None, records: Vec::new() }
        }
    }
}

/// An ALPN id, whose octets are text as a rule.
fn text(id: &[u8]) -> String {
    id.escape_ascii().to_string()
}

fn reason(unusable: Unusable) -> String {
    match unusable {
        Unusable::UnknownMandatoryKey(key) => format!("key {key} has to be understood, and is not known"),
        Unusable::MissingMandatoryKey(key) => format!("key {key} has to be there, and is not"),
        Unusable::NoProtocol => "it offers no protocol".to_owned(),
        Unusable::NoCommonProtocol => "it offers no protocol that was asked for".to_owned(),
        _ => "it cannot be used".to_owned(),
    }
}

pub fn lines(services: &Services, look: &Look) -> Vec<String> {
    let took = names::duration_ms(services.took_ms);
    let service = &services.service;
    let head = match (&services.error, services.aliases, services.owner.as_deref().unwrap_or_default()) {
        (Some(error), ..) => format!("No service bindings of {service}, after {took}: {error}."),
        (None, None | Some(0), _) if services.records.is_empty() => {
            format!("No service bindings of {service}: the name is this machine's own.")
        }
        (None, None | Some(0), _) => format!("Service bindings of {service}, after {took}:"),
        (None, Some(aliases), owner) if services.records.is_empty() => {
            let aliases = names::count(usize::from(aliases), "alias", "aliases");
            format!("No service bindings of {service}, but {aliases} to {owner}, after {took}.")
        }
        (None, Some(aliases), owner) => {
            let aliases = names::count(usize::from(aliases), "alias", "aliases");
            format!("Service bindings of {service}, by {aliases} those of {owner}, after {took}:")
        }
    };
    let paint = if services.records.is_empty() { Paint::Quiet } else { Paint::Plain };
    let mut lines: Vec<String> = look.wrap(&head).iter().map(|line| look.paint(paint, line)).collect();
    for record in &services.records {
        let mut text = format!("{:>4}  {}", record.priority, record.target);
        if let Some(port) = record.port {
            text.push_str(&format!(" port {port}"));
        }
        if !record.alpn.is_empty() {
            text.push_str(&format!(" {}", record.alpn.join(",")));
        }
        for hint in record.ipv6_hints.iter().chain(&record.ipv4_hints) {
            text.push_str(&format!(" {hint}"));
        }
        if record.ech.is_some() {
            text.push_str(" ECH");
        }
        if let Some(reason) = &record.reason {
            text.push_str(&format!("  ({reason})"));
        }
        let paint = if record.usable { Paint::Plain } else { Paint::Bad };
        lines.push(look.paint(paint, look.fit(&text, look.width).trim_end()));
    }
    lines
}
