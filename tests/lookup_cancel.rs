//! Ending a lookup before its answer: cancel, give up, abandon.

mod lookup_support;
use lookup_support::*;

use happysock::lookup::{LookupError, Mailbox, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

const CANCELLED: LookupError = LookupError::system(libc::ECANCELED);

#[test]
fn a_cancel_ends_a_running_lookup_at_once_and_the_late_answer_is_freed() {
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let request = gate.request("stuck.example", &mailbox, 7);
    request.start().unwrap();
    gate.entered(1);
    for _ in 0..3 {
        request.cancel();
    }
    assert!(request.is_finished());
    assert_eq!(collect(&mailbox, 1), [7]);
    assert_eq!(request.take().unwrap().unwrap_err(), CANCELLED);
    gate.open();
    eventually("the late list is freed", || gate.lists_freed.load(Ordering::Relaxed) == 1);
    assert!(request.take().is_none() && mailbox.is_empty());
}

#[test]
fn a_cancel_before_the_start_and_while_queued_keeps_the_lookup_from_being_asked() {
    let gate = Gate::new();
    gate.open();
    let mailbox = Mailbox::new();
    let request = gate.request("never.example", &mailbox, 1);
    request.cancel();
    assert_eq!(request.start(), Ok(()));
    assert_eq!(collect(&mailbox, 1), [1]);
    assert_eq!(request.take().unwrap().unwrap_err(), CANCELLED);
    assert_eq!(gate.entered_now(), 0);
}

#[test]
fn an_answer_that_came_first_is_not_lost_to_a_cancel() {
    let gate = Gate::new();
    gate.open();
    let mailbox = Mailbox::new();
    let request = gate.request("name.example", &mailbox, 1);
    request.start().unwrap();
    collect(&mailbox, 1);
    request.cancel();
    request.give_up(libc::ETIMEDOUT);
    assert!(request.take().unwrap().is_ok());
}

#[test]
fn a_waiter_in_another_thread_is_woken_by_a_cancel() {
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let request = gate.request("stuck.example", &mailbox, 1);
    request.start().unwrap();
    gate.entered(1);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| collect(&mailbox, 1));
        request.cancel();
        assert_eq!(waiter.join().unwrap(), [1]);
    });
    gate.open();
}

#[test]
fn a_waiter_by_descriptor_is_woken_by_a_cancel() {
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let request = gate.request("stuck.example", &mailbox, 1);
    request.start().unwrap();
    let fd = mailbox.waker().descriptor().unwrap();
    let readable = |limit: i32| {
        let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&mut entry, 1, limit) == 1 }
    };
    assert!(!readable(0));
    request.cancel();
    assert!(readable(30_000), "the wake-up stays until it is taken");
    assert!(mailbox.waker().take() && !readable(0));
    gate.open();
}

/// The request that the signal handler cancels.
static TARGET: AtomicPtr<Request> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn cancel_target(_: libc::c_int) {
    // SAFETY: the test keeps the request alive while the pointer is set.
    if let Some(request) = unsafe { TARGET.load(Ordering::Acquire).as_ref() } {
        request.cancel();
    }
}

#[test]
fn a_cancel_from_a_signal_handler_ends_the_wait_it_interrupts() {
    let _alone = alone();
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    // SAFETY: the handler does what a handler may.
    unsafe { libc::signal(libc::SIGUSR1, cancel_target as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    for token in 0..100 {
        let request = gate.request("stuck.example", &mailbox, token);
        TARGET.store(Arc::as_ptr(&request).cast_mut(), Ordering::Release);
        request.start().unwrap();
        let waiting = unsafe { libc::pthread_self() };
        std::thread::scope(|scope| {
            // At some moment before, in or after the wait; the handler runs on the thread that waits.
            scope.spawn(move || unsafe { libc::pthread_kill(waiting, libc::SIGUSR1) });
            assert_eq!(collect(&mailbox, 1), [token]);
        });
        TARGET.store(std::ptr::null_mut(), Ordering::Release);
        assert_eq!(request.take().unwrap().unwrap_err(), CANCELLED);
    }
    gate.open();
}

#[test]
fn giving_up_takes_a_request_out_of_the_queue_and_so_does_dropping_it() {
    if !in_own_process("giving_up_takes_a_request_out_of_the_queue_and_so_does_dropping_it", || Ok(())) {
        return;
    }
    happysock::lookup::set_thread_limit(1);
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let stuck = gate.request("stuck.example", &mailbox, 0);
    stuck.start().unwrap();
    gate.entered(1);
    let queued: Vec<_> = (1..=3).map(|token| gate.request(&format!("q{token}.example"), &mailbox, token)).collect();
    Request::start_all(&queued).unwrap();
    let [first, second, third] = <[_; 3]>::try_from(queued).ok().unwrap();
    first.give_up(libc::ETIMEDOUT);
    assert_eq!(collect(&mailbox, 1), [1]);
    assert_eq!(first.take().unwrap().unwrap_err(), LookupError::system(libc::ETIMEDOUT));
    let before = gate.released.load(Ordering::Relaxed);
    drop(first);
    drop(second);
    assert_eq!(gate.released.load(Ordering::Relaxed), before + 2, "all of an abandoned request is freed by its owner");
    gate.open();
    assert_eq!(collect(&mailbox, 2).len(), 2);
    assert_eq!(gate.entered_now(), 2, "only the stuck one and the third were asked");
    drop(third);
}

#[test]
fn a_thousand_lookups_cancelled_at_random_moments_cost_microseconds_and_leave_nothing() {
    const NAME: &str = "a_thousand_lookups_cancelled_at_random_moments_cost_microseconds_and_leave_nothing";
    if !in_own_process(NAME, own_namespaces) {
        return;
    }
    // The server is asked and silent; libc gives up after some seconds, which is longer than anything here takes.
    let server = silent_dns_server("timeout:5 attempts:1");
    let before = descriptors();
    let mut slowest = Vec::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for token in 0..1000 {
        let mailbox = Mailbox::new();
        mailbox.waker().descriptor().unwrap();
        let request = lookup(&format!("n{token}.example"), &mailbox, token);
        request.start().unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = Instant::now() + Duration::from_micros(random % 500);
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        let begin = Instant::now();
        request.cancel();
        slowest.push(begin.elapsed());
        assert_eq!(collect(&mailbox, 1), [token]);
        assert_eq!(request.take().unwrap().unwrap_err(), CANCELLED);
        drop((request, mailbox));
    }
    // What libc itself holds open are its sockets to the server, one in each worker that is still in there. Ours
    // are gone.
    eventually("ours are closed", || {
        let fds = std::fs::read_dir("/proc/self/fd").unwrap();
        let mut targets = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        !targets.any(|to| to.ends_with("anon_inode:[eventfd]"))
    });
    slowest.sort();
    println!("cancel: median {:?}, 99 % {:?}, slowest {:?}", slowest[500], slowest[990], slowest[999]);
    // A cancel that waited for libc would take seconds.
    assert!(slowest[500] < Duration::from_millis(500));
    assert!(workers().len() <= happysock::lookup::thread_limit());
    eventually("libc gives up and the workers leave", || workers().is_empty());
    eventually("nothing is left open", || descriptors() == before);
    drop(server);
}
