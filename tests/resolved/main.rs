//! What a real systemd-resolved says, as this library takes it and as getaddrinfo(3) takes it through
//! nss-resolve: they have to agree in every case.
//!
//! Run by `make test` (suite `resolved`), in a network of its own where nothing else answers, as root.
//! systemd-resolved is started here without a bus; its name server is played here too.

#[path = "../dns_exchange/packets.rs"]
#[allow(dead_code)]
mod packets;
mod upstream;

use happysock::dns::answer::Address;
use happysock::dns::failure::Failure;
use happysock::dns::gate::{Ask, PlanStep};
use happysock::dns::nsswitch::Actions;
use happysock::dns::resolv_conf::ResolvConf;
use happysock::dns::varlink::{Outcome, no_such_record};
use happysock::dns::walk::{Action, Event, Walk};
use happysock::dns::{Families, Family};
use happysock::lookup::Asked;
use happysock::sys::address::socket_address;
use happysock::sys::poll::{PollFd, poll};
use std::ffi::{CString, c_char};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOCKET: &str = "/run/systemd/resolve/io.systemd.Resolve";
const FAMILIES: [Families; 3] = [Families::Both, Families::Only(Family::V6), Families::Only(Family::V4)];

/// Names, and what their server says (`upstream` has the words); or what systemd-resolved knows by itself.
const NAMES: &[&str] = &[
    "both.test",
    "four.test",
    "six.test",
    "BOTH.test.",
    "many.test",
    "local.test",
    "alias.test",
    "nodata.test",
    "nxdomain.test",
    "servfail.test",
    "refused.test",
    "formerr.test",
    "notimp.test",
    "loop.test",
    "cname.test",
    // The search list has `search.test`.
    "inside",
    "outside",
    "inside.",
    // hosts(5), which systemd-resolved reads.
    "hosted4.test",
    "hosted6.test",
    "hosted.test",
    "localhost",
    "x.localhost",
    "localhost6",
    "_gateway",
    "127.0.0.1.test",
    // What is no host name, in whichever way.
    "-x.test",
    "x y.test",
    "under_score.test",
    "a..test",
    ".",
    "ü.test",
    "xn--tda.test",
    "quoted\"\\.test",
    "\u{1}.test",
];

/// What an asker came to: the code, and the addresses with their scope in the order of their bytes.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: i32,
    addresses: Vec<SocketAddr>,
}

fn main() {
    assert_eq!(std::env::var("HAPPYSOCK_RESOLVED").as_deref(), Ok("ready"), "run by scripts/test-resolved");
    let (mut passed, mut failed) = (0, 0);
    let mut judge = |what: String, theirs: Answer, ours: Answer| {
        if ours == theirs {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED {what}\n    libc: {theirs:?}\n    ours: {ours:?}");
        }
    };
    let tells_no_data = tells_no_data();
    // Nobody listens yet.
    judge("no server".into(), libc_answer("both.test", Families::Both), our_answer("both.test", Families::Both, false));
    upstream::serve();
    let mut resolved = start();
    let mut found = 0;
    for name in NAMES {
        for families in FAMILIES {
            let (theirs, ours) = (libc_answer(name, families), our_answer(name, families, tells_no_data));
            found += usize::from(!theirs.addresses.is_empty());
            judge(format!("{name} {families:?}"), theirs, ours);
        }
    }
    assert!(found >= 25, "only {found} names were found by libc: nothing is compared");
    let (name, families) = (b"\xff.test", Families::Both);
    judge("not UTF-8".into(), libc_answer_to(name, families), our_answer_to(name, families, tells_no_data));
    // Many at once, over a connection each.
    for (name, families, answer) in many(tells_no_data) {
        judge(format!("{name} {families:?}, among many"), libc_answer(name, families), answer);
    }
    if std::env::var("HAPPYSOCK_RESOLVED_WHOLE").as_deref() == Ok("yes") {
        let before = threads();
        for name in NAMES {
            for families in FAMILIES {
                judge(
                    format!("{name} {families:?}, by the library"),
                    libc_answer(name, families),
                    whole(name, families),
                );
            }
        }
        assert_eq!(threads(), before, "systemd-resolved is asked without a thread");
    } else {
        println!(
            "skipped: the whole library beside systemd-resolved: nss-resolve cannot be put where libc's modules are"
        );
    }
    resolved.kill().unwrap();
    resolved.wait().unwrap();
    // The file is left, and nobody listens.
    judge("gone".into(), libc_answer("both.test", Families::Both), our_answer("both.test", Families::Both, false));
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}

