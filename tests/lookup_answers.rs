//! One lookup: what is asked, what is answered, who frees it.

mod lookup_support;
use lookup_support::*;

use happysock::lookup::{Form, Found, Hints, LookupCallback, LookupError, Mailbox, QueryArgument, Request, StartError};
use std::ffi::{c_char, c_int, c_void};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn addresses(found: &Found) -> Vec<String> {
    let addresses: Vec<_> = match found {
        Found::Addresses(addresses) => addresses.clone(),
        Found::List(list) => list.iter().collect(),
    };
    addresses.iter().map(|address| address.to_string()).collect()
}

#[test]
fn both_families_of_a_name_are_answered_and_each_token_comes_once() {
    let mailbox = Mailbox::new();
    let both = query(Some("localhost"), Some("80"), STREAM, None);
    let requests = [(libc::AF_INET6, 6), (libc::AF_INET, 4)]
        .map(|(family, token)| Request::new(both.with(family, Form::List), mailbox.clone(), token));
    Request::start_all(&requests).unwrap();
    let mut tokens = collect(&mailbox, 2);
    tokens.sort();
    assert_eq!(tokens, [4, 6]);
    assert!(addresses(&requests[1].take().unwrap().unwrap()).contains(&"127.0.0.1:80".to_owned()));
    assert!(requests[1].take().is_none(), "an answer is taken once");
    assert!(mailbox.is_empty());
}

#[test]
fn a_request_is_started_once() {
    let mailbox = Mailbox::new();
    let request = lookup("localhost", &mailbox, 1);
    request.start().unwrap();
    assert_eq!(request.start(), Err(StartError::AlreadyStarted));
    let fresh = lookup("localhost", &mailbox, 2);
    assert_eq!(Request::start_all(&[fresh.clone(), request.clone()]), Err(StartError::AlreadyStarted));
    assert_eq!(collect(&mailbox, 1), [1], "the batch that failed started nothing");
    fresh.start().unwrap();
    assert_eq!(collect(&mailbox, 1), [2]);
}

#[test]
fn what_is_numeric_is_answered_inside_start_and_no_worker_is_made() {
    let expected = [
        (Some("::1"), Some("443"), "[::1]:443"),
        (Some("192.0.2.7"), Some("0"), "192.0.2.7:0"),
        (Some("192.0.2.7"), Some("00065535"), "192.0.2.7:65535"),
        (Some("192.0.2.7"), None, "192.0.2.7:0"),
        (Some("0x7f.1"), Some("1"), "127.0.0.1:1"),
        (Some("::ffff:192.0.2.1"), Some("80"), "[::ffff:192.0.2.1]:80"),
        (None, Some("80"), "[::1]:80"),
    ];
    // In a process of its own, since other tests make workers.
    if !in_own_process("what_is_numeric_is_answered_inside_start_and_no_worker_is_made", || Ok(())) {
        return;
    }
    for (node, service, address) in expected {
        let mailbox = Mailbox::new();
        let request = Request::new(query(node, service, STREAM, None), mailbox.clone(), 1);
        request.start().unwrap();
        assert!(request.is_finished() && mailbox.waker().take());
        assert_eq!(addresses(&request.take().unwrap().unwrap())[0], address);
    }
    let numeric_only = Hints { flags: libc::AI_NUMERICHOST, ..STREAM };
    let refused = query(Some("1.example"), Some("80"), numeric_only, None).answer_at_once().unwrap();
    assert_eq!(refused.unwrap_err().gai_error, libc::EAI_NONAME);
    assert_eq!(workers(), [""; 0]);
    assert_eq!(std::fs::read_dir("/proc/self/task").unwrap().count(), 2, "the test harness and the test");
}

#[test]
fn what_only_looks_numeric_and_named_services_go_to_a_worker() {
    for (node, service) in
        [(Some("1.example"), Some("80")), (Some("a:b"), None), (Some("::1"), Some("http")), (None, Some("http"))]
    {
        assert!(query(node, service, STREAM, None).answer_at_once().is_none(), "{node:?} {service:?}");
    }
    assert_eq!(addresses(&answer(query(Some("::1"), Some("http"), STREAM, None)).unwrap()), ["[::1]:80"]);
    assert_eq!(answer(query(Some("::1"), Some("nosuch"), STREAM, None)).unwrap_err().gai_error, libc::EAI_SERVICE);
    assert_eq!(answer(query(Some("::1"), Some("80x"), STREAM, None)).unwrap_err().gai_error, libc::EAI_SERVICE);
}

