//! A multi handle under random use: whatever is added, cancelled and driven in whatever order, from outside
//! and from inside callbacks, every connect ends once and nothing stays open.

use happysock::drive::{EventLoop, Multi, Options, Plan, Refused, Report};
use happysock::lookup::LookupCallback;
use happysock::sys::Interest;
use happysock::sys::poll::{self, PollFd};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::net::TcpListener;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u8),
    /// The index among all that were ever added.
    Cancel(u16),
    Turn,
    SetMaxAttempts(u8),
    SetMaxLookups(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Add),
        2 => any::<u16>().prop_map(Step::Cancel),
        3 => Just(Step::Turn),
        1 => (0u8..4).prop_map(Step::SetMaxAttempts),
        1 => (0u8..4).prop_map(Step::SetMaxLookups),
    ]
}

struct Caller {
    handle: Multi<Caller>,
    live: u16,
    refused: u16,
    ids: RefCell<Vec<u64>>,
    /// By the number that a connect was added as: how often it has ended.
    ended: RefCell<Vec<u32>>,
    /// What callbacks do, one step each.
    inside: RefCell<Vec<Step>>,
    watched: RefCell<BTreeMap<RawFd, Interest>>,
    timer: Cell<Option<Instant>>,
    adding: Cell<bool>,
}

/// Answers every name with the loopback address of the family, without a name server.
unsafe extern "C" fn look_up(
    _node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    list: *mut *mut libc::addrinfo,
    _userdata: *mut c_void,
) -> c_int {
    // SAFETY: as getaddrinfo(3) demands; the arguments are those that it would have been given.
    unsafe {
        let host = if (*hints).ai_family == libc::AF_INET6 { c"::1" } else { c"127.0.0.1" };
        libc::getaddrinfo(host.as_ptr(), service, hints, list)
    }
}

impl EventLoop for Caller {
    type Userdata = usize;
    type SocketData = ();

    fn done(&self, _id: u64, report: &mut Report<'_>, number: usize) {
        assert!(!self.adding.get(), "done inside add");
        self.ended.borrow_mut()[number] += 1;
        assert!(report.attempts.iter().all(|attempt| attempt.ended.is_some()));
        self.act_inside();
    }

    fn watch(&self, fd: RawFd, interest: Option<Interest>, (): ()) {
        let mut watched = self.watched.borrow_mut();
        match interest {
            Some(interest) => assert!(watched.insert(fd, interest).is_none(), "watched twice"),
            None => assert!(watched.remove(&fd).is_some(), "removed twice"),
        }
        drop(watched);
        self.act_inside();
    }

    fn set_timer(&self, timeout_ms: i32) {
        let after = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        self.timer.set(after.map(|after| Instant::now() + after));
    }
}

impl Caller {
    fn new(steps_inside: Vec<Step>, live: u16, refused: u16, socket_action: bool) -> Caller {
        let handle = Multi::new().unwrap();
        handle.drive_by_socket_action(socket_action).unwrap();
        Caller {
            handle,
            live,
            refused,
            ids: RefCell::default(),
            ended: RefCell::default(),
            inside: RefCell::new(steps_inside),
            watched: RefCell::default(),
            timer: Cell::default(),
            adding: Cell::default(),
        }
    }

    fn act_inside(&self) {
        assert_eq!(self.handle.dispatch(self), Err(Refused::Reentrant));
        let next = self.inside.borrow_mut().pop();
        if let Some(step) = next {
            self.act(step);
        }
    }

    fn act(&self, step: Step) {
        match step {
            Step::Add(kind) => self.add(kind),
            Step::Cancel(index) => {
                let ids = self.ids.borrow();
                let Some(&id) = ids.get(usize::from(index) % ids.len().max(1)) else { return };
                drop(ids);
                assert!(matches!(self.handle.cancel(self, id), Ok(()) | Err(Refused::Unknown)));
            }
            Step::Turn => drop(self.turn(Duration::ZERO)),
            Step::SetMaxAttempts(most) => self.handle.set_max_attempts(self, most.into()).unwrap(),
            Step::SetMaxLookups(most) => self.handle.set_max_lookups(self, most.into()).unwrap(),
        }
    }

