//! `happy lookup`: who answers for a name, in which order its addresses go, and why.

use crate::args::{LookOptions, LookupArguments};
use crate::chart;
use crate::connect::{c_string, make_plan, without_brackets};
use crate::exit;
use crate::getaddrinfo::{self, Answer};
use crate::interrupt::Interrupts;
use crate::live::Live;
use crate::look::{Look, Paint};
use crate::names;
use crate::output;
use crate::race::Starter;
use crate::record::{Lookup, Record, Status, VERSION, address_text};
use crate::services::{self, Services};
use anyhow::Result;
use console::Term;
use happysock::race::{Family, Placed};
use happysock::{Connect, Options};
use serde::Serialize;
use std::time::Instant;

/// What the JSON says.
#[derive(Serialize)]
struct Found<'a> {
    version: u32,
    command: &'a str,
    host: &'a str,
    began_unix_ms: u64,
    total_ms: f64,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    lookups: &'a [Lookup],
    order: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<&'a Services>,
    #[serde(skip_serializing_if = "Option::is_none")]
    getaddrinfo: Option<Beside<'a>>,
}

/// An address in its place.
#[derive(Serialize)]
struct Address {
    address: String,
    family: &'static str,
    usable: bool,
    /// Why it stands behind the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The number of the rule in RFC 6724.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<u32>,
    /// As the how manieth a connect would attempt it, from 1.
    attempt: usize,
}

#[derive(Serialize)]
struct Beside<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    same: bool,
}

pub fn run(arguments: &LookupArguments, look: &LookOptions, interrupts: &Interrupts) -> Result<u8> {
    let term = Term::stdout();
    let look = Look::of(&term, look);
    let starter = Starter::new(None);
    let host = without_brackets(&arguments.host);
    let c_host = c_string("HOST", host)?;
    let options = Options {
        families: arguments.names.families(),
        preferred_family: arguments.names.prefer.map(|family| family.family()),
        lookup_flags: arguments.names.flags(),
        lookup_by_libc: arguments.names.libc,
        only_connected_families: arguments.names.only_connected,
        open_timeout: arguments.timeout,
        hooks: Some(starter.hooks()),
        trace: true,
        ..Options::default()
    };
    let plan = make_plan(Some(&c_host), None, &options)?;
    let began = Instant::now();
    let mut record = Record::new("lookup", &arguments.host, "");
    let mut live = Live::new(term, look);
    let end = starter.run(Connect::rehearse(plan), &mut record, interrupts, |record, now| {
        if !arguments.json {
            live.draw(&chart::lines(record, now, &look));
        }
    })?;
    let placed = end.order.unwrap_or_default();
    let order = addresses(&placed);
    let beside = match arguments.compare && interrupts.exit_code().is_none() {
        true => Some(getaddrinfo::ask(host, arguments.timeout.map(|limit| limit.saturating_sub(began.elapsed())))?),
        false => None,
    };
    let bindings = arguments.service.as_ref().filter(|_| interrupts.exit_code().is_none()).map(|service| {
        let limit = arguments.timeout.map(|limit| limit.saturating_sub(began.elapsed()));
        services::ask(&c_host, service, &arguments.alpn, limit)
    });
    let same = beside.as_ref().is_none_or(|answer| is_same(answer, &order));
    let (status, code) = ending(&record, !placed.is_empty(), interrupts);
    if arguments.json {
        let message =
            (status != "found").then(|| record.result.as_ref().map(|result| result.message.as_str())).flatten();
        output::print_json(&Found {
            version: VERSION,
            command: "lookup",
            host: &arguments.host,
            began_unix_ms: record.began_unix_ms,
            total_ms: record.span_ms(),
            status,
            message,
            lookups: &record.lookups,
            order,
            services: bindings.as_ref(),
            getaddrinfo: beside.as_ref().map(|answer| Beside { answer, same }),
        })?;
    } else {
        let mut lines = lines(&record, &order, &look);
        if let Some(bindings) = &bindings {
            lines.extend(services::lines(bindings, &look));
        }
        if let Some(answer) = &beside {
            lines.extend(comparison(answer, same, &order, &look));
        }
        if status != "found" {
            let message = record.result.as_ref().map_or("", |result| result.message.as_str());
            lines.push(look.paint(Paint::Bad, &format!("Not found: {message}.")));
        }
        live.finish(&lines);
    }
    Ok(if code == exit::FINE && !same { exit::NOT_CONNECTED } else { code })
}

/// How it ended, in a word and as an exit code.
fn ending(record: &Record, found: bool, interrupts: &Interrupts) -> (&'static str, u8) {
    match (interrupts.exit_code(), record.result.as_ref().map(|result| result.status)) {
        (Some(code), _) => ("cancelled", code),
        _ if found => ("found", exit::FINE),
        (None, Some(Status::TimedOut)) => ("timed_out", exit::TIMED_OUT),
        (None, _) => ("not_found", exit::NOT_FOUND),
    }
}

