//! fork: the parent never waits, the child starts clean.

mod lookup_support;
use lookup_support::*;

use happysock::lookup::{Form, Mailbox, Query, Request, StartError};
use happysock::sys::fork::generation;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// fork(2) without libc: no handler of any kind runs.
fn bare_fork() -> libc::pid_t {
    // SAFETY: the child is a copy with one thread; what it runs here takes no lock that another thread of the
    // parent can hold.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t }
}

fn libc_fork() -> libc::pid_t {
    // SAFETY: as above; malloc is put in order by libc.
    unsafe { libc::fork() }
}

/// Runs `body` in a child and waits for it, for a bounded time. A panic in it is a failure here.
fn in_child(fork: fn() -> libc::pid_t, body: impl FnOnce()) {
    let child = fork();
    assert!(child >= 0);
    if child == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(outcome.is_err() as i32) };
    }
    let mut status = -1;
    let deadline = Instant::now() + PATIENCE;
    // SAFETY: our own child.
    while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
        if Instant::now() > deadline {
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(status, 0, "the child");
}

#[test]
fn every_child_has_a_number_of_its_own_however_it_was_made() {
    let here = generation();
    assert_eq!(generation(), here);
    for fork in [libc_fork, bare_fork] {
        in_child(fork, || {
            let child = generation();
            assert_ne!(child, here);
            in_child(bare_fork, || assert!(generation() != child && generation() != here));
            assert_eq!(generation(), child);
        });
    }
    assert_eq!(generation(), here);
}

#[test]
fn a_request_of_the_parent_answers_forked_in_the_child_which_resolves_on_its_own() {
    const NAME: &str = "a_request_of_the_parent_answers_forked_in_the_child_which_resolves_on_its_own";
    if !in_own_process(NAME, || Ok(())) {
        return;
    }
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let fd = mailbox.waker().descriptor().unwrap();
    let mut stuck: Vec<_> = (0..50).map(|token| gate.request("stuck.example", &mailbox, token)).collect();
    for request in &stuck {
        request.start().unwrap();
    }
    gate.entered(50);
    let idle = gate.request("idle.example", &mailbox, 99);
    for fork in [libc_fork, bare_fork] {
        let begin = Instant::now();
        in_child(fork, || {
            assert_eq!(idle.start(), Err(StartError::Forked));
            assert_ne!(idle.generation(), generation());
            // None of this reaches the parent, and none of it blocks.
            stuck[0].cancel();
            stuck[1].give_up(libc::ETIMEDOUT);
            assert!(stuck[0].take().is_none() && stuck[2].take().is_none());
            assert_eq!(mailbox.waker().descriptor().unwrap_err().raw_os_error(), Some(libc::ESTALE));
            stuck.clear();
            assert!(workers().is_empty());
            let list = answer(query(Some("localhost"), Some("80"), STREAM, None)).unwrap();
            assert!(!list.into_addresses().is_empty());
            assert_eq!(workers().len(), 1);
        });
        assert!(begin.elapsed() < PATIENCE);
    }
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    assert_eq!(unsafe { libc::poll(&mut entry, 1, 0) }, 0, "the children left the parent's descriptor alone");
    gate.open();
    assert_eq!(collect(&mailbox, 50).len(), 50);
}

#[test]
fn the_descriptor_of_a_request_is_closed_in_the_child_by_its_owner() {
    const NAME: &str = "the_descriptor_of_a_request_is_closed_in_the_child_by_its_owner";
    if !in_own_process(NAME, || Ok(())) {
        return;
    }
    let before = descriptors();
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    mailbox.waker().descriptor().unwrap();
    let request = gate.request("stuck.example", &mailbox, 1);
    request.start().unwrap();
    gate.entered(1);
    let held = Arc::downgrade(&mailbox);
    in_child(libc_fork, move || {
        drop((request, mailbox));
        assert!(held.upgrade().is_none());
        assert_eq!(descriptors(), before);
    });
    gate.open();
}