/// Starts systemd-resolved, and waits until it says that it is ready (sd_notify(3)).
fn start() -> Child {
    let notify = "/run/happysock-notify";
    let socket = UnixDatagram::bind(notify).unwrap();
    // It gives up root before it says so.
    std::fs::set_permissions(notify, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let program = std::env::var("HAPPYSOCK_RESOLVED_PROGRAM").expect("set by scripts/test-resolved");
    let child = Command::new(program).env("NOTIFY_SOCKET", notify).env("SYSTEMD_LOG_LEVEL", "err").spawn().unwrap();
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).expect("systemd-resolved gets ready");
        if buffer[..length].split(|&byte| byte == b'\n').any(|line| line == b"READY=1") {
            return child;
        }
    }
}

/// As `lookup::system` finds out.
fn tells_no_data() -> bool {
    let module = std::env::var("HAPPYSOCK_RESOLVED_MODULE").expect("set by scripts/test-resolved");
    let module = std::fs::read(module).unwrap();
    module.windows(no_such_record().len()).any(|window| window == no_such_record())
}

fn address_family(families: Families) -> i32 {
    match families {
        Families::Both => libc::AF_UNSPEC,
        Families::Only(Family::V6) => libc::AF_INET6,
        Families::Only(Family::V4) => libc::AF_INET,
    }
}

type GetAddrInfo =
    unsafe extern "C" fn(*const c_char, *const c_char, *const libc::addrinfo, *mut *mut libc::addrinfo) -> i32;

unsafe extern "C" {
    fn rb_getaddrinfo_happy(
        node: *const c_char,
        service: *const c_char,
        hints: *const libc::addrinfo,
        ret_res: *mut *mut libc::addrinfo,
        timeout_ms: i32,
    ) -> i32;
}

/// Without a limit.
unsafe extern "C" fn happy(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    ret_res: *mut *mut libc::addrinfo,
) -> i32 {
    // SAFETY: as the caller's.
    unsafe { rb_getaddrinfo_happy(node, service, hints, ret_res, -1) }
}

