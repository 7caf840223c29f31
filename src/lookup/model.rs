//! The handoff under the loom model checker: every order in which the steps of worker, waiter and canceller
//! can come.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib model::`

use super::joint::Joint;
use super::mailbox::{Mailbox, Note};
use super::pool::Job;
use super::{AddressList, Answer, Found, Hints, LookupCallback, LookupError, Query, Request};
use crate::sys::wake::Waker;
use loom::thread;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

unsafe extern "C" fn never_called(
    _: *const c_char,
    _: *const c_char,
    _: *const libc::addrinfo,
    _: *mut *mut libc::addrinfo,
    _: *mut c_void,
) -> c_int {
    unreachable!()
}

unsafe extern "C" fn count_free(_: *mut libc::addrinfo, userdata: *mut c_void) {
    // SAFETY: the userdata of `Lists::callback`.
    unsafe { (*userdata.cast::<AtomicUsize>()).fetch_add(1, Ordering::Relaxed) };
}

/// Counts the lists that were freed. The counter is no part of the model.
struct Lists {
    freed: Box<AtomicUsize>,
    node: Box<libc::addrinfo>,
}

impl Lists {
    fn new() -> Arc<Lists> {
        // SAFETY: zeros are a valid addrinfo.
        Arc::new(Lists { freed: Box::default(), node: Box::new(unsafe { std::mem::zeroed() }) })
    }
    fn make(&self) -> Found {
        let userdata = (&raw const *self.freed).cast_mut().cast();
        // SAFETY: the counter outlives the list; freeing it only counts.
        unsafe {
            let maker = LookupCallback::new(never_called, Some(count_free), userdata, Arc::new(()));
            Found::List(AddressList::from_raw((&raw const *self.node).cast_mut(), Some(maker)))
        }
    }
    fn freed(&self) -> usize {
        self.freed.load(Ordering::Relaxed)
    }
}

fn request(mailbox: &Arc<Mailbox>, token: u64) -> Arc<Request> {
    let hints = Hints { flags: 0, family: 0, socktype: 0, protocol: 0 };
    let request = Request::new(Query::new(Some(c"name"), None, hints, None).unwrap(), mailbox.clone(), token);
    assert!(request.handoff().queue());
    request
}

/// Every order with at most three preemptions: where all of them would take hours.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// What a worker does for a request, without the lookup.
fn work(joint: &Weak<Joint>, lists: &Lists) {
    work_for(joint, || Ok(lists.make()));
}

fn work_for(joint: &Weak<Joint>, look_up: impl FnOnce() -> Answer) {
    let Some(wanted) = joint.upgrade() else { return };
    let Some(work) = wanted.begin() else { return };
    drop(wanted);
    let answer = look_up();
    drop(work);
    if let Some(wanted) = joint.upgrade() {
        wanted.finish(answer);
    }
}

fn collect(mailbox: &Mailbox, count: usize) -> Vec<u64> {
    let mut tokens = Vec::new();
    loop {
        mailbox.waker().take();
        mailbox.collect(&mut tokens);
        if tokens.len() >= count {
            return tokens;
        }
        mailbox.waker().wait(None);
    }
}

#[test]
fn a_worker_and_a_cancel_end_a_request_once_and_the_list_is_freed_once() {
    bounded(|| {
        let (mailbox, lists) = (Mailbox::new(), Lists::new());
        let request = request(&mailbox, 1);
        let worker = thread::spawn({
            let (joint, lists) = (Arc::downgrade(&request.joint()), lists.clone());
            move || work(&joint, &lists)
        });
        let canceller = thread::spawn({
            let request = request.clone();
            move || request.cancel()
        });
        assert_eq!(collect(&mailbox, 1), [1]);
        let answer = request.take().expect("the token came");
        assert!(request.take().is_none());
        canceller.join().unwrap();
        worker.join().unwrap();
        assert!(mailbox.is_empty(), "one token");
        match answer {
            Ok(list) => {
                assert_eq!(lists.freed(), 0);
                drop(list);
                assert_eq!(lists.freed(), 1);
            }
            Err(error) => {
                assert_eq!(error, LookupError::system(libc::ECANCELED));
                assert!(lists.freed() <= 1);
            }
        }
    });
}

#[test]
fn an_answer_that_is_taken_without_its_token_is_whole() {
    loom::model(|| {
        let (mailbox, lists) = (Mailbox::new(), Lists::new());
        let request = request(&mailbox, 1);
        let worker = thread::spawn({
            let (joint, lists) = (Arc::downgrade(&request.joint()), lists.clone());
            move || work(&joint, &lists)
        });
        let early = request.take();
        assert!(request.is_finished() || early.is_none());
        worker.join().unwrap();
        assert_ne!(early.is_some(), request.take().is_some(), "once");
    });
}