/// A DNS server that answers every question with two addresses, a little later.
fn answering_dns_server(stop: &'static AtomicBool) -> std::thread::JoinHandle<()> {
    let socket = silent_dns_server("timeout:5 attempts:1");
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    std::thread::spawn(move || {
        let mut waiting = std::collections::VecDeque::new();
        while !stop.load(Ordering::Relaxed) {
            let mut message = [0; 512];
            if let Ok((length, from)) = socket.recv_from(&mut message) {
                waiting.push_back((Instant::now() + Duration::from_millis(10), message[..length].to_vec(), from));
            }
            while waiting.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
                let (_, question, from) = waiting.pop_front().unwrap();
                // The name ends with a zero byte; type and class follow (RFC 1035, section 4.1.2).
                let name = question[12..].iter().position(|&byte| byte == 0).unwrap() + 13;
                let kind = question[name + 1];
                let mut reply = question[..name + 4].to_vec();
                reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]);
                for host in [1, 2] {
                    let address: &[u8] = if kind == 1 {
                        &[192, 0, 2, host]
                    } else {
                        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
                    };
                    reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, address.len() as u8]);
                    reply.extend(address);
                }
                let _ = socket.send_to(&reply, from);
            }
        }
    })
}

/// What a race asks.
fn both_families(name: &str, mailbox: &Arc<Mailbox>) -> [Arc<Request>; 2] {
    let both: Query = query(Some(name), Some("80"), STREAM, None);
    [(libc::AF_INET6, 6), (libc::AF_INET, 4)]
        .map(|(family, token)| Request::new(both.with(family, Form::Unsorted), mailbox.clone(), token))
}

#[test]
fn a_child_forked_at_any_moment_of_fifty_races_lookups_resolves_names_with_many_addresses() {
    const NAME: &str = "a_child_forked_at_any_moment_of_fifty_races_lookups_resolves_names_with_many_addresses";
    if !in_own_process(NAME, own_namespaces) {
        return;
    }
    static STOP: AtomicBool = AtomicBool::new(false);
    static STOP_SERVER: AtomicBool = AtomicBool::new(false);
    let server = answering_dns_server(&STOP_SERVER);
    replace_file(c"/etc/hosts", "127.0.0.1 dual.test\n::1 dual.test\n");
    let askers: Vec<_> = (0..25)
        .map(|asker| {
            std::thread::spawn(move || {
                while !STOP.load(Ordering::Relaxed) {
                    let mailbox = Mailbox::new();
                    let requests = both_families(if asker % 5 == 0 { "dual.test" } else { "two.example" }, &mailbox);
                    Request::start_all(&requests).unwrap();
                    collect(&mailbox, 2);
                    assert!(requests.iter().all(|request| request.take().unwrap().is_ok()));
                }
            })
        })
        .collect();
    let mut locked = 0;
    for round in 0..200 {
        std::thread::sleep(Duration::from_micros(round * 37 % 3000));
        let begin = Instant::now();
        in_child(libc_fork, || {
            let mailbox = Mailbox::new();
            for name in ["dual.test", "two.example"] {
                let requests = both_families(name, &mailbox);
                Request::start_all(&requests).unwrap();
                let mut tokens = Vec::new();
                // The server answers within milliseconds; a question that is asked twice takes five seconds.
                let deadline = Instant::now() + Duration::from_secs(4);
                while tokens.len() < 2 {
                    mailbox.waker().take();
                    mailbox.collect(&mut tokens);
                    if tokens.len() < 2 && !mailbox.waker().wait(Some(deadline)) {
                        return;
                    }
                }
                assert!(requests.iter().all(|request| !request.take().unwrap().unwrap().into_addresses().is_empty()));
            }
        });
        locked += usize::from(begin.elapsed() > Duration::from_secs(4));
    }
    println!("children that found libc locked: {locked}");
    // On a busy machine a worker can lose its CPU with one of libc's locks in its hands, and no fork waits that
    // long.
    assert!(locked <= 2, "{locked} of 200");
    STOP.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.join().unwrap();
    }
    STOP_SERVER.store(true, Ordering::Relaxed);
    server.join().unwrap();
}
