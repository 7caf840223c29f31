//! A race as qlog, in the form for streams: JSON text sequences (RFC 7464) with a header first.
//!
//! What draft-kuehlewind-happy-qlog has an event for is written as that event, in its namespace. The rest of the
//! steps is written in a namespace of this project's own, under the names and with the fields of the JSON.
//! qlog.cddl says what comes out.

use crate::record::{AttemptState, Record, Status, Step};
use anyhow::Result;
use serde_json::{Value, json};

/// The draft's events. What implements a draft says which.
const DRAFT_SCHEMA: &str = "urn:ietf:params:qlog:events:hev3-00";
/// This project's own.
const OWN_SCHEMA: &str = "urn:happysock:qlog:events:happysock-1";
/// What a text sequence puts before each value (RFC 7464, section 2.2).
const RECORD_SEPARATOR: u8 = 0x1e;

/// All races, one after the other, told apart by their group.
pub fn text(records: &[Record]) -> Result<Vec<u8>> {
    let title = records.first().map(Record::title).unwrap_or_default();
    let mut text = Vec::new();
    push(&mut text, &header(&title))?;
    for (number, record) in records.iter().enumerate() {
        let session = number.to_string();
        let mut race = Race { record, session: &session, text: &mut text, timer_runs: false };
        for (place, event) in record.events.iter().enumerate() {
            race.write(place, event.time_ms, &event.step)?;
        }
    }
    Ok(text)
}

fn header(title: &str) -> Value {
    json!({
        "file_schema": "urn:ietf:params:qlog:file:sequential",
        "serialization_format": "application/qlog+json-seq",
        "title": title,
        "trace": {
            "common_fields": {
                "time_format": "relative_to_epoch",
                "reference_time": { "clock_type": "system", "epoch": "1970-01-01T00:00:00.000Z" },
            },
            "vantage_point": { "name": "happy", "type": "client" },
            "event_schemas": [DRAFT_SCHEMA, OWN_SCHEMA],
        },
    })
}

fn push(text: &mut Vec<u8>, value: &Value) -> Result<()> {
    text.push(RECORD_SEPARATOR);
    serde_json::to_writer(&mut *text, value)?;
    text.push(b'\n');
    Ok(())
}

/// One race on its way into the text.
struct Race<'a> {
    record: &'a Record,
    /// Its number in the text, which is what tells it apart.
    session: &'a str,
    text: &'a mut Vec<u8>,
    /// Whether the next attempt waits for a time that has neither come nor been passed over.
    timer_runs: bool,
}