fn whole(name: &str, families: Families) -> Answer {
    answer_of(happy, name.as_bytes(), families)
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn libc_answer(name: &str, families: Families) -> Answer {
    libc_answer_to(name.as_bytes(), families)
}

fn libc_answer_to(name: &[u8], families: Families) -> Answer {
    answer_of(libc::getaddrinfo, name, families)
}

fn answer_of(look_up: GetAddrInfo, name: &[u8], families: Families) -> Answer {
    let name = CString::new(name).unwrap();
    // SAFETY: all zeros is a value of addrinfo.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = address_family(families);
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list = std::ptr::null_mut();
    // SAFETY: a C string, hints, and a place for the list.
    let code = unsafe { look_up(name.as_ptr(), std::ptr::null(), &hints, &mut list) };
    let mut addresses = Vec::new();
    let mut place: *const libc::addrinfo = if code == 0 { list } else { std::ptr::null() };
    while !place.is_null() {
        // SAFETY: libc's list, which is freed below.
        unsafe {
            addresses.extend(socket_address((*place).ai_addr, (*place).ai_addrlen));
            place = (*place).ai_next;
        }
    }
    if code == 0 {
        // SAFETY: it was just made.
        unsafe { libc::freeaddrinfo(list) };
    }
    addresses.sort();
    Answer { code, addresses }
}

fn our_answer(name: &str, families: Families, tells_no_data: bool) -> Answer {
    our_answer_to(name.as_bytes(), families, tells_no_data)
}

fn our_answer_to(name: &[u8], families: Families, tells_no_data: bool) -> Answer {
    let asked = Asked::begin(Path::new(SOCKET), name, families, tells_no_data, Instant::now());
    let outcome = asked.map_err(Err).map(finish).unwrap_or_else(|outcome| outcome);
    walked(name, families, outcome)
}

/// Drives a lookup to its end.
fn finish(mut asked: Asked) -> Outcome {
    let mut buffer = Vec::with_capacity(65_536);
    loop {
        let now = Instant::now();
        if let Some(outcome) = asked.go_on(Path::new(SOCKET), now, &mut buffer) {
            return outcome;
        }
        let limit = Some(asked.deadline().saturating_duration_since(now));
        match asked.waits_for() {
            Some((fd, interest)) => poll(&mut [PollFd::new(fd, interest)], limit).unwrap(),
            None => poll(&mut [], limit).unwrap(),
        };
    }
}

/// What a walk with this one source makes of it.
fn walked(name: &[u8], families: Families, outcome: Outcome) -> Answer {
    let conf = Arc::new(ResolvConf::parse(None, b"", (2, 36), |_| None));
    let steps = [PlanStep { ask: Ask::Resolve { tells_no_data: true }, actions: Actions::DEFAULT }];
    let mut walk = Walk::new(name, families, steps.into(), conf, 0);
    let now = Instant::now();
    assert!(matches!(walk.next_action(now), Some(Action::Ask(Ask::Resolve { .. }))));
    match &outcome {
        Ok(addresses) => walk.handle(now, Event::SourceFound { addresses, ttl: None }),
        Err(failure) => walk.handle(now, Event::SourceFailed { failure: *failure }),
    }
    let mut found: Vec<Address> = Vec::new();
    let mut last: Option<Failure> = None;
    while let Some(action) = walk.next_action(now) {
        match action {
            Action::Answered { answer: Ok(addresses), .. } => found.extend(addresses.list),
            Action::Answered { answer: Err(failure), .. } => last = Some(failure),
            Action::Finish => break,
            other => panic!("{other:?}"),
        }
    }
    let code = if found.is_empty() { last.unwrap().gai_error(families) } else { 0 };
    let mut addresses: Vec<SocketAddr> = found.into_iter().map(|address| address.with_port(0)).collect();
    addresses.sort();
    Answer { code, addresses }
}

/// A hundred names at once, driven by one poll(2).
fn many(tells_no_data: bool) -> Vec<(&'static str, Families, Answer)> {
    let names = ["both.test", "nxdomain.test", "six.test", "nodata.test", "hosted.test"];
    let mut buffer = Vec::with_capacity(65_536);
    let mut running: Vec<(&str, Families, Asked)> = Vec::new();
    for count in 0..100 {
        let (name, families) = (names[count % names.len()], FAMILIES[count % 3]);
        let asked = Asked::begin(Path::new(SOCKET), name.as_bytes(), families, tells_no_data, Instant::now());
        running.push((name, families, asked.expect("it is there")));
    }
    let mut answers = Vec::new();
    while !running.is_empty() {
        let mut fds: Vec<PollFd> = Vec::new();
        let limit = running.iter().map(|(.., asked)| asked.deadline()).min().unwrap();
        for (.., asked) in &running {
            fds.extend(asked.waits_for().map(|(fd, interest)| PollFd::new(fd, interest)));
        }
        poll(&mut fds, Some(limit.saturating_duration_since(Instant::now()))).unwrap();
        let mut left = Vec::new();
        for (name, families, mut asked) in running {
            match asked.go_on(Path::new(SOCKET), Instant::now(), &mut buffer) {
                Some(outcome) => answers.push((name, families, walked(name.as_bytes(), families, outcome))),
                None => left.push((name, families, asked)),
            }
        }
        running = left;
    }
    answers
}
