//! Replies to DNS questions by rules, and the log of the questions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::name_server::{Outgoing, Responder, Via};
use crate::scenario::{Reply, Rule};

/// Answers live for a second: nothing in the lab is to remember them.
const TIME_TO_LIVE_SECONDS: u32 = 1;
/// The longest UDP reply to a question without EDNS (RFC 1035 section 4.2.1).
const PLAIN_UDP_BYTES: usize = 512;
/// Aliases followed in one answer; a longer chain or a loop ends there.
const MAX_ALIASES: usize = 8;

/// What happened to one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// When it arrived at the name server.
    pub at: SystemTime,
    /// The name, in lower case, without the final dot.
    pub name: String,
    /// "A", "AAAA", ...
    pub record_type: String,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// What the rules said.
    pub reply: Reply,
    /// When the reply was sent; None while it is due, or for good.
    pub answered: Option<SystemTime>,
}

/// The rules and the log, shared between the server and its owner.
#[derive(Debug, Default)]
pub struct Zone {
    rules: Mutex<BTreeMap<String, BTreeMap<String, Rule>>>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    questions: Vec<Question>,
    /// Entries forgotten by [`Zone::clear_log`], so that the number of an entry never changes.
    forgotten: usize,
    /// Told of each question once it is answered, or at once if it never is.
    observer: Option<Observer>,
}

/// Called for each question whose fate is settled, on the name server's thread.
pub type Observer = Box<dyn FnMut(&Question) + Send>;

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Log").field("questions", &self.questions).finish_non_exhaustive()
    }
}

/// The name as it is written in rules: lower case, no final dot.
pub fn text_of(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

impl Zone {
    /// Makes a zone of these rules.
    pub fn new(rules: &BTreeMap<String, BTreeMap<String, Rule>>) -> Zone {
        let zone = Zone::default();
        for (name, types) in rules {
            for (record_type, rule) in types {
                zone.set(name, record_type, rule.clone());
            }
        }
        zone
    }

    /// What is replied to questions for `name` and `record_type` from now on.
    pub fn set(&self, name: &str, record_type: &str, rule: Rule) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.rules.lock().unwrap().entry(name).or_default().insert(record_type.to_ascii_uppercase(), rule);
    }

    /// The questions since the start or the last [`Zone::clear_log`].
    pub fn log(&self) -> Vec<Question> {
        self.log.lock().unwrap().questions.clone()
    }

    /// Forgets the questions.
    pub fn clear_log(&self) {
        let mut log = self.log.lock().unwrap();
        log.forgotten += log.questions.len();
        log.questions.clear();
    }

    /// Tells the observer of the questions that are still unanswered, and then forgets it.
    pub fn settle(&self) {
        let mut log = self.log.lock().unwrap();
        if let Some(mut observer) = log.observer.take() {
            let open = log.questions.iter().filter(|question| question.answered.is_none());
            open.filter(|question| question.reply != Reply::Never).for_each(&mut observer);
        }
    }

    /// Calls `observer` from now on, in place of an earlier one.
    pub fn observe(&self, observer: Observer) {
        self.log.lock().unwrap().observer = Some(observer);
    }

    fn rule(&self, name: &str, record_type: &str) -> Rule {
        let rules = self.rules.lock().unwrap();
        let exact = rules.get(name);
        let types = exact.or_else(|| {
            // The closest wildcard wins: "*.b.test" before "*.test" before "*".
            let above = std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'));
            above.map(|(_, rest)| format!("*.{rest}")).find_map(|name| rules.get(&name)).or_else(|| rules.get("*"))
        });
        match types.map(|types| types.get(record_type)) {
            Some(Some(rule)) => rule.clone(),
            Some(None) => Rule::reply(Reply::NoData),
            None => Rule::reply(Reply::Nxdomain),
        }
    }

    fn note(&self, question: Question) -> usize {
        let mut log = self.log.lock().unwrap();
        if let (Reply::Never, Some(observer)) = (question.reply, &mut log.observer) {
            observer(&question);
        }
        log.questions.push(question);
        log.forgotten + log.questions.len() - 1
    }

    fn note_answered(&self, number: usize) {
        let mut guard = self.log.lock().unwrap();
        let log = &mut *guard;
        let index = number.checked_sub(log.forgotten);
        if let Some(question) = index.and_then(|index| log.questions.get_mut(index)) {
            question.answered = Some(SystemTime::now());
            if let Some(observer) = &mut log.observer {
                observer(question);
            }
        }
    }

    fn reply(&self, question: &Message, rule: &Rule, tcp: bool) -> Result<Vec<u8>> {
        let query = question.queries.first().context("a question without a query")?;
        let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
        reply.metadata.recursion_desired = question.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.metadata.response_code = match rule.reply {
            Reply::Nxdomain => ResponseCode::NXDomain,
            Reply::Servfail => ResponseCode::ServFail,
            Reply::Refused => ResponseCode::Refused,
            Reply::Answer | Reply::NoData | Reply::Never => ResponseCode::NoError,
        };
        reply.add_query(query.clone());
        if let Some(edns) = &question.edns {
            let mut ours = Edns::new();
            ours.set_max_payload(edns.max_payload());
            reply.set_edns(ours);
        }
        for record in self.records(query.name().clone(), query.query_type(), rule)? {
            reply.add_answer(record);
        }
        let bytes = reply.to_vec()?;
        let limit = question.edns.as_ref().map_or(PLAIN_UDP_BYTES, |edns| usize::from(edns.max_payload()));
        if !tcp && (rule.truncated || bytes.len() > limit) {
            return Ok(reply.truncate().to_vec()?);
        }
        Ok(bytes)
    }

    /// The answer records: the aliases that lead on from `name`, and the addresses at their end.
    fn records(&self, name: Name, record_type: RecordType, rule: &Rule) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let (mut name, mut rule) = (name, rule.clone());
        for _ in 0..MAX_ALIASES {
            let Some(alias) = &rule.alias else { break };
            let mut target = Name::from_ascii(alias).with_context(|| format!("{alias} is not a name"))?;
            target.set_fqdn(true);
            records.push(Record::from_rdata(name, TIME_TO_LIVE_SECONDS, RData::CNAME(CNAME(target.clone()))));
            rule = self.rule(&text_of(&target), &record_type.to_string());
            name = target;
        }
        records.extend(rule.addresses.iter().map(|address| {
            let data = match address {
                IpAddr::V4(address) => RData::A(A(*address)),
                IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
            };
            Record::from_rdata(name.clone(), TIME_TO_LIVE_SECONDS, data)
        }));
        Ok(records)
    }
}

