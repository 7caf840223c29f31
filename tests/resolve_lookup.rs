use happysock::resolve::{Hints, Mailbox, Query, Request};
use std::ffi::CStr;
use std::time::{Duration, Instant};

fn query(node: &CStr, service: &CStr, family: i32) -> Query {
    let hints = Hints { flags: 0, family, socktype: libc::SOCK_STREAM, protocol: 0 };
    Query::new(Some(node), Some(service), hints, None).unwrap()
}

#[test]
fn a_name_is_looked_up_by_a_worker_and_its_token_comes() {
    let mailbox = Mailbox::new();
    let requests = [
        Request::new(query(c"localhost", c"80", libc::AF_INET6), mailbox.clone(), 6),
        Request::new(query(c"localhost", c"80", libc::AF_INET), mailbox.clone(), 4),
    ];
    Request::start_all(&requests).unwrap();
    let mut tokens = Vec::new();
    while tokens.len() < 2 {
        assert!(mailbox.waker().wait(Some(Instant::now() + Duration::from_secs(10))));
        mailbox.waker().take();
        mailbox.collect(&mut tokens);
    }
    tokens.sort();
    assert_eq!(tokens, [4, 6]);
    let list = requests[1].take().unwrap().unwrap();
    assert!(list.iter().any(|address| address == "127.0.0.1:80".parse().unwrap()));
    assert!(requests[1].take().is_none());
}

#[test]
fn a_numeric_host_is_answered_inside_start() {
    let mailbox = Mailbox::new();
    let request = Request::new(query(c"::1", c"443", libc::AF_UNSPEC), mailbox.clone(), 1);
    request.start().unwrap();
    assert!(request.is_finished());
    assert_eq!(request.take().unwrap().unwrap().iter().collect::<Vec<_>>(), ["[::1]:443".parse().unwrap()]);
}
