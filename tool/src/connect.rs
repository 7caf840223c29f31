//! `happy connect`: the race, live; what it cost; then a pipe.

use crate::args::{ConnectArguments, LookOptions};
use crate::cost;
use crate::exit::{self, Usage};
use crate::interrupt::Interrupts;
use crate::live::Live;
use crate::look::{Look, Paint};
use crate::names;
use crate::output;
use crate::pipe::{self, Peer};
use crate::race::Starter;
use crate::record::{Record, Status};
use crate::repeat;
use crate::tls::Tls;
use anyhow::Result;
use console::Term;
use happysock::{Connect, History, Options, Plan, PlanError};
use std::ffi::{CStr, CString};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub fn run(arguments: &ConnectArguments, look: &LookOptions, interrupts: &Interrupts) -> Result<u8> {
    let passes = passes(arguments);
    // What passes through has standard output for itself.
    let term = if passes { Term::stderr() } else { Term::stdout() };
    let look = Look::of(&term, look);
    let show = !arguments.quiet && !arguments.output.json;
    let learns = arguments.repeat > 1 && !arguments.no_history;
    let history = learns.then(|| Arc::new(History::new(Instant::now())));
    let host = without_brackets(&arguments.host);
    let tls = || Tls::new(host, arguments.tls_ca.as_deref(), &arguments.alpn);
    let tls = arguments.tls.then(tls).transpose()?;
    let mut records = Vec::new();
    let mut connection: Option<Arc<dyn Peer>> = None;
    for _ in 0..arguments.repeat {
        let (record, peer) =
            race(arguments, (history.as_ref(), tls.as_ref()), &term, &look, show && arguments.repeat == 1, interrupts)?;
        if arguments.output.json {
            output::print_json(&record)?;
        }
        records.push(record);
        if let Some(before) = std::mem::replace(&mut connection, peer) {
            before.leave();
        }
        if show && arguments.repeat > 1 {
            repeat::show_one(&term, &look, &records);
        }
        if interrupts.exit_code().is_some() {
            break;
        }
    }
    if show && arguments.repeat > 1 {
        let learnt = history.map(|history| history.report(Instant::now()));
        repeat::summarize(&term, &look, &records, learnt);
    }
    output::write(&arguments.output.pictures, arguments.output.qlog.as_deref(), &records)?;
    if let Some(code) = interrupts.exit_code() {
        return Ok(code);
    }
    match connection {
        Some(peer) if passes => pipe::run(peer)?,
        Some(peer) => peer.leave(),
        None => {}
    }
    Ok(records
        .iter()
        .filter_map(|record| record.result.as_ref())
        .map(|result| exit::of(result.status))
        .max()
        .unwrap_or(0))
}

fn passes(arguments: &ConnectArguments) -> bool {
    let may = arguments.repeat == 1 && !arguments.zero && !arguments.output.json;
    may && (arguments.pipe.is_some() || pipe::input_is_given())
}

/// One race, shown as it runs.
fn race(
    arguments: &ConnectArguments,
    (history, tls): (Option<&Arc<History>>, Option<&Tls>),
    term: &Term,
    look: &Look,
    show: bool,
    interrupts: &Interrupts,
) -> Result<(Record, Option<Arc<dyn Peer>>)> {
    let starter = Starter::new(tls);
    let plan = plan(arguments, history, &starter)?;
    let mut record = Record::new("connect", &arguments.host, &arguments.port);
    let mut live = Live::new(term.clone(), *look);
    let end = starter.run(Connect::new(plan), &mut record, interrupts, |record, now| {
        if show {
            live.draw(&with_title(record, now, look));
        }
    })?;
    record.cost = cost::of(&record);
    if show {
        let mut lines = with_title(&record, record.span_ms(), look);
        lines.extend(conclusion(&record, look));
        live.finish(&lines);
    }
    for (address, reason) in end.handshake_failures {
        eprintln!("happy: TLS with {address}: {reason}");
    }
    Ok((record, end.peer))
}

