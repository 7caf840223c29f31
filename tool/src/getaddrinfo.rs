//! getaddrinfo(3)'s own answer, as the standard library asks for it: both families, stream sockets, no flags.

use crate::record::{address_text, ms};
use serde::Serialize;
use std::net::ToSocketAddrs;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

#[derive(Serialize)]
pub struct Answer {
    pub took_ms: f64,
    /// In its order, each once.
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Asks, and waits up to `limit`. It cannot be cancelled: one that hangs is left to itself.
pub fn ask(host: &str, limit: Option<Duration>) -> std::io::Result<Answer> {
    let (sender, receiver) = channel();
    let began = Instant::now();
    let host = host.to_owned();
    std::thread::Builder::new().name("getaddrinfo".to_owned()).spawn(move || {
        let found = (host.as_str(), 0).to_socket_addrs().map(|addresses| addresses.collect::<Vec<_>>());
        // Nobody listens any more where the limit was reached.
        let _ = sender.send(found);
    })?;
    let found = match limit {
        None => receiver.recv().ok(),
        Some(limit) => receiver.recv_timeout(limit).ok(),
    };
    let took_ms = ms(began.elapsed());
    let mut addresses: Vec<String> = Vec::new();
    let error = match found {
        None => Some("no answer within the limit".to_owned()),
        Some(Err(error)) => Some(without_preamble(&error.to_string())),
        Some(Ok(found)) => {
            for address in found.iter().map(address_text) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            None
        }
    };
    Ok(Answer { took_ms, addresses, error })
}

/// What gai_strerror(3) says, without what the standard library says before it.
fn without_preamble(text: &str) -> String {
    text.strip_prefix("failed to lookup address information: ").unwrap_or(text).to_owned()
}
