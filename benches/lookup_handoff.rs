//! What a lookup on the pool costs, beside the same lookup made by the calling thread. One connect is: look
//! up, connect to the first address, close. The variants take turns, so that a noisy moment meets all of
//! them; medians are printed.
//!
//! Arguments: HOST [ROUNDS]. HOST has to stand in /etc/hosts with ::1 and 127.0.0.1 for the figures to mean
//! anything.

use happysock::lookup::{Form, Hints, Mailbox, Query, Request};
use std::ffi::{CStr, CString};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

fn hints(family: i32) -> Hints {
    Hints { flags: 0, family, socktype: libc::SOCK_STREAM, protocol: 0 }
}

fn connect(address: SocketAddr) {
    let stream = TcpStream::connect(address).expect("the listener is there");
    // Close by RST: no port is left in TIME_WAIT.
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    use std::os::fd::AsRawFd;
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of_val(&linger) as u32,
        );
    }
}

/// Waits for one token more.
fn next(mailbox: &Mailbox, tokens: &mut Vec<u64>) {
    let before = tokens.len();
    loop {
        mailbox.waker().take();
        mailbox.collect(tokens);
        if tokens.len() > before {
            return;
        }
        mailbox.waker().wait(None);
    }
}

fn one_thread(host: &CStr, service: &CStr) {
    let mut raw: libc::addrinfo = unsafe { std::mem::zeroed() };
    raw.ai_socktype = libc::SOCK_STREAM;
    let mut list = std::ptr::null_mut();
    assert_eq!(unsafe { libc::getaddrinfo(host.as_ptr(), service.as_ptr(), &raw, &mut list) }, 0);
    let first = unsafe { &*list };
    let address: SocketAddr = if first.ai_family == libc::AF_INET6 {
        let port = u16::from_be(unsafe { (*first.ai_addr.cast::<libc::sockaddr_in6>()).sin6_port });
        ([0, 0, 0, 0, 0, 0, 0, 1], port).into()
    } else {
        let port = u16::from_be(unsafe { (*first.ai_addr.cast::<libc::sockaddr_in>()).sin_port });
        ([127, 0, 0, 1], port).into()
    };
    unsafe { libc::freeaddrinfo(list) };
    connect(address);
}

fn two_families(host: &CStr, service: &CStr, mailbox: &Arc<Mailbox>, poll: bool, race: bool) {
    let query = Query::new(Some(host), Some(service), hints(libc::AF_UNSPEC), None).unwrap();
    let (query, v4) = if race {
        (query.with(libc::AF_INET6, Form::Unsorted), query.with(libc::AF_INET, Form::Unsorted))
    } else {
        (query.with(libc::AF_INET6, Form::Addresses), query.with(libc::AF_INET, Form::Addresses))
    };
    let requests = [Request::new(query, mailbox.clone(), 6), Request::new(v4, mailbox.clone(), 4)];
    Request::start_all(&requests).unwrap();
    let mut tokens = Vec::new();
    let wait = |tokens: &mut Vec<u64>| {
        if !poll {
            return next(mailbox, tokens);
        }
        let before = tokens.len();
        loop {
            mailbox.waker().take();
            mailbox.collect(tokens);
            if tokens.len() > before {
                return;
            }
            let mut entry =
                libc::pollfd { fd: mailbox.waker().descriptor().unwrap(), events: libc::POLLIN, revents: 0 };
            unsafe { libc::poll(&mut entry, 1, -1) };
        }
    };
    wait(&mut tokens);
    // AAAA first: its answer alone starts the connect.
    while !tokens.contains(&6) {
        wait(&mut tokens);
    }
    let address = requests[0].take().unwrap().unwrap().into_addresses()[0];
    connect(address);
}

fn one_family(host: &CStr, service: &CStr, mailbox: &Arc<Mailbox>) {
    let request =
        Request::new(Query::new(Some(host), Some(service), hints(libc::AF_INET6), None).unwrap(), mailbox.clone(), 6);
    request.start().unwrap();
    let mut tokens = Vec::new();
    next(mailbox, &mut tokens);
    connect(request.take().unwrap().unwrap().into_addresses()[0]);
}

fn numeric(host: &CStr, service: &CStr, mailbox: &Arc<Mailbox>) {
    let request =
        Request::new(Query::new(Some(host), Some(service), hints(libc::AF_UNSPEC), None).unwrap(), mailbox.clone(), 6);
    request.start().unwrap();
    let address = request.take().unwrap().unwrap().into_addresses()[0];
    let mut tokens = Vec::new();
    next(mailbox, &mut tokens);
    connect(address);
}

/// A way to hand over, by name.
type Variant<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let host = CString::new(arguments.next().unwrap_or("localhost".into())).unwrap();
    let rounds: usize = arguments.next().map_or(2000, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let listener = TcpListener::bind("[::1]:0").expect("the loopback has ::1");
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = CString::new(port.to_string()).unwrap();
    let (mailbox, polled) = (Mailbox::new(), Mailbox::new());
    polled.waker().descriptor().unwrap();
    let mut variants: Vec<Variant> = vec![
        ("connect only", Box::new(|| connect(([0, 0, 0, 0, 0, 0, 0, 1], port).into()))),
        ("numeric", Box::new(|| numeric(c"::1", &service, &mailbox))),
        ("one thread, AF_UNSPEC", Box::new(|| one_thread(&host, &service))),
        ("one family on the pool", Box::new(|| one_family(&host, &service, &mailbox))),
        ("both families, futex", Box::new(|| two_families(&host, &service, &mailbox, false, false))),
        ("both families, new mailbox", Box::new(|| two_families(&host, &service, &Mailbox::new(), false, false))),
        ("both, unsorted, new mailbox", Box::new(|| two_families(&host, &service, &Mailbox::new(), false, true))),
        ("both, unsorted, kept eventfd", Box::new(|| two_families(&host, &service, &polled, true, true))),
        ("both families, kept eventfd", Box::new(|| two_families(&host, &service, &polled, true, false))),
    ];
    let mut times = vec![Vec::new(); variants.len()];
    for round in 0..rounds + rounds / 10 {
        for (index, (_, run)) in variants.iter_mut().enumerate() {
            let begin = Instant::now();
            run();
            if round >= rounds / 10 {
                times[index].push(begin.elapsed());
            }
            // Outside of the measured time: a full backlog would stop the next connect.
            while listener.accept().is_ok() {}
        }
    }
    let median = |times: &mut Vec<std::time::Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6
    };
    let floor = median(&mut times[2]);
    for ((name, _), times) in variants.iter().zip(&mut times) {
        let median = median(times);
        println!("{name:28} {median:7.1} us  {:5.2}", median / floor);
    }
}
