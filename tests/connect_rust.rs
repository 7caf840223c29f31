//! The Rust way in, on the loopback.

use happysock::drive::{Argument, Connect, Plan};
use happysock::race::{AttemptOutcome, Families, Family, Limit, Outcome};
use happysock::{ConnectError, Connecting, Options, connect, connect_with};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

fn listen(address: impl Into<std::net::IpAddr>) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address.into(), 0)).expect("the loopback takes a listener");
    let port = listener.local_addr().expect("a listener has an address").port();
    (listener, port)
}

/// A port where nobody listens: one that was just given back.
fn closed_port() -> u16 {
    listen(Ipv4Addr::LOCALHOST).1
}

#[test]
fn a_name_becomes_a_stream_that_carries_bytes_in_blocking_mode() {
    let (listener, port) = listen(Ipv4Addr::LOCALHOST);
    let mut stream = connect(("localhost", port)).expect("localhost has an IPv4 address");
    let (mut peer, _) = listener.accept().expect("the connection is there");
    peer.write_all(b"ping").expect("the peer writes");
    let mut bytes = [0; 4];
    // A non-blocking socket would answer EAGAIN if the bytes had not arrived yet.
    stream.read_exact(&mut bytes).expect("the stream blocks until the bytes are there");
    assert_eq!(&bytes, b"ping");
}

#[test]
fn a_refused_literal_says_where_and_why() {
    let port = closed_port();
    let error = connect(("127.0.0.1", port)).expect_err("nobody listens");
    let ConnectError::Failed { outcome: Outcome::AttemptsFailed { .. }, attempts } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].destination, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    assert!(matches!(attempts[0].outcome, AttemptOutcome::Failed(failure) if failure.sys_errno == libc::ECONNREFUSED));
    let text = error.to_string();
    assert!(text.contains("connect(2)") && text.contains(&format!("127.0.0.1:{port}")), "{text}");
}

#[test]
fn a_null_host_is_the_loopback_and_the_next_family_is_tried_at_once() {
    let (_listener, port) = listen(Ipv4Addr::LOCALHOST);
    let service = std::ffi::CString::new(port.to_string()).expect("digits");
    let plan = Plan::new(None, Some(&service), &Options::default()).expect("a service is enough");
    let mut connect = Connect::new(plan);
    assert!(connect.wait(), "nobody interrupts");
    let report = connect.report().expect("finished");
    assert!(matches!(report.outcome, Outcome::Connected { .. }), "{:?}", report.attempts);
    assert_eq!(report.attempts.first().map(|attempt| attempt.destination.ip()), Some(Ipv6Addr::LOCALHOST.into()));
    assert_eq!(report.attempts.last().map(|attempt| attempt.outcome), Some(AttemptOutcome::Connected));
    assert!(report.socket.is_some());
    assert!(connect.report().is_some_and(|report| report.socket.is_none()), "the socket is handed over once");
}

#[test]
fn a_limit_of_zero_is_over_before_anything_is_opened() {
    let (_listener, port) = listen(Ipv4Addr::LOCALHOST);
    for (options, expected) in [
        (Options { open_timeout: Some(Duration::ZERO), ..Options::default() }, Limit::Open),
        (Options { connect_timeout: Some(Duration::ZERO), ..Options::default() }, Limit::Connect),
    ] {
        let error = connect_with(("127.0.0.1", port), &options).expect_err("over at once");
        let ConnectError::Failed { outcome: Outcome::TimedOut { limit }, attempts } = error else {
            panic!("{error:?}")
        };
        assert_eq!((limit, attempts.len()), (expected, 0));
    }
}

#[test]
fn two_kinds_of_limits_are_refused_together() {
    let options =
        Options { open_timeout: Some(Duration::MAX), connect_timeout: Some(Duration::MAX), ..Options::default() };
    let error = connect_with(("localhost", 1), &options).expect_err("refused");
    assert!(matches!(error, ConnectError::Invalid { argument: Argument::OpenTimeout, .. }), "{error:?}");
}

#[test]
fn a_literal_of_the_other_family_is_not_attempted() {
    let options = Options { families: Families::Only(Family::V6), ..Options::default() };
    let error = connect_with(("127.0.0.1", 80), &options).expect_err("no IPv6 address");
    assert!(
        matches!(&error, ConnectError::Failed { outcome: Outcome::ResolveFailed { .. }, attempts } if attempts.is_empty()),
        "{error:?}"
    );
}

#[test]
fn the_local_address_is_bound_family_by_family() {
    let (listener, port) = listen(Ipv4Addr::LOCALHOST);
    let options = Options { local_host: Some(c"127.0.0.2"), ..Options::default() };
    let stream = connect_with(("127.0.0.1", port), &options).expect("the whole of 127/8 is ours");
    assert_eq!(stream.local_addr().expect("bound").ip(), Ipv4Addr::new(127, 0, 0, 2));
    assert_eq!(listener.accept().expect("accepted").1.ip(), Ipv4Addr::new(127, 0, 0, 2));

    let options = Options { local_host: Some(c"::1"), ..Options::default() };
    let error = connect_with(("127.0.0.1", port), &options).expect_err("the families differ");
    assert!(matches!(error, ConnectError::Failed { outcome: Outcome::NoLocalAddress, .. }), "{error:?}");
}