    fn add(&self, kind: u8) {
        let host = [c"127.0.0.1", c"::1", c"name.test"][usize::from(kind % 3)];
        let port = if kind & 64 == 0 { self.live } else { self.refused };
        let service = CString::new(port.to_string()).unwrap();
        // SAFETY: the function uses no userdata.
        let lookup = Some(unsafe { LookupCallback::new(look_up, None, std::ptr::null_mut(), Arc::new(())) });
        let limit = (kind & 128 != 0).then_some(Duration::from_millis(u64::from(kind % 4)));
        let plan =
            Plan::new(Some(host), Some(&service), &Options { open_timeout: limit, lookup, ..Options::default() })
                .unwrap();
        let number = self.ended.borrow().len();
        self.ended.borrow_mut().push(0);
        let nested = self.adding.replace(!self.handle.is_busy());
        match self.handle.add(self, plan, number) {
            Ok(id) => self.ids.borrow_mut().push(id),
            // In a callback of a handle that is being closed.
            Err(refused) => {
                assert!(matches!(refused, Refused::State(_)));
                // As if it had ended: no done callback comes for it.
                self.ended.borrow_mut()[number] = 1;
            }
        }
        self.adding.set(nested);
    }

    /// One round of a loop; answers how many connects are left.
    fn turn(&self, limit: Duration) -> Result<usize, Refused> {
        if self.handle.is_busy() {
            assert_eq!(self.handle.socket_action(self, None), Err(Refused::Reentrant));
            return Err(Refused::Reentrant);
        }
        match self.handle.wait(self, limit.as_millis() as i32) {
            Err(Refused::State(_)) => {}
            outcome => return outcome,
        }
        let watched: Vec<(RawFd, Interest)> =
            self.watched.borrow().iter().map(|(&fd, &interest)| (fd, interest)).collect();
        let mut fds: Vec<_> = watched.iter().map(|&(fd, interest)| PollFd::new(fd, interest)).collect();
        let left = self.timer.get().map_or(limit, |timer| timer.saturating_duration_since(Instant::now()).min(limit));
        poll::poll(&mut fds, Some(left)).unwrap();
        for (&(fd, _), _) in watched.iter().zip(&fds).filter(|(_, polled)| polled.is_ready()) {
            let gone = !self.watched.borrow().contains_key(&fd);
            let outcome = self.handle.socket_action(self, Some(fd));
            assert_eq!(outcome.is_err(), gone, "{outcome:?}");
        }
        if self.timer.get().is_some_and(|timer| timer <= Instant::now()) {
            self.timer.set(None);
            self.handle.socket_action(self, None).unwrap();
        }
        Ok(self.handle.running())
    }
}

fn play(steps: &[Step], inside: &[Step], socket_action: bool, run_to_the_end: bool) {
    let live = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = live.local_addr().unwrap().port();
    // Where ::1 has a listener too or not, both are ends.
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let caller = Caller::new(inside.to_vec(), port, refused, socket_action);
    for &step in steps {
        caller.act(step);
    }
    if run_to_the_end {
        // A cap stays as it was set: with what is in flight ending, the waiting come to their turn.
        let began = Instant::now();
        while caller.handle.running() > 0 {
            caller.turn(Duration::from_secs(1)).unwrap();
            assert!(began.elapsed() < PATIENCE, "{} left", caller.handle.running());
        }
        assert!(caller.watched.borrow().is_empty());
        assert_eq!(caller.handle.timeout_ms(), -1);
    }
    caller.handle.close(&caller);
    assert_eq!(caller.handle.running(), 0);
    assert!(caller.watched.borrow().is_empty());
    assert!(caller.ended.borrow().iter().all(|&count| count == 1), "{:?}", caller.ended.borrow());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_connect_ends_once(
        steps in prop::collection::vec(step(), 1..60),
        inside in prop::collection::vec(step(), 0..40),
        socket_action: bool,
        run_to_the_end: bool,
    ) {
        play(&steps, &inside, socket_action, run_to_the_end);
    }
}
