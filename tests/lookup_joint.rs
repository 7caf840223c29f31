//! Equal questions to libc: asked once, answered to all who wait, whoever leaves.
//!
//! In the place of getaddrinfo(3) stands a function of this program, which waits until the test lets it go
//! on.

mod lookup_support;
use lookup_support::*;

use happysock::lookup::{Hints, Mailbox, Request, set_thread_limit};
use std::ffi::{CStr, c_char, c_int};
use std::sync::{Arc, Condvar, Mutex};

/// What was asked of getaddrinfo(3), in order, and which names may be answered.
struct Libc {
    asked: Vec<String>,
    answered: Vec<String>,
}

static LIBC: Mutex<Libc> = Mutex::new(Libc { asked: Vec::new(), answered: Vec::new() });
static CHANGED: Condvar = Condvar::new();

/// Answers each name, once it may be answered, with 192.0.2.1.
///
/// # Safety
/// As getaddrinfo(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    list: *mut *mut libc::addrinfo,
) -> c_int {
    type Function =
        unsafe extern "C" fn(*const c_char, *const c_char, *const libc::addrinfo, *mut *mut libc::addrinfo) -> c_int;
    // SAFETY: getaddrinfo(3) gives a C string or null, and libc has such a function.
    let (name, libc_own) = unsafe {
        let name = if node.is_null() { String::new() } else { CStr::from_ptr(node).to_string_lossy().into_owned() };
        let own = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
        (name, std::mem::transmute::<*mut libc::c_void, Function>(own))
    };
    if !name.ends_with(".example") {
        // SAFETY: passed on as it came.
        return unsafe { libc_own(node, service, hints, list) };
    }
    let mut state = LIBC.lock().unwrap();
    state.asked.push(name.clone());
    CHANGED.notify_all();
    drop(CHANGED.wait_while(state, |state| !state.answered.contains(&name)).unwrap());
    // SAFETY: passed on, but for the name.
    unsafe { libc_own(c"192.0.2.1".as_ptr(), service, hints, list) }
}

/// Has a name answered from here on, to those that are waiting for it too.
fn let_answer(name: &str) {
    LIBC.lock().unwrap().answered.push(name.to_owned());
    CHANGED.notify_all();
}

/// Waits until getaddrinfo(3) was asked so often for names of a test, which all end in `test`.
fn asked(test: &str, count: usize) -> Vec<String> {
    let mine = |state: &Libc| state.asked.iter().filter(|name| name.ends_with(test)).cloned().collect::<Vec<_>>();
    let state = LIBC.lock().unwrap();
    let (state, limit) = CHANGED.wait_timeout_while(state, PATIENCE, |state| mine(state).len() < count).unwrap();
    assert!(!limit.timed_out(), "{:?}: {count} calls", mine(&state));
    mine(&state)
}

fn start_all(names: &str, mailbox: &Arc<Mailbox>, tokens: std::ops::Range<u64>) -> Vec<Arc<Request>> {
    let requests: Vec<_> = tokens.map(|token| lookup(names, mailbox, token)).collect();
    requests.iter().for_each(|request| request.start().unwrap());
    requests
}

fn addresses(request: &Request) -> Vec<String> {
    let found = request.take().expect("it has ended").expect("it was found");
    found.into_addresses().iter().map(ToString::to_string).collect()
}

#[test]
fn however_many_ask_for_a_name_libc_is_asked_once_and_all_are_answered() {
    let mailbox = Mailbox::new();
    let first = start_all("name.once.example", &mailbox, 0..1);
    asked("once.example", 1);
    // While a worker is at it, alone and in a batch.
    let later = start_all("name.once.example", &mailbox, 1..500);
    let batch: Vec<_> = (500..1000).map(|token| lookup("name.once.example", &mailbox, token)).collect();
    Request::start_all(&batch).unwrap();
    // The next name has its own worker.
    let other = start_all("other.once.example", &mailbox, 1000..1001);
    let_answer("other.once.example");
    assert_eq!(collect(&mailbox, 1), [1000]);
    assert_eq!(addresses(&other[0]), ["192.0.2.1:80"]);
    let_answer("name.once.example");
    assert_eq!(collect(&mailbox, 1000).len(), 1000);
    for request in first.iter().chain(&later).chain(&batch) {
        assert_eq!(addresses(request), ["192.0.2.1:80"]);
    }
    assert_eq!(asked("once.example", 2), ["name.once.example", "other.once.example"]);
    // What is over is not joined.
    let anew = start_all("name.once.example", &mailbox, 0..1);
    assert_eq!(collect(&mailbox, 1), [0]);
    assert_eq!(addresses(&anew[0]), ["192.0.2.1:80"]);
    assert_eq!(asked("once.example", 3).len(), 3);
}