impl Race<'_> {
    fn write(&mut self, place: usize, at: f64, step: &Step) -> Result<()> {
        match step {
            Step::LookupStarted { lookup, question } if !types(question).is_empty() => {
                let (host, types) = (&self.record.host, types(question));
                let data = json!({ "dns_id": lookup.to_string(), "hostname": host, "qtypes": types });
                self.push(at, "hev3:dns_query_started", data)
            }
            Step::LookupAnswered { lookup, question, .. } if !types(question).is_empty() => {
                let addresses = self.record.lookups.get(*lookup as usize).map_or(&[][..], |lookup| &lookup.addresses);
                let results = addresses
                    .iter()
                    .map(|address| json!({ "type": "address", "address": address, "family": family(address) }));
                let results = results.collect::<Vec<_>>();
                self.push_answer(at, *lookup, json!({ "results": results, "answer_type": "positive" }))
            }
            Step::LookupFailed { lookup, question, error } if !types(question).is_empty() => {
                let name = error.gai_name.as_deref();
                let negative = matches!(name, Some("EAI_NONAME" | "EAI_NODATA" | "EAI_ADDRFAMILY"));
                let mut data = json!({
                    "results": [],
                    "answer_type": if negative { "negative" } else { "error" },
                    "error_message": error.message,
                });
                if let Some(name) = name {
                    data["error_code"] = json!(name);
                }
                self.push_answer(at, *lookup, data)
            }
            Step::CandidateAdded { address, port } => {
                // Of the sources that the draft knows: DNS also stands for hosts(5), for addresses that the
                // caller knows, and for a host that is an address.
                let before = place.checked_sub(1).and_then(|place| self.record.events.get(place));
                let synthesized = before.is_some_and(
                    |event| matches!(&event.step, Step::AddressSynthesized { address: made, .. } if made == address),
                );
                let source = if synthesized { "nat64_synthesis" } else { "dns" };
                let data = json!({ "source": source, "target": target(address, *port) });
                self.push(at, "hev3:candidate_discovered", data)
            }
            Step::AttemptStarted { attempt, address, port } => {
                self.timer_runs = false;
                let target = target(address, *port);
                let data = json!({ "attempt_id": attempt.to_string(), "target": target, "transport": "tcp" });
                self.push(at, "hev3:attempt_started", data)
            }
            Step::AttemptEnded { attempt, outcome, .. } => {
                let result = match outcome {
                    AttemptState::Connected => "success",
                    AttemptState::Failed => "failure",
                    AttemptState::TimedOut => "timeout",
                    AttemptState::Abandoned | AttemptState::Running => "canceled",
                };
                let mut data = json!({ "attempt_id": attempt.to_string(), "result": result });
                if let Some(entry) = self.record.attempts.get(*attempt as usize) {
                    data["connect_duration_ms"] = json!(whole_ms(at - entry.started_ms));
                    if let Some(name) = entry.error.as_ref().and_then(|error| error.errno_name.as_ref()) {
                        data["error_code"] = json!(name);
                    }
                }
                self.push(at, "hev3:attempt_outcome", data)
            }
            Step::NextAttemptTimerSet { delay_ms } => {
                self.timer_runs = true;
                self.push(at, "hev3:next_attempt_timer_set", json!({ "delay_ms": whole_ms(*delay_ms) }))
            }
            Step::NextAttemptTimerFired => {
                self.timer_runs = false;
                self.push(at, "hev3:next_attempt_timer_fired", json!({}))
            }
            Step::Finished { status } => self.push_end(at, *status),
            step => self.push_own(at, step),
        }
    }

    /// Writes an event: what it carries, and which race it belongs to.
    fn push(&mut self, at: f64, name: &str, mut data: Value) -> Result<()> {
        data["he_session_id"] = json!(self.session);
        let time = self.record.began_unix_ms as f64 + at;
        push(self.text, &json!({ "time": time, "name": name, "group_id": self.session, "data": data }))
    }

    /// Writes how a lookup came out, with what is said of all that come out.
    fn push_answer(&mut self, at: f64, lookup: u32, mut data: Value) -> Result<()> {
        let started = self.record.lookups.get(lookup as usize).map_or(at, |lookup| lookup.started_ms);
        data["dns_id"] = json!(lookup.to_string());
        data["hostname"] = json!(self.record.host);
        data["duration_ms"] = json!(whole_ms(at - started));
        self.push(at, "hev3:dns_query_finished", data)
    }

    /// Writes the end of the race, and its sum.
    fn push_end(&mut self, at: f64, status: Status) -> Result<()> {
        let record = self.record;
        let connected = status == Status::Connected;
        if self.timer_runs {
            let reason = if connected { "success" } else { "abort" };
            self.push(at, "hev3:next_attempt_timer_canceled", json!({ "reason": reason }))?;
        }
        let selected = record
            .result
            .as_ref()
            .and_then(|result| result.attempt)
            .filter(|attempt| connected && *attempt < record.attempts.len());
        if let Some(attempt) = selected {
            self.push(at, "hev3:connection_selected", json!({ "attempt_id": attempt.to_string() }))?;
        } else {
            let message = record.result.as_ref().map(|result| result.message.clone());
            let reason = message.unwrap_or_else(|| "ended before there was a connection".to_owned());
            self.push(at, "hev3:connection_aborted", json!({ "reason": reason }))?;
        }
        // All but the winner count as failures there, those that had no answer yet included.
        let attempts = record.attempts.len();
        let mut data = json!({
            "outcome": if selected.is_some() { "success" } else { "aborted" },
            "total_duration_ms": whole_ms(at),
            "attempts_total": attempts,
            "attempts_success": usize::from(selected.is_some()),
            "attempts_failure": attempts - usize::from(selected.is_some()),
        });
        if let Some(winner) = selected.and_then(|attempt| record.attempts.get(attempt)) {
            data["tt_first_success_ms"] = json!(whole_ms(winner.ended_ms.unwrap_or(at)));
            data["first_success_family"] = json!(family(&winner.address));
            data["first_success_transport"] = json!("tcp");
        }
        self.push(at, "hev3:metrics", data)
    }

    /// Writes a step that the draft has no event for.
    fn push_own(&mut self, at: f64, step: &Step) -> Result<()> {
        let mut data = serde_json::to_value(step)?;
        let name = data.as_object_mut().and_then(|fields| fields.remove("event"));
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        self.push(at, &format!("happysock:{name}"), data)
    }
}

/// What a question asks DNS for, as the draft names it; nothing where the host's addresses are not asked for.
fn types(question: &str) -> &'static [&'static str] {
    match question {
        "AAAA" => &["AAAA"],
        "A" => &["A"],
        "both" => &["AAAA", "A"],
        _ => &[],
    }
}

fn target(address: &str, port: u16) -> Value {
    json!({ "address": address, "port": port, "family": family(address) })
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "ipv6" } else { "ipv4" }
}

/// The draft has durations as whole milliseconds, of 32 bits.
fn whole_ms(ms: f64) -> u32 {
    // Rounds to the range of the type too.
    ms.round() as u32
}