impl Responder for Arc<Zone> {
    fn respond(&mut self, bytes: &[u8], via: Via) -> Vec<Outgoing> {
        let Ok(question) = Message::from_vec(bytes) else { return Vec::new() };
        let Some(query) = question.queries.first() else { return Vec::new() };
        let (name, record_type) = (text_of(query.name()), query.query_type().to_string());
        let rule = self.rule(&name, &record_type);
        let number = self.note(Question {
            at: SystemTime::now(),
            name,
            record_type,
            tcp: via.tcp,
            reply: rule.reply,
            answered: None,
        });
        if rule.reply == Reply::Never {
            return Vec::new();
        }
        let Ok(bytes) = self.reply(&question, &rule, via.tcp) else { return Vec::new() };
        let after = Duration::from_secs_f64(rule.delay_ms / 1000.0);
        vec![Outgoing { mark: Some(number), ..Outgoing::message(after, bytes) }]
    }

    fn sending(&mut self, mark: usize) {
        self.note_answered(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_rule_applies() {
        let zone = Zone::default();
        let rule = |delay_ms| Rule::default().after(delay_ms);
        zone.set("*", "A", rule(1.0));
        zone.set("*.test", "A", rule(2.0));
        zone.set("*.b.test.", "A", rule(3.0));
        zone.set("A.b.test", "A", rule(4.0));
        for (name, delay_ms) in [("x", 1.0), ("x.y", 1.0), ("b.test", 2.0), ("c.b.test", 3.0), ("a.b.test", 4.0)] {
            assert_eq!(zone.rule(name, "A").delay_ms, delay_ms, "{name}");
        }
        assert_eq!(zone.rule("a.b.test", "AAAA").reply, Reply::NoData);
        assert_eq!(Zone::default().rule("a.test", "A").reply, Reply::Nxdomain);
    }
}