#[test]
fn who_leaves_leaves_the_others_and_what_nobody_waits_for_is_joined_still() {
    let mailbox = Mailbox::new();
    let requests = start_all("name.left.example", &mailbox, 0..5);
    asked("left.example", 1);
    requests[0].cancel();
    requests[1].give_up(libc::ETIMEDOUT);
    assert_eq!(collect(&mailbox, 2), [0, 1]);
    // All have left, and the worker is at it.
    drop(requests);
    let last = start_all("name.left.example", &mailbox, 5..7);
    let_answer("name.left.example");
    assert_eq!(collect(&mailbox, 2).len(), 2);
    assert_eq!((addresses(&last[0]), addresses(&last[1])), (vec!["192.0.2.1:80".into()], vec!["192.0.2.1:80".into()]));
    assert_eq!(asked("left.example", 1).len(), 1);
}

/// With one worker, which is busy.
#[test]
fn in_the_queue_the_last_one_who_leaves_takes_the_question_along() {
    let name = "in_the_queue_the_last_one_who_leaves_takes_the_question_along";
    if !in_own_process(name, || Ok(())) {
        return;
    }
    set_thread_limit(1);
    let mailbox = Mailbox::new();
    let _busy = start_all("busy.queue.example", &mailbox, 0..1);
    asked("queue.example", 1);
    let [dropped, given_up, kept] =
        ["dropped", "given-up", "kept"].map(|name| start_all(&format!("{name}.queue.example"), &mailbox, 1..4));
    drop(dropped);
    given_up.iter().for_each(|request| request.give_up(libc::ETIMEDOUT));
    assert_eq!(collect(&mailbox, 3), [1, 2, 3]);
    kept[0].give_up(libc::ETIMEDOUT);
    kept[1].cancel();
    assert_eq!(collect(&mailbox, 2), [1, 2]);
    // Who asks again after all have left is served.
    let again = start_all("given-up.queue.example", &mailbox, 4..5);
    ["busy", "kept", "given-up"].iter().for_each(|name| let_answer(&format!("{name}.queue.example")));
    assert_eq!(collect(&mailbox, 3), [0, 3, 4]);
    assert_eq!((addresses(&kept[2]), addresses(&again[0])), (vec!["192.0.2.1:80".into()], vec!["192.0.2.1:80".into()]));
    assert_eq!(asked("queue.example", 3), ["busy.queue.example", "kept.queue.example", "given-up.queue.example"]);
}

#[test]
fn what_differs_in_anything_is_asked_by_itself() {
    let mailbox = Mailbox::new();
    let name = "name.differs.example";
    let families = [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6];
    let mut hints: Vec<Hints> = families.map(|family| Hints { family, ..STREAM }).into();
    hints.push(Hints { flags: libc::AI_CANONNAME, ..STREAM });
    hints.push(Hints { socktype: libc::SOCK_DGRAM, ..STREAM });
    hints.push(Hints { flags: libc::AI_ADDRCONFIG, ..STREAM });
    // Libc looks at the addresses of this machine when it begins: one that is under way is not joined.
    hints.push(Hints { flags: libc::AI_ADDRCONFIG, ..STREAM });
    let mut requests = Vec::new();
    for (token, hints) in hints.iter().enumerate() {
        let request = Request::new(query(Some(name), Some("80"), *hints, None), mailbox.clone(), token as u64);
        request.start().unwrap();
        requests.push(request);
        assert_eq!(asked("differs.example", token + 1).len(), token + 1);
    }
    let service = Request::new(query(Some(name), Some("81"), STREAM, None), mailbox.clone(), 99);
    service.start().unwrap();
    asked("differs.example", hints.len() + 1);
    let_answer(name);
    assert_eq!(collect(&mailbox, hints.len() + 1).len(), hints.len() + 1);
    assert_eq!(addresses(&service), ["192.0.2.1:81"]);
}
