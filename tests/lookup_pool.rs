//! The workers: how many, in which order, what they block, when they leave.

mod lookup_support;
use lookup_support::*;

use happysock::lookup::{Mailbox, Request, StartError, set_thread_limit, thread_limit};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_stuck_worker_never_blocks_the_next_request() {
    let _alone = alone();
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let stuck: Vec<_> = (0..20).map(|token| gate.request("stuck.example", &mailbox, token)).collect();
    for request in &stuck {
        request.start().unwrap();
    }
    gate.entered(20);
    // In a batch too.
    let batch: Vec<_> = (20..40).map(|token| gate.request("stuck.example", &mailbox, token)).collect();
    Request::start_all(&batch).unwrap();
    gate.entered(40);
    let free = lookup("localhost", &mailbox, 99);
    free.start().unwrap();
    assert_eq!(collect(&mailbox, 1), [99]);
    gate.open();
    assert_eq!(collect(&mailbox, 40).len(), 40);
}

#[test]
fn past_the_limit_requests_wait_in_their_order_and_their_limits_are_kept() {
    if !in_own_process("past_the_limit_requests_wait_in_their_order_and_their_limits_are_kept", || Ok(())) {
        return;
    }
    assert_eq!(thread_limit(), 512);
    set_thread_limit(0);
    assert_eq!(thread_limit(), 1);
    set_thread_limit(2);
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let requests: Vec<_> = (0..10).map(|token| gate.request(&format!("n{token}"), &mailbox, token)).collect();
    for request in &requests {
        request.start().unwrap();
    }
    gate.entered(2);
    assert_eq!(workers().len(), 2);
    // The waiter's limit: the request in the queue ends when its owner says so, with two workers stuck.
    let patience = Instant::now() + Duration::from_millis(20);
    assert!(!mailbox.waker().wait(Some(patience)) && Instant::now() >= patience);
    requests[5].give_up(libc::ETIMEDOUT);
    assert_eq!(collect(&mailbox, 1), [5]);
    for asked in 3..10 {
        gate.permit();
        gate.entered(asked);
    }
    let mut entered = gate.entered(9);
    // The first two are with two workers, in either order.
    entered[..2].sort();
    assert_eq!(entered, ["n0", "n1", "n2", "n3", "n4", "n6", "n7", "n8", "n9"]);
    assert_eq!(workers().len(), 2);
    // A raised limit is used by the next start.
    set_thread_limit(3);
    let next = gate.request("n10", &mailbox, 10);
    next.start().unwrap();
    gate.entered(10);
    gate.open();
}

#[test]
fn a_worker_blocks_every_signal_and_leaves_after_its_idle_time() {
    if !in_own_process("a_worker_blocks_every_signal_and_leaves_after_its_idle_time", || Ok(())) {
        return;
    }
    let before = descriptors();
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let requests: Vec<_> = (0..4).map(|token| gate.request("name.example", &mailbox, token)).collect();
    Request::start_all(&requests).unwrap();
    gate.entered(4);
    for worker in workers() {
        let status = std::fs::read_to_string(format!("/proc/self/task/{worker}/status")).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
        let blocked = u64::from_str_radix(blocked, 16).unwrap();
        // 9 and 19 cannot be blocked; 32 and 33 are glibc's own and reach one thread only by its request.
        let blockable = !(1 << (9 - 1) | 1 << (19 - 1) | 1 << (32 - 1) | 1 << (33 - 1));
        assert_eq!(blocked & blockable, blockable, "{blocked:x}");
    }
    assert_eq!(workers().len(), 4);
    gate.open();
    collect(&mailbox, 4);
    let begin = Instant::now();
    // One of them is used again and again, and the others leave all the same.
    eventually("the idle workers leave", || {
        answer(query(Some("localhost"), None, STREAM, None)).unwrap();
        workers().len() == 1
    });
    assert!(begin.elapsed() >= Duration::from_secs(4), "they were kept for a while: {:?}", begin.elapsed());
    eventually("the last one leaves", || workers().is_empty());
    answer(query(Some("localhost"), None, STREAM, None)).unwrap();
    assert_eq!(workers().len(), 1, "and comes again when it is needed");
    // It may be inside libc for a moment longer, which has files open there.
    eventually("nothing is left open", || descriptors() == before);
}

/// While it is set no thread can be made: pthread_create says EAGAIN.
static NO_THREADS: AtomicBool = AtomicBool::new(false);

/// Stands before libc's in this program.
///
/// # Safety
/// As pthread_create(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        extern "C" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int;
    if NO_THREADS.load(Ordering::SeqCst) {
        return libc::EAGAIN;
    }
    // SAFETY: libc has a function of this name and type.
    unsafe {
        let next = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
        assert!(!next.is_null());
        std::mem::transmute::<*mut c_void, Create>(next)(thread, attributes, start, argument)
    }
}

#[test]
fn without_any_worker_a_start_that_gets_no_thread_says_so_and_may_be_tried_again() {
    const NAME: &str = "without_any_worker_a_start_that_gets_no_thread_says_so_and_may_be_tried_again";
    if !in_own_process(NAME, || Ok(())) {
        return;
    }
    let gate = Gate::new();
    gate.open();
    let mailbox = Mailbox::new();
    let requests: Vec<_> = (0..3).map(|token| gate.request("name.example", &mailbox, token)).collect();
    NO_THREADS.store(true, Ordering::SeqCst);
    let refused = Request::start_all(&requests);
    NO_THREADS.store(false, Ordering::SeqCst);
    assert_eq!(refused, Err(StartError::OutOfThreads));
    assert!(mailbox.is_empty() && requests.iter().all(|request| !request.is_finished()));
    Request::start_all(&requests).unwrap();
    assert_eq!(collect(&mailbox, 3).len(), 3);
    assert!(requests.iter().all(|request| request.take().unwrap().is_ok()));
}

#[test]
fn with_a_worker_alive_a_start_that_gets_no_thread_waits_for_it() {
    const NAME: &str = "with_a_worker_alive_a_start_that_gets_no_thread_waits_for_it";
    if !in_own_process(NAME, || Ok(())) {
        return;
    }
    let gate = Gate::new();
    let mailbox = Mailbox::new();
    let first = gate.request("first.example", &mailbox, 1);
    first.start().unwrap();
    gate.entered(1);
    let second = gate.request("second.example", &mailbox, 2);
    NO_THREADS.store(true, Ordering::SeqCst);
    let queued = second.start();
    NO_THREADS.store(false, Ordering::SeqCst);
    assert_eq!(queued, Ok(()));
    assert_eq!((gate.entered_now(), workers().len()), (1, 1));
    // The next start finds the thread that was missing, for the one in the queue too.
    let third = gate.request("third.example", &mailbox, 3);
    third.start().unwrap();
    assert!(gate.entered(3).contains(&"second.example".to_owned()));
    gate.open();
    assert_eq!(collect(&mailbox, 3).len(), 3);
}
