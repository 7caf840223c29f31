//! `happy connect --tls`: an address that takes connections and never answers is left behind.

use crate::world::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

/// What listens on loopback at one port: IPv6 is silent, IPv4 speaks TLS.
pub struct HalfDead {
    pub port: String,
    /// With the certificate that the server shows.
    pub authorities: Scratch,
    _silent: TcpListener,
}

pub fn half_dead(name: &str) -> HalfDead {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["dual.test".to_owned()]).expect("a name that a certificate can have");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    let config = Arc::new(config.expect("the key is the certificate's"));
    let (speaking, silent) = loop {
        let speaking = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let port = speaking.local_addr().expect("bound").port();
        if let Ok(silent) = TcpListener::bind(("::1", port)) {
            break (speaking, silent);
        }
    };
    let port = speaking.local_addr().expect("bound").port().to_string();
    std::thread::spawn(move || {
        for stream in speaking.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("it was configured");
            // To the client's end, whatever it is: the client says what it has seen.
            let _ = StreamOwned::new(connection, stream).read_to_end(&mut Vec::new());
        }
    });
    let authorities = Scratch::new(name);
    std::fs::write(authorities.path(), cert.pem()).expect("a directory for what is temporary");
    HalfDead { port, authorities, _silent: silent }
}

#[test]
fn the_address_that_never_answers_tls_is_left_behind() {
    in_network!();
    let HalfDead { port, authorities, _silent } = half_dead("tls-half-dead");
    // TCP alone is content with it.
    let value = json(&run(&["connect", "dual.test", &port, "--json"]));
    assert_eq!(
        (&value["attempts"][0]["address"], &value["attempts"][0]["outcome"]),
        (&json!("::1"), &json!("connected"))
    );
    let said = run(&["connect", "dual.test", &port, "--tls", "--tls-ca", authorities.path(), "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let value = json(&said);
    let attempts = value["attempts"].as_array().expect("a list");
    let outcomes: Vec<_> = attempts.iter().map(|attempt| (&attempt["address"], &attempt["outcome"])).collect();
    assert_eq!(outcomes, [(&json!("::1"), &json!("abandoned")), (&json!("127.0.0.1"), &json!("connected"))]);
    for attempt in attempts {
        let ms = |name: &str| attempt[name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {attempt}"));
        assert!(ms("started_ms") <= ms("connected_ms") && ms("connected_ms") <= ms("ended_ms"), "{attempt}");
    }
    let said = run(&["connect", "dual.test", &port, "--tls", "--tls-ca", authorities.path()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let line = said.out.lines().find(|line| line.contains("::1")).expect("a line an attempt");
    assert!(line.contains("no handshake"), "{}", said.out);
}

#[test]
fn a_handshake_that_fails_says_why() {
    in_network!();
    let HalfDead { port, authorities, _silent } = half_dead("tls-untrusted");
    let other = half_dead("tls-of-another");
    let arguments = ["connect", "dual.test", &port, "-4", "--tls", "--tls-ca", other.authorities.path(), "--json"];
    let said = run(&arguments);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(json(&said)["attempts"][0]["error"]["syscall"], "TLS handshake");
    assert!(said.err.starts_with(&format!("happy: TLS with 127.0.0.1:{port}: invalid peer certificate")), "{said:?}");
    // Another name than the certificate's.
    let said = run(&["connect", "four.test", &port, "-4", "--tls", "--tls-ca", authorities.path()]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("four.test"), "{said:?}");
}

#[test]
fn a_limit_holds_for_the_handshake() {
    in_network!();
    let HalfDead { port, authorities, _silent } = half_dead("tls-limit");
    let arguments = ["connect", "dual.test", &port, "-6", "--tls", "--tls-ca", authorities.path(), "--timeout", "300"];
    let said = run(&arguments);
    assert_eq!(said.code, Some(4), "{said:?}");
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let said = run(&["connect", "dual.test", "1", "--tls-ca", "/nowhere"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    let said = run(&["connect", "dual.test", "1", "--tls", "-"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    let said = run(&["connect", "dual.test", "1", "--tls", "--tls-ca", "/nowhere"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("/nowhere"), "{said:?}");
    let said = run(&["connect", "a b", "1", "--tls"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("HOST"), "{said:?}");
}
