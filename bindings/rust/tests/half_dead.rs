//! tokio and hyper on names that are half dead, silent or unknown: in scripts/in-test-network.

use happysock::ConnectError;
use happysock_hyper::Connector;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const LIVE: &str = "203.0.113.1";
/// A dead address would hold up a connect for two minutes, and a silent name server for half a minute.
const AT_ONCE: Duration = Duration::from_secs(10);

fn client(connector: Connector) -> Client<Connector, Empty<&'static [u8]>> {
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Answers one request.
fn web_server() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind((LIVE, 0)).expect("an address of this network");
    let port = listener.local_addr().expect("bound").port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody connects");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).expect("a request");
            assert_ne!(count, 0, "the request is cut off");
            request.extend_from_slice(&bytes[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").expect("the client reads");
    });
    (port, answering)
}

#[tokio::test]
async fn hyper_gets_over_a_dead_family() {
    let (port, answering) = web_server();
    let began = Instant::now();
    let uri = format!("http://half.test:{port}/").parse().expect("a URI");
    let response = client(Connector::default()).get(uri).await.expect("an answer");
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "hello");
    let taken = began.elapsed();
    assert!(taken >= Duration::from_millis(240) && taken < AT_ONCE, "{taken:?}");
    answering.join().expect("it answered");
}

#[tokio::test]
async fn hyper_is_told_why_and_what_was_tried() {
    let error =
        client(Connector::default()).get("http://dual.test:1/".parse().expect("a URI")).await.expect_err("refused");
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).expect("an error of io");
    assert_eq!(io.kind(), ErrorKind::ConnectionRefused);
    let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>()).expect("is inside");
    assert_eq!(inner.attempts().len(), 2);

    let limited = Connector { timeout: Some(Duration::from_millis(100)) };
    let error = client(limited).get("http://silent.test/".parse().expect("a URI")).await.expect_err("the limit");
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).expect("an error of io");
    assert_eq!(io.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn many_at_once_on_one_thread() {
    let listener = TcpListener::bind((LIVE, 0)).expect("an address of this network");
    let address = listener.local_addr().expect("bound");
    let began = Instant::now();
    let mut connects = tokio::task::JoinSet::new();
    for _ in 0..50 {
        connects.spawn(happysock::tokio::connect(("half.test", address.port())));
    }
    while let Some(stream) = connects.join_next().await {
        let stream = stream.expect("no panic").expect("connected");
        assert_eq!(stream.peer_addr().expect("has a peer"), address);
    }
    assert!(began.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn addresses_and_texts_are_taken() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("the loopback");
    let address = listener.local_addr().expect("bound");
    let text = format!("localhost:{}", address.port());
    for stream in [happysock::tokio::connect(address).await, happysock::tokio::connect(&text).await] {
        assert_eq!(stream.expect("connected").peer_addr().expect("has a peer"), address);
    }
}

#[tokio::test]
async fn a_name_server_is_waited_for_and_its_answer_is_heard() {
    let server = std::net::UdpSocket::bind("127.0.0.53:53").expect("nobody else is there");
    // While it keeps silent the limit ends the connect.
    let options = happysock::Options { open_timeout: Some(Duration::from_millis(100)), ..Default::default() };
    let error = happysock::tokio::connect_with("silent.example:80", &options).await.expect_err("the limit");
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::TimedOut);
    // From now on there is no such name, after a moment.
    std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((count, asker)) = server.recv_from(&mut message) {
            std::thread::sleep(Duration::from_millis(20));
            // The question as an answer: QR, RD, RA, and NXDOMAIN (RFC 1035, section 4.1.1).
            message[2..4].copy_from_slice(&[0x81, 0x83]);
            server.send_to(&message[..count], asker).expect("the asker is there");
        }
    });
    let began = Instant::now();
    let error = happysock::tokio::connect(("no.such.host.example", 80)).await.expect_err("there is no such name");
    // A server that is not heard is waited for longer.
    assert!(began.elapsed() < AT_ONCE, "{error} after {:?}", began.elapsed());
    assert!(error.attempts().is_empty() && error.to_string().contains("not known"), "{error}");
}