#[test]
fn an_interrupted_wait_keeps_the_race() {
    let (listener, port) = listen(Ipv4Addr::LOCALHOST);
    // A backlog that is full: further connects stay unanswered until somebody accepts.
    // SAFETY: a plain call on a descriptor of ours.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(stream);
        assert!(held.len() < 16, "the backlog never fills");
    }
    let service = std::ffi::CString::new(port.to_string()).expect("digits");
    let plan = Plan::new(Some(c"127.0.0.1"), Some(&service), &Options::default()).expect("valid");
    let mut race = Connect::new(plan);
    let signals = race.signals().clone();
    signals.interrupt();
    assert!(!race.wait(), "an interrupt that came first ends the next wait");
    let interrupter = std::thread::spawn(move || signals.interrupt());
    assert!(!race.wait(), "an interrupt ends a running wait");
    interrupter.join().expect("it interrupted");
    let expected = held.len() + 1;
    let accepting = std::thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(60);
        listener.set_nonblocking(true).expect("an option of ours");
        let mut accepted = Vec::new();
        while Instant::now() < deadline && accepted.len() < expected {
            match listener.accept() {
                Ok((stream, _)) => accepted.push(stream),
                Err(_) => std::thread::yield_now(),
            }
        }
    });
    assert!(race.wait(), "the race goes on where it was");
    let report = race.report().expect("finished");
    assert!(matches!(report.outcome, Outcome::Connected { .. }), "{:?}", report.attempts);
    assert_eq!(report.attempts.len(), 1, "nothing was restarted");
    drop(held);
    drop(race);
    accepting.join().expect("the peer ends");
}

#[test]
fn what_std_connects_to_is_taken() {
    let (listener, port) = listen(Ipv4Addr::LOCALHOST);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (digits, both) = (port.to_string(), format!("localhost:{port}"));
    for stream in [
        connect(("localhost", port)),
        connect((String::from("localhost"), port)),
        connect(("127.0.0.1", digits.as_str())),
        connect((Ipv4Addr::LOCALHOST, port)),
        connect(address),
        connect(&both),
        connect(both.as_str()),
    ] {
        assert_eq!(stream.expect("connected").peer_addr().expect("has a peer"), address);
        listener.accept().expect("accepted");
    }
    let (_listener, port) = listen(Ipv6Addr::LOCALHOST);
    for stream in [connect(format!("[::1]:{port}").as_str()), connect((Ipv6Addr::LOCALHOST, port))] {
        assert_eq!(stream.expect("connected").peer_addr().expect("has a peer").ip(), Ipv6Addr::LOCALHOST);
    }
    let refused = connect("localhost").expect_err("no port");
    assert!(matches!(refused, ConnectError::Invalid { argument: Argument::RemoteHost, .. }), "{refused}");
    let refused = connect(("local\0host", 80)).expect_err("a zero byte");
    assert!(matches!(refused, ConnectError::Invalid { argument: Argument::RemoteHost, .. }), "{refused}");
}

#[test]
fn an_error_is_an_error_of_io_with_the_attempts_inside() {
    let error = std::io::Error::from(connect((Ipv4Addr::LOCALHOST, closed_port())).expect_err("nobody listens"));
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>()).expect("is inside");
    assert_eq!(inner.attempts().len(), 1);
    let options = Options { open_timeout: Some(Duration::ZERO), ..Options::default() };
    let error = std::io::Error::from(connect_with("localhost:80", &options).expect_err("over at once"));
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    let error = std::io::Error::from(connect("local host:80").expect_err("refused"));
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_loop_waits_for_one_descriptor() {
    let (_listener, port) = listen(Ipv4Addr::LOCALHOST);
    let mut connecting = Connecting::new(("localhost", port), &Options::default()).expect("descriptors are left");
    let stream = loop {
        if let Some(done) = connecting.dispatch() {
            break done.expect("connected");
        }
        let mut fds = libc::pollfd { fd: connecting.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, which outlives the call.
        assert_eq!(unsafe { libc::poll(&mut fds, 1, 60_000) }, 1, "nothing happens");
        assert!(connecting.is_ready());
    };
    assert_eq!(stream.peer_addr().expect("has a peer").port(), port);

    fn moves_between_threads<T: Send>(_: &T) {}
    moves_between_threads(&connecting);
}

#[test]
fn a_connect_that_is_cancelled_elsewhere_wakes_its_loop() {
    // Nothing is looked up before the first dispatch, so it is cancelled before anything can have failed.
    let mut connecting = Connecting::new("localhost:1", &Options::default()).expect("descriptors are left");
    connecting.signals().cancel();
    assert!(connecting.is_ready());
    let cancelled = connecting.dispatch().expect("finished").expect_err("cancelled");
    assert!(matches!(cancelled, ConnectError::Failed { outcome: Outcome::Cancelled, .. }), "{cancelled:?}");
}