fn addresses(placed: &[Placed]) -> Vec<Address> {
    let turns = turns(placed);
    let address = |(place, one): (usize, &Placed)| Address {
        address: address_text(&one.address),
        family: names::family(Family::of(&one.address)),
        usable: one.is_usable,
        reason: one.rule.map(names::rule),
        rule: one.rule.and_then(|rule| rule.number()),
        attempt: turns[place],
    };
    placed.iter().enumerate().map(address).collect()
}

/// As the how manieth each would be attempted: by turns between the families, from that of the first on, and
/// the rest when one of them has no more (RFC 8305, section 4).
fn turns(placed: &[Placed]) -> Vec<usize> {
    let mut turns = vec![0; placed.len()];
    let mut wanted = placed.first().map(|one| Family::of_packets(&one.address));
    for turn in 1..=placed.len() {
        let left = || placed.iter().enumerate().filter(|(place, _)| turns[*place] == 0);
        let of_wanted = left().find(|(_, one)| Some(Family::of_packets(&one.address)) == wanted);
        let Some((place, one)) = of_wanted.or_else(|| left().next()) else { break };
        wanted = Some(Family::of_packets(&one.address).other());
        turns[place] = turn;
    }
    turns
}

fn lines(record: &Record, order: &[Address], look: &Look) -> Vec<String> {
    let mut lines = vec![look.paint(Paint::Strong, look.fit(&record.host, look.width.min(100)).trim_end())];
    for row in chart::states(record, look) {
        lines.extend(row);
    }
    let columns =
        order.iter().map(|one| one.address.chars().count()).max().unwrap_or(0).min(look.width.saturating_sub(10));
    for (place, one) in order.iter().enumerate() {
        let reason = match (one.reason, one.rule) {
            (None, _) if !one.usable => "there is no way there".to_owned(),
            (None, _) => String::new(),
            (Some(reason), Some(rule)) => format!("{reason} (rule {rule})"),
            (Some(reason), None) => format!("{reason} (history)"),
        };
        let head = format!("{:>4}  {}", place + 1, look.fit(&one.address, columns));
        let paint = if one.usable { Paint::Plain } else { Paint::Bad };
        let room = look.width.saturating_sub(console::measure_text_width(&head) + 2);
        let (head, reason) = (look.paint(paint, &head), look.paint(Paint::Quiet, look.fit(&reason, room).trim_end()));
        lines.push(format!("{head}  {reason}").trim_end().to_owned());
    }
    let mut attempts: Vec<(usize, usize)> =
        order.iter().enumerate().map(|(place, one)| (one.attempt, place + 1)).collect();
    attempts.sort_unstable();
    if attempts.iter().any(|(attempt, place)| attempt != place) {
        let places: Vec<String> = attempts.iter().map(|(_, place)| place.to_string()).collect();
        let text = format!("A connect attempts them by turns between the families: {}.", places.join(", "));
        lines.extend(look.wrap(&text));
    }
    lines
}

fn is_same(answer: &Answer, order: &[Address]) -> bool {
    answer.addresses.iter().eq(order.iter().map(|one| &one.address))
}

fn comparison(answer: &Answer, same: bool, order: &[Address], look: &Look) -> Vec<String> {
    let took = names::duration_ms(answer.took_ms);
    let text = match (&answer.error, same) {
        (Some(error), true) => format!("getaddrinfo(3) finds nothing either, after {took}: {error}."),
        (Some(error), false) => format!("getaddrinfo(3) finds nothing, after {took}: {error}."),
        (None, true) => format!("getaddrinfo(3) gives the same in the same order, after {took}."),
        (None, false) => format!("getaddrinfo(3) differs, after {took}:"),
    };
    let paint = if same { Paint::Good } else { Paint::Bad };
    let mut lines: Vec<String> = look.wrap(&text).iter().map(|line| look.paint(paint, line)).collect();
    if !same {
        for (place, address) in answer.addresses.iter().enumerate() {
            let here = order.iter().position(|one| one.address == *address);
            let remark = match here {
                Some(here) if here == place => String::new(),
                Some(here) => format!("  here {}", here + 1),
                None => "  not here".to_owned(),
            };
            lines.push(look.fit(&format!("{:>4}  {address}{remark}", place + 1), look.width).trim_end().to_owned());
        }
        for one in order.iter().filter(|one| !answer.addresses.contains(&one.address)) {
            lines.push(look.fit(&format!("   -  {} only here", one.address), look.width).trim_end().to_owned());
        }
    }
    lines
}