#[test]
fn what_no_resolver_should_be_asked_is_refused_at_once() {
    let long = |length: usize| "a".repeat(length);
    let refused = [
        (None, None, QueryArgument::Node, libc::EAI_NONAME),
        (Some(""), Some("80"), QueryArgument::Node, libc::EAI_NONAME),
        (Some("localhost\n"), Some("80"), QueryArgument::Node, libc::EAI_NONAME),
        (Some("local host"), Some("80"), QueryArgument::Node, libc::EAI_NONAME),
        (Some("local\x7fhost"), Some("80"), QueryArgument::Node, libc::EAI_NONAME),
        (Some(&*long(1025)), Some("80"), QueryArgument::Node, libc::EAI_NONAME),
        (Some(&*long(100_000)), Some("80"), QueryArgument::Node, libc::EAI_NONAME),
        (Some("localhost"), Some("65536"), QueryArgument::Service, libc::EAI_SERVICE),
        (Some("localhost"), Some("70000"), QueryArgument::Service, libc::EAI_SERVICE),
        (Some("localhost"), Some("99999999999999999999"), QueryArgument::Service, libc::EAI_SERVICE),
        (Some("localhost"), Some("-1"), QueryArgument::Service, libc::EAI_SERVICE),
        (Some("localhost"), Some("+80"), QueryArgument::Service, libc::EAI_SERVICE),
        (Some("localhost"), Some(" 80"), QueryArgument::Service, libc::EAI_SERVICE),
        (Some("localhost"), Some("80\n"), QueryArgument::Service, libc::EAI_SERVICE),
        (Some("localhost"), Some(&*long(32)), QueryArgument::Service, libc::EAI_SERVICE),
    ];
    for (node, service, argument, gai_error) in refused {
        let query = query(node, service, STREAM, None);
        let rejection = query.check().unwrap_err();
        assert_eq!((rejection.argument, rejection.gai_error), (argument, gai_error), "{node:?} {service:?}");
        assert_eq!(query.answer_at_once().unwrap().unwrap_err(), LookupError { gai_error, sys_errno: 0 });
    }
    for (node, service) in
        [("localhost.", "80"), ("b\u{fc}cher.example", "80"), (&*long(1024), "http-alt"), ("x", "65535"), ("x", "-x")]
    {
        assert_eq!(query(Some(node), Some(service), STREAM, None).check(), Ok(()), "{node} {service}");
    }
}

#[test]
fn bad_hints_are_refused_as_libc_refuses_them() {
    let flags = Hints { flags: 1 << 30, ..STREAM };
    assert_eq!(answer(query(Some("localhost"), None, flags, None)).unwrap_err().gai_error, libc::EAI_BADFLAGS);
    let family = Hints { family: 99, ..STREAM };
    assert_eq!(answer(query(Some("localhost"), None, family, None)).unwrap_err().gai_error, libc::EAI_FAMILY);
    let no_address_of_that_family = Hints { family: libc::AF_INET, ..STREAM };
    let error = query(Some("::1"), None, no_address_of_that_family, None).answer_at_once().unwrap().unwrap_err();
    const EAI_ADDRFAMILY: i32 = -9; // netdb.h of glibc; the libc crate has no name for it.
    assert_eq!(error.gai_error, EAI_ADDRFAMILY);
}

/// Fails with EAI_SYSTEM and the errno that the userdata is.
unsafe extern "C" fn fail(
    _: *const c_char,
    _: *const c_char,
    _: *const libc::addrinfo,
    _: *mut *mut libc::addrinfo,
    userdata: *mut c_void,
) -> c_int {
    unsafe { *libc::__errno_location() = userdata as c_int };
    libc::EAI_SYSTEM
}

#[test]
fn a_question_for_a_race_has_the_addresses_and_errors_of_getaddrinfo() {
    const NAME: &str = "a_question_for_a_race_has_the_addresses_and_errors_of_getaddrinfo";
    if !in_own_process(NAME, own_namespaces) {
        return;
    }
    let many: String =
        (1..=200).map(|host| format!("2001:db8::{host:x} many.test\n192.0.2.{host} many.test\n")).collect();
    let hosts = format!("127.0.0.1 localhost\n::1 localhost\n192.0.2.1 four.test\n2001:db8::1 six.test\n{many}");
    replace_file(c"/etc/hosts", &hosts);
    replace_file(c"/etc/nsswitch.conf", "hosts: files\nservices: files\n");
    let sorted = |answer: Result<Found, LookupError>| {
        answer.map(|list| {
            let mut addresses = addresses(&list);
            addresses.sort();
            addresses.dedup();
            addresses
        })
    };
    for name in
        ["localhost", "four.test", "six.test", "many.test", "none.test", "four.test.", "1.2.3.4.5", "b\u{fc}.test"]
    {
        for service in [Some("80"), Some("http"), Some("nosuch"), None] {
            for family in [libc::AF_INET6, libc::AF_INET] {
                let plain = query(Some(name), service, STREAM, None);
                let expected = sorted(answer(plain.with(family, Form::List)));
                let found = sorted(answer(plain.with(family, Form::Unsorted)));
                assert_eq!(found, expected, "{name} {service:?} {family}");
            }
        }
    }
    // Flags that only getaddrinfo understands are left to it.
    let canonical = Hints { flags: libc::AI_CANONNAME, ..STREAM };
    let found = answer(query(Some("six.test"), None, canonical, None).with(libc::AF_INET6, Form::Unsorted)).unwrap();
    assert_eq!(addresses(&found), ["[2001:db8::1]:0"]);
}