fn with_title(record: &Record, now: f64, look: &Look) -> Vec<String> {
    let mut lines = vec![look.paint(Paint::Strong, look.fit(&record.title(), look.width.min(100)).trim_end())];
    lines.extend(crate::chart::lines(record, now, look));
    lines
}

/// What is said below the bars. Shared with `happy draw`.
pub fn conclusion(record: &Record, look: &Look) -> Vec<String> {
    let connected = record.result.as_ref().is_some_and(|result| result.status == Status::Connected);
    let mut lines = Vec::new();
    for (number, sentence) in cost::sentences(record).iter().enumerate() {
        let paint = match (number, connected) {
            (0, true) => Paint::Good,
            (0, false) => Paint::Bad,
            _ => Paint::Plain,
        };
        lines.extend(look.wrap(sentence).iter().map(|line| look.paint(paint, line)));
    }
    lines
}

/// A C string of an argument, which comes without a zero byte from the system.
pub fn c_string(name: &str, text: &str) -> Result<CString> {
    Ok(CString::new(text).map_err(|_| Usage(format!("{name}: contains a zero byte")))?)
}

/// Brackets around an address are a URL's, not part of it.
pub fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn plan(arguments: &ConnectArguments, history: Option<&Arc<History>>, starter: &Starter) -> Result<Plan> {
    let host = c_string("HOST", without_brackets(&arguments.host))?;
    let port = c_string("PORT", &arguments.port)?;
    let local_host = arguments.local_host.as_deref().map(|text| c_string("--local-host", text)).transpose()?;
    let local_port = arguments.local_port.as_deref().map(|text| c_string("--local-port", text)).transpose()?;
    let addresses = addresses(arguments)?;
    let race = &arguments.race;
    let alpn: Vec<&[u8]> = arguments.alpn.iter().map(String::as_bytes).collect();
    let defaults = Options::default();
    let options = Options {
        local_host: local_host.as_deref(),
        local_service: local_port.as_deref(),
        local_v4: arguments.local_v4,
        local_v6: arguments.local_v6,
        addresses: addresses.as_deref(),
        families: arguments.names.families(),
        preferred_family: arguments.names.prefer.map(|family| family.family()),
        fast_fallback: !race.no_fast_fallback,
        lookup_flags: arguments.names.flags(),
        lookup_by_libc: arguments.names.libc,
        growing_delay: race.growing_delay,
        share_open_timeout: race.share_timeout,
        only_connected_families: arguments.names.only_connected,
        resolv_timeout: race.resolv_timeout,
        connect_timeout: race.connect_timeout,
        open_timeout: race.timeout,
        resolution_delay: race.resolution_delay.unwrap_or(defaults.resolution_delay),
        connection_attempt_delay: race.attempt_delay.unwrap_or(defaults.connection_attempt_delay),
        first_address_family_count: race.first_family_count,
        max_attempts: race.max_attempts,
        history: history.cloned(),
        nat64: arguments.nat64.clone().unwrap_or_default(),
        service: arguments.service.as_deref(),
        alpn: &alpn,
        hooks: Some(starter.hooks()),
        trace: true,
        confirm: arguments.tls,
        ..defaults
    };
    make_plan(Some(&host), Some(&port), &options)
}

/// A plan, or what was wrong in the words of the command line.
pub fn make_plan(host: Option<&CStr>, port: Option<&CStr>, options: &Options<'_>) -> Result<Plan> {
    Plan::new(host, port, options).map_err(|error| match error {
        PlanError::Invalid(invalid) => Usage(names::refusal(&invalid)).into(),
        PlanError::OutOfMemory => anyhow::anyhow!("out of memory"),
    })
}

/// The addresses of `--address`, with the port, which has to be a number then.
fn addresses(arguments: &ConnectArguments) -> Result<Option<Vec<SocketAddr>>> {
    if arguments.addresses.is_empty() {
        return Ok(None);
    }
    let port: u16 = arguments
        .port
        .parse()
        .map_err(|_| Usage(format!("PORT: \"{}\" has to be a number together with --address", arguments.port)))?;
    Ok(Some(arguments.addresses.iter().map(|&address| SocketAddr::new(address, port)).collect()))
}
