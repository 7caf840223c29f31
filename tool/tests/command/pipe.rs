//! `happy connect` as a pipe.

use crate::world::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

#[test]
fn what_is_piped_in_goes_out_and_the_end_of_it_too() {
    in_network!();
    // More than any buffer on the way holds.
    let input: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    let (port, server) = repeater();
    let mut child = happy(&["connect", "half.test", &port.to_string()]).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    stdin.write_all(&input).expect("it reads");
    // Only now does the peer know that this was all, and begins to speak.
    drop(stdin);
    let output = reader.join().expect("no panic").expect("it writes");
    assert!(output == input, "{} bytes came back of {}", output.len(), input.len());
    assert_eq!(server.join().expect("no panic"), input.len());
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!(said.code, Some(0));
    // The race is told where it does not get into the bytes.
    assert!(said.err.contains("Connected to 203.0.113.1"), "{}", said.err);
}

#[test]
fn a_dash_passes_on_what_is_no_pipe() {
    in_network!();
    let port = greeter().to_string();
    let said = run(&["connect", "-q", LIVE, &port, "-"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "hello\n", ""));
}

#[test]
fn zero_passes_nothing_on() {
    in_network!();
    let port = greeter().to_string();
    let said = run_with_input(&["connect", "-z", LIVE, &port], b"nothing of this\n");
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("Connected to") && !said.out.contains("hello"), "{said:?}");
}

#[test]
fn a_peer_that_ends_first_still_gets_the_rest() {
    in_network!();
    let listener = TcpListener::bind((LIVE, 0)).expect("the live address is here");
    let port = listener.local_addr().expect("bound").port().to_string();
    let mut child = happy(&["connect", "-q", LIVE, &port]).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut peer = accept(&listener);
    peer.write_all(b"bye\n").expect("it listens");
    peer.shutdown(std::net::Shutdown::Write).expect("still open");
    let mut said = [0; 4];
    child.stdout.as_mut().expect("piped").read_exact(&mut said).expect("what the peer said comes out");
    // The peer has ended what it says, and listens on.
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"the rest").expect("it reads");
    drop(stdin);
    let mut heard = String::new();
    peer.read_to_string(&mut heard).expect("the client ends");
    assert_eq!((&said, heard.as_str()), (b"bye\n", "the rest"));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_reader_that_is_gone_is_an_error() {
    in_network!();
    let listener = TcpListener::bind((LIVE, 0)).expect("the live address is here");
    let port = listener.local_addr().expect("bound").port().to_string();
    let mut child = happy(&["connect", "-q", LIVE, &port, "-"]).spawn().expect("it runs");
    drop(child.stdout.take());
    let mut peer = accept(&listener);
    // It fails once the client has seen that nobody reads, and is gone.
    while peer.write_all(&[b'x'; 4096]).is_ok() {}
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("Broken pipe"), "{said:?}");
}