#[test]
fn errno_travels_with_eai_system_and_a_missing_mdns_daemon_reads_no_name() {
    let with_errno = |errno: c_int| {
        // SAFETY: the userdata is a number.
        let callback = unsafe { LookupCallback::new(fail, None, errno as usize as *mut c_void, Arc::new(())) };
        answer(query(Some("name.example"), None, STREAM, Some(callback))).unwrap_err()
    };
    assert_eq!(with_errno(libc::EMFILE), LookupError::system(libc::EMFILE));
    assert_eq!(with_errno(libc::ENOENT), LookupError { gai_error: libc::EAI_NONAME, sys_errno: 0 });
}

#[test]
fn a_callback_is_asked_for_names_only_frees_its_lists_and_is_released_once() {
    let gate = Gate::new();
    gate.open();
    let mailbox = Mailbox::new();
    let request = gate.request("name.example", &mailbox, 1);
    request.start().unwrap();
    collect(&mailbox, 1);
    let list = request.take().unwrap().unwrap();
    assert_eq!(addresses(&list), ["192.0.2.1:80"]);
    drop(request);
    assert_eq!((gate.lists_freed.load(Ordering::Relaxed), gate.released.load(Ordering::Relaxed)), (0, 0));
    drop(list);
    assert_eq!(gate.lists_freed.load(Ordering::Relaxed), 1);
    // The worker may still hold the question for a moment.
    eventually("the callback is released", || gate.released.load(Ordering::Relaxed) == 1);

    let numeric = gate.request("192.0.2.9", &mailbox, 2);
    numeric.start().unwrap();
    assert_eq!(addresses(&numeric.take().unwrap().unwrap()), ["192.0.2.9:80"]);
    assert_eq!(gate.entered_now(), 1);
}

unsafe extern "C" fn boxed(
    _: *const c_char,
    _: *const c_char,
    _: *const libc::addrinfo,
    ret_res: *mut *mut libc::addrinfo,
    _: *mut c_void,
) -> c_int {
    let list: Vec<SocketAddr> = ["[2001:db8::1%7]:80", "192.0.2.1:80"].map(|text| text.parse().unwrap()).into();
    unsafe { *ret_res = boxed_list(&list) };
    0
}

unsafe extern "C" fn free_boxed(list: *mut libc::addrinfo, _: *mut c_void) {
    unsafe { free_boxed_list(list) };
}

#[test]
fn a_list_that_is_given_away_is_freed_by_freeaddrinfo_whoever_made_it() {
    // SAFETY: the functions do not use the userdata.
    let callback = unsafe { LookupCallback::new(boxed, Some(free_boxed), std::ptr::null_mut(), Arc::new(())) };
    let list = answer(query(Some("name.example"), None, STREAM, Some(callback))).unwrap();
    assert_eq!(addresses(&list), ["[2001:db8::1%7]:80", "192.0.2.1:80"]);
    let raw = list.into_raw_list().unwrap();
    unsafe {
        assert_eq!((*(*raw).ai_addr).sa_family, libc::AF_INET6 as libc::sa_family_t);
        assert_eq!((*(*raw).ai_next).ai_family, libc::AF_INET);
        assert!((*(*raw).ai_next).ai_next.is_null());
        libc::freeaddrinfo(raw);
    }
    let own =
        answer(query(Some("192.0.2.1"), Some("80"), Hints { flags: libc::AI_CANONNAME, ..STREAM }, None)).unwrap();
    let raw = own.into_raw_list().unwrap();
    unsafe {
        assert_eq!(std::ffi::CStr::from_ptr((*raw).ai_canonname), c"192.0.2.1");
        libc::freeaddrinfo(raw);
    }
}
