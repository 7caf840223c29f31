//! What a race cost, against the best that was possible and against no race at all.

use crate::names;
use crate::record::{Attempt, AttemptState, Binding, Cost, LookupOutcome, Record, Status, WaitKind};

/// How long connect(2) takes to give up on an address that does not answer (tcp(7)). The kernel repeats the
/// SYN `tcp_syn_linear_timeouts` times after a second each, then `tcp_syn_retries` times after doubled waits,
/// of 120 s at most, the last of which it waits for nothing.
fn system_timeout_ms() -> f64 {
    let setting = |name: &str| -> Option<u32> {
        std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?.trim().parse().ok()
    };
    let linear = setting("tcp_syn_linear_timeouts").unwrap_or(0);
    let retries = setting("tcp_syn_retries").unwrap_or(6).min(127);
    let doubled: f64 = (0..=retries).map(|retry| 2f64.powi(retry as i32).min(120.0)).sum();
    (f64::from(linear) + doubled) * 1e3
}

/// What each address that does not answer costs a program without a race.
pub fn silence_ms() -> f64 {
    system_timeout_ms()
}

/// None where there is no connection.
pub fn of(record: &Record) -> Option<Cost> {
    let result = record.result.as_ref().filter(|result| result.status == Status::Connected)?;
    let winner = record.winner()?;
    let handshake = took(winner);
    let best_ms = known_at(record, winner) + handshake;
    let before: Option<f64> = record.attempts[..result.attempt?]
        .iter()
        .map(|attempt| match attempt.outcome {
            AttemptState::Failed => Some(took(attempt)),
            // The system gives up on addresses that do not answer, and not on handshakes above TCP.
            _ => attempt.connected_ms.is_none().then(silence_ms),
        })
        .sum();
    let answered = record.lookups.iter().filter(|lookup| lookup.outcome != LookupOutcome::Abandoned);
    let lookups = answered.filter_map(|lookup| lookup.ended_ms).fold(0.0, f64::max);
    Some(Cost {
        best_ms: round(best_ms),
        extra_ms: round((result.total_ms - best_ms).max(0.0)),
        one_by_one_ms: before.map(|before| round(lookups + before + handshake)),
    })
}

fn round(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

fn took(attempt: &Attempt) -> f64 {
    attempt.ended_ms.unwrap_or(attempt.started_ms) - attempt.started_ms
}

/// When the answer came that the attempt's address was in.
fn known_at(record: &Record, attempt: &Attempt) -> f64 {
    let mut lookups = record.lookups.iter();
    lookups.find(|lookup| lookup.addresses.contains(&attempt.address)).and_then(|lookup| lookup.ended_ms).unwrap_or(0.0)
}

/// What a person is told of a race that has ended, a sentence or a few an item.
pub fn sentences(record: &Record) -> Vec<String> {
    let Some(result) = &record.result else { return Vec::new() };
    let (Some(winner), Some(cost)) = (record.winner(), of(record)) else {
        return without_connection(record);
    };
    let ms = names::duration_ms;
    let mut all = vec![format!(
        "Connected to {} port {} over {} in {}.",
        winner.address,
        winner.port,
        winner.family,
        ms(result.total_ms)
    )];
    all.extend(result.binding.as_ref().map(Binding::sentence));
    let known = cost.best_ms - took(winner);
    let parts =
        if known > 0.0 { format!(" (lookup {}, handshake {})", ms(known), ms(took(winner))) } else { String::new() };
    if cost.extra_ms < 1.0 || cost.extra_ms < result.total_ms / 20.0 {
        all.push(format!("That is the best possible{parts}."));
    } else {
        let why = why_longer(record);
        all.push(format!("The best possible was {}{parts}: {} went to {why}.", ms(cost.best_ms), ms(cost.extra_ms)));
    }
    match cost.one_by_one_ms {
        Some(took) if took > result.total_ms * 2.0 && took > result.total_ms + 50.0 => {
            all.push(format!("One address after the other, without a race, it would have taken {}.", ms(took)));
        }
        Some(_) => {}
        None => all.push("One address after the other, without a race, it would not have come to an end.".to_owned()),
    }
    all
}

/// What the race waited for besides the winner.
fn why_longer(record: &Record) -> String {
    let winner = record.result.as_ref().and_then(|result| result.attempt).unwrap_or(0);
    let mut reasons = Vec::new();
    let waited = record.waits.iter().filter(|wait| wait.kind == WaitKind::ResolutionDelay);
    let waited: f64 = waited.map(|wait| wait.ended_ms.unwrap_or(wait.started_ms) - wait.started_ms).sum();
    if waited >= 1.0 {
        reasons.push("waiting for the IPv6 answer of the name server (Resolution Delay)".to_owned());
    }
    let before = &record.attempts[..winner.min(record.attempts.len())];
    let silent: Vec<&Attempt> = before.iter().filter(|attempt| attempt.outcome != AttemptState::Failed).collect();
    match silent[..] {
        [] => {}
        [one] if one.connected_ms.is_some() => {
            reasons.push(format!("waiting for {}, which did not answer TLS", one.address));
        }
        [one] => reasons.push(format!("waiting for {}, which did not answer", one.address)),
        ref several => reasons.push(format!("waiting for {} addresses that did not answer", several.len())),
    }
    let failed = before.iter().filter(|attempt| attempt.outcome == AttemptState::Failed).count();
    if failed > 0 {
        reasons.push(names::count(failed, "attempt that failed", "attempts that failed"));
    }
    if reasons.is_empty() { "starting late: this machine was busy".to_owned() } else { reasons.join(" and ") }
}

fn without_connection(record: &Record) -> Vec<String> {
    let Some(result) = &record.result else { return Vec::new() };
    let mut all = vec![format!("Not connected: {}.", result.message.trim_end_matches('.'))];
    let last = result.attempt;
    for (number, attempt) in record.attempts.iter().enumerate() {
        if attempt.outcome == AttemptState::Failed && Some(number) != last {
            all.push(format!("{}.", record.failure(number)));
        }
    }
    all
}
