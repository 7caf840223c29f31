//! `happy connect --tls`: an address that takes connections and never answers is left behind; what is passed on
//! goes through TLS.

use crate::world::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

/// What listens on loopback at one port: IPv6 is silent, IPv4 speaks TLS.
pub struct HalfDead {
    pub port: String,
    /// With the certificate that the server shows.
    pub authorities: Scratch,
    _silent: TcpListener,
}

/// A server that is dual.test, and its certificate in a file.
fn configure(name: &str, versions: &[&'static SupportedProtocolVersion]) -> (Arc<ServerConfig>, Scratch) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["dual.test".to_owned()]).expect("a name that a certificate can have");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_protocol_versions(versions).with_no_client_auth();
    let config = config.with_single_cert(vec![cert.der().clone()], key).expect("the key is the certificate's");
    let authorities = Scratch::new(name);
    std::fs::write(authorities.path(), cert.pem()).expect("a directory for what is temporary");
    (Arc::new(config), authorities)
}

pub fn half_dead(name: &str) -> HalfDead {
    let (config, authorities) = configure(name, rustls::ALL_VERSIONS);
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
    let picture = Scratch::new("tls-race.svg");
    let said = run(&["connect", "dual.test", &port, "--tls", "--tls-ca", authorities.path(), "--svg", picture.path()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let line = said.out.lines().find(|line| line.contains("::1")).expect("a line an attempt");
    assert!(line.contains("no handshake"), "{}", said.out);
    assert!(said.words().contains("━━ TCP ▒▒ TLS handshake"), "{}", said.out);
    assert!(said.words().contains("waiting for ::1, which did not answer TLS."), "{}", said.out);
    let text = String::from_utf8(picture.bytes()).expect("SVG is text");
    for words in ["no handshake, ", "TCP", "connected, held for its TLS handshake"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    // Without a handshake there is nothing to tell apart.
    let said = run(&["connect", "dual.test", &port, "--svg", picture.path()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let text = String::from_utf8(picture.bytes()).expect("SVG is text");
    assert!(!said.out.contains("TLS") && !text.contains("TLS"), "{} {text}", said.out);
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
    let said = run(&["connect", "dual.test", "1", "--tls", "--tls-ca", "/nowhere"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("/nowhere"), "{said:?}");
    let said = run(&["connect", "a b", "1", "--tls"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("HOST"), "{said:?}");
}

/// The server's end of a connection.
type Secured = StreamOwned<ServerConnection, TcpStream>;

/// A server for one client: what it does, on a thread, and what the client is called with.
struct Server<T> {
    thread: JoinHandle<T>,
    authorities: Scratch,
    port: String,
}

impl<T: Send + 'static> Server<T> {
    fn new(
        name: &str,
        version: &'static SupportedProtocolVersion,
        serve: impl FnOnce(Secured) -> T + Send + 'static,
    ) -> Server<T> {
        let (config, authorities) = configure(name, &[version]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let port = listener.local_addr().expect("bound").port().to_string();
        let thread = std::thread::spawn(move || {
            let connection = ServerConnection::new(config).expect("it was configured");
            serve(StreamOwned::new(connection, accept(&listener)))
        });
        Server { thread, authorities, port }
    }

    /// `happy connect --tls` with a pipe for standard input, which does not look IPv6 up.
    fn client(&self) -> std::process::Child {
        let path = self.authorities.path();
        let arguments = ["connect", "dual.test", &self.port, "-4", "--quiet", "--tls", "--tls-ca", path, "-"];
        happy(&arguments).stdin(Stdio::piped()).spawn().expect("it runs")
    }
}

/// Ends what the server says, as TLS ends it.
fn end(stream: &mut Secured) {
    stream.conn.send_close_notify();
    stream.flush().expect("the client listens");
}

/// Hears the client to its close_notify, then repeats all of it.
fn repeat(mut stream: Secured) -> usize {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("the client ends what it says with close_notify");
    stream.write_all(&heard).expect("the client listens on");
    end(&mut stream);
    heard.len()
}

#[test]
fn what_is_piped_in_goes_out_through_tls_and_comes_back() {
    in_network!();
    // More than any buffer on the way holds, and no number of records.
    let input: Vec<u8> = (0..3_000_001u32).map(|number| (number % 251) as u8).collect();
    for (name, version) in [("tls-repeat-13", &rustls::version::TLS13), ("tls-repeat-12", &rustls::version::TLS12)] {
        let server = Server::new(name, version, repeat);
        let mut child = server.client();
        let mut stdout = child.stdout.take().expect("piped");
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).map(|_| bytes)
        });
        child.stdin.take().expect("piped").write_all(&input).expect("it reads");
        let output = reader.join().expect("no panic").expect("it writes");
        assert!(output == input, "{} bytes came back of {}", output.len(), input.len());
        assert_eq!(server.thread.join().expect("no panic"), input.len());
        let said = Said::from(child.wait_with_output().expect("it ends"));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_peer_that_has_ended_what_it_says_still_hears_the_rest() {
    in_network!();
    let server = Server::new("tls-first", &rustls::version::TLS13, |mut stream| {
        stream.write_all(b"bye").expect("the client is there");
        end(&mut stream);
        let mut heard = String::new();
        stream.read_to_string(&mut heard).expect("the client ends what it says with close_notify");
        heard
    });
    let mut child = server.client();
    let mut stdin = child.stdin.take().expect("piped");
    let mut said = [0; 3];
    child.stdout.as_mut().expect("piped").read_exact(&mut said).expect("what the peer said comes out");
    stdin.write_all(b"the rest").expect("it reads");
    drop(stdin);
    assert_eq!((&said, server.thread.join().expect("no panic").as_str()), (b"bye", "the rest"));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_peer_of_tls_1_2_that_ends_is_not_spoken_to_any_more() {
    in_network!();
    let server = Server::new("tls-first-12", &rustls::version::TLS12, |mut stream| {
        stream.write_all(b"bye").expect("the client is there");
        end(&mut stream);
        stream.read_to_end(&mut Vec::new()).expect("the client answers with close_notify")
    });
    let mut child = server.client();
    // Open to the end.
    let stdin = child.stdin.take();
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "bye", ""));
    assert_eq!(server.thread.join().expect("no panic"), 0);
    drop(stdin);
}

#[test]
fn a_connection_that_is_cut_off_is_no_end() {
    in_network!();
    let server = Server::new("tls-cut", &rustls::version::TLS13, |mut stream| {
        stream.write_all(b"half a sen").expect("the client is there");
        // No close_notify.
        stream.sock.shutdown(std::net::Shutdown::Write).expect("still open");
        // The client leaves.
        let _ = stream.sock.read_to_end(&mut Vec::new());
    });
    let mut child = server.client();
    let stdin = child.stdin.take();
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!((said.code, said.out.as_str()), (Some(1), "half a sen"));
    assert!(said.err.contains("cut off"), "{said:?}");
    server.thread.join().expect("no panic");
    drop(stdin);
}

#[test]
fn a_peer_that_does_not_listen_is_heard() {
    in_network!();
    /// More than the buffers of a connection hold.
    const INPUT: usize = 16 << 20;
    const ROUNDS: usize = 200;
    let (told, heard) = channel();
    let server = Server::new("tls-deaf", &rustls::version::TLS13, move |mut stream| {
        for _ in 0..ROUNDS {
            stream.write_all(b"x").expect("the client is there");
            stream.flush().expect("the client is there");
            // From the test: what the client sends meanwhile is not read.
            heard.recv_timeout(PATIENCE).expect("it came out");
        }
        repeat(stream)
    });
    let mut child = server.client();
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(&vec![b'y'; INPUT]).expect("it reads"));
    let mut stdout = child.stdout.take().expect("piped");
    for _ in 0..ROUNDS {
        stdout.read_exact(&mut [0]).expect("what the peer says comes out");
        told.send(()).expect("the server waits for it");
    }
    let mut bytes = Vec::new();
    stdout.read_to_end(&mut bytes).expect("it writes");
    writer.join().expect("no panic");
    assert_eq!((bytes.len(), server.thread.join().expect("no panic")), (INPUT, INPUT));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