#[test]
fn two_workers_wake_a_waiter_for_both_tokens() {
    bounded(|| {
        let (mailbox, lists) = (Mailbox::new(), Lists::new());
        let requests = [request(&mailbox, 1), request(&mailbox, 2)];
        let workers = requests.each_ref().map(|request| {
            let (joint, lists) = (Arc::downgrade(&request.joint()), lists.clone());
            thread::spawn(move || work(&joint, &lists))
        });
        let mut tokens = collect(&mailbox, 2);
        tokens.sort();
        assert_eq!(tokens, [1, 2]);
        assert!(requests.iter().all(|request| request.take().is_some_and(|answer| answer.is_ok())));
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(lists.freed(), 2);
    });
}

#[test]
fn an_owner_that_leaves_frees_the_request_or_lets_the_worker_do_it() {
    loom::model(|| {
        let (mailbox, lists) = (Mailbox::new(), Lists::new());
        let request = request(&mailbox, 1);
        let worker = thread::spawn({
            let (joint, lists) = (Arc::downgrade(&request.joint()), lists.clone());
            move || work(&joint, &lists)
        });
        drop(request);
        worker.join().unwrap();
        assert!(lists.freed() <= 1);
        let mut tokens = Vec::new();
        mailbox.collect(&mut tokens);
        assert_eq!(tokens.len(), lists.freed().min(tokens.len()), "a token only with an answer");
        assert_eq!(Arc::strong_count(&mailbox), 1);
    });
}

/// One that asks the same while a worker is at it, or about to answer: it gets the answer, or is told that it
/// has to ask itself.
#[test]
fn who_joins_a_question_is_answered_with_it_or_asks_itself() {
    bounded(|| {
        let mailbox = Mailbox::new();
        let (first, second) = (request(&mailbox, 1), request(&mailbox, 2));
        let worker = thread::spawn({
            let joint = Arc::downgrade(&first.joint());
            move || work_for(&joint, || Err(LookupError::NO_DATA))
        });
        let joined = first.joint().join(&second);
        assert_eq!(collect(&mailbox, 1 + usize::from(joined)).len(), 1 + usize::from(joined));
        worker.join().unwrap();
        assert!(first.take().is_some() && second.take().is_some() == joined && mailbox.is_empty());
    });
}

/// The one who asked first leaves; who has joined is answered, by whichever worker.
#[test]
fn who_leaves_a_question_leaves_it_to_the_others() {
    bounded(|| {
        let mailbox = Mailbox::new();
        let (first, second) = (request(&mailbox, 1), request(&mailbox, 2));
        let joint = first.joint();
        assert!(joint.join(&second));
        let worker = thread::spawn({
            let joint = Arc::downgrade(&joint);
            move || work_for(&joint, || Err(LookupError::NO_DATA))
        });
        drop(first);
        while second.take().is_none() {
            mailbox.waker().wait(None);
            mailbox.waker().take();
            let mut tokens = Vec::new();
            mailbox.collect(&mut tokens);
        }
        worker.join().unwrap();
    });
}

#[test]
fn two_posters_and_a_collector_lose_no_token_and_no_wake_up() {
    bounded(|| {
        let mailbox = Mailbox::new();
        let posters = [1, 2].map(|token| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.post(Note::new(token)))
        });
        assert_eq!(collect(&mailbox, 2).iter().sum::<u64>(), 3);
        for poster in posters {
            poster.join().unwrap();
        }
        assert!(mailbox.is_empty());
    });
}

#[test]
fn a_wake_up_is_seen_by_a_descriptor_that_is_being_made() {
    loom::model(|| {
        let waker = Arc::new(Waker::new());
        let waking = thread::spawn({
            let waker = waker.clone();
            move || waker.wake()
        });
        waker.descriptor().unwrap();
        waking.join().unwrap();
        assert!(waker.is_readable());
    });
}

#[test]
fn a_wake_up_that_meets_a_take_leaves_the_descriptor_readable_or_was_taken() {
    loom::model(|| {
        let waker = Arc::new(Waker::new());
        waker.descriptor().unwrap();
        waker.wake();
        let waking = thread::spawn({
            let waker = waker.clone();
            move || waker.wake()
        });
        assert!(waker.take());
        waking.join().unwrap();
        // The second wake was taken with the first, or it is pending and a poll sees it.
        let readable = waker.is_readable();
        assert!(!waker.take() || readable);
    });
}

#[test]
fn one_wake_up_ends_every_sleep() {
    bounded(|| {
        let waker = Arc::new(Waker::new());
        let sleepers = [(); 2].map(|()| {
            let waker = waker.clone();
            thread::spawn(move || assert!(waker.wait(None)))
        });
        waker.wake();
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
        assert!(waker.take());
    });
}
