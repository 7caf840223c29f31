//! What the tests of `resolve` share: lookup functions that the test controls, and a look at the process from
//! outside.
#![allow(dead_code)] // Each test file uses a part of it.

use happysock::lookup::{Answer, Hints, LookupCallback, Mailbox, Query, Request};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Long enough for anything that has to happen, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const STREAM: Hints = Hints { flags: 0, family: libc::AF_UNSPEC, socktype: libc::SOCK_STREAM, protocol: 0 };

/// Tests that count threads, descriptors or lookups run one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn query(node: Option<&str>, service: Option<&str>, hints: Hints, callback: Option<Arc<LookupCallback>>) -> Query {
    let [node, service] = [node, service].map(|name| name.map(|name| CString::new(name).unwrap()));
    Query::new(node.as_deref(), service.as_deref(), hints, callback).unwrap()
}

/// A lookup of a name by libc.
pub fn lookup(node: &str, mailbox: &Arc<Mailbox>, token: u64) -> Arc<Request> {
    Request::new(query(Some(node), Some("80"), STREAM, None), mailbox.clone(), token)
}

/// Waits for a number of tokens.
pub fn collect(mailbox: &Mailbox, count: usize) -> Vec<u64> {
    let deadline = Instant::now() + PATIENCE;
    let mut tokens = Vec::new();
    loop {
        mailbox.waker().take();
        mailbox.collect(&mut tokens);
        if tokens.len() >= count {
            return tokens;
        }
        assert!(mailbox.waker().wait(Some(deadline)), "{} of {count} tokens came", tokens.len());
    }
}

/// Starts a lookup, waits for it and takes its answer.
pub fn answer(query: Query) -> Answer {
    let mailbox = Mailbox::new();
    let request = Request::new(query, mailbox.clone(), 1);
    request.start().unwrap();
    assert_eq!(collect(&mailbox, 1), [1]);
    request.take().expect("the token came")
}

/// Waits until something is so that nobody can wait for: the end of a thread, say.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub const WORKER_NAME: &str = "happysock-look";

/// The thread ids of the workers.
pub fn workers() -> Vec<String> {
    let name = |task: &std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| task.ok())
        .filter(|task| name(task).trim_end() == WORKER_NAME)
        .map(|task| task.file_name().into_string().unwrap())
        .collect()
}

pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A lookup function under the test's control. Every call waits until the test opens the gate; then it
/// answers 192.0.2.1.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
    pub lists_made: AtomicUsize,
    pub lists_freed: AtomicUsize,
    pub released: AtomicUsize,
}

#[derive(Default)]
struct GateState {
    entered: Vec<String>,
    permits: usize,
    open: bool,
}

impl Gate {
    pub fn new() -> Arc<Gate> {
        Arc::default()
    }

    /// A callback that keeps the gate alive until it is released.
    pub fn callback(self: &Arc<Gate>) -> Arc<LookupCallback> {
        let userdata = Arc::as_ptr(self).cast_mut().cast();
        // SAFETY: a Gate may be used from any thread, and the kept reference holds it until the callback is dropped.
        unsafe { LookupCallback::new(Gate::look_up, Some(Gate::free), userdata, Arc::new(Kept(self.clone()))) }
    }

    /// A request that waits at the gate once a worker has taken it.
    pub fn request(self: &Arc<Gate>, node: &str, mailbox: &Arc<Mailbox>, token: u64) -> Arc<Request> {
        Request::new(query(Some(node), Some("80"), STREAM, Some(self.callback())), mailbox.clone(), token)
    }

    /// Lets everything pass, now and later.
    pub fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    /// Lets one call pass.
    pub fn permit(&self) {
        self.state.lock().unwrap().permits += 1;
        self.changed.notify_all();
    }

    /// The hosts asked for so far, in the order of the calls, once there are so many.
    pub fn entered(&self, count: usize) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let (state, limit) =
            self.changed.wait_timeout_while(state, PATIENCE, |state| state.entered.len() < count).unwrap();
        assert!(!limit.timed_out(), "{} of {count} calls came", state.entered.len());
        state.entered.clone()
    }

    pub fn entered_now(&self) -> usize {
        self.state.lock().unwrap().entered.len()
    }

    unsafe extern "C" fn look_up(
        node: *const c_char,
        _service: *const c_char,
        _hints: *const libc::addrinfo,
        ret_res: *mut *mut libc::addrinfo,
        userdata: *mut c_void,
    ) -> c_int {
        // SAFETY: the userdata is the reference of `callback`, the node a C string, the list for us to write.
        unsafe {
            let gate = &*userdata.cast::<Gate>();
            let mut state = gate.state.lock().unwrap();
            state.entered.push(CStr::from_ptr(node).to_str().unwrap().to_owned());
            gate.changed.notify_all();
            state = gate.changed.wait_while(state, |state| !state.open && state.permits == 0).unwrap();
            state.permits = state.permits.saturating_sub(1);
            drop(state);
            gate.lists_made.fetch_add(1, Ordering::Relaxed);
            *ret_res = boxed_list(&["192.0.2.1:80".parse().unwrap()]);
            0
        }
    }

    unsafe extern "C" fn free(list: *mut libc::addrinfo, userdata: *mut c_void) {
        // SAFETY: as above; the list came from `look_up`.
        unsafe {
            (*userdata.cast::<Gate>()).lists_freed.fetch_add(1, Ordering::Relaxed);
            free_boxed_list(list);
        }
    }
}

/// What a callback keeps: counts its end.
struct Kept(Arc<Gate>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.released.fetch_add(1, Ordering::Relaxed);
    }
}

/// A list that only [`free_boxed_list`] frees: freeaddrinfo(3) would crash on it.
pub fn boxed_list(addresses: &[SocketAddr]) -> *mut libc::addrinfo {
    let mut next = std::ptr::null_mut();
    for address in addresses.iter().rev() {
        // SAFETY: zeros are valid for all of these.
        let (mut node, mut place): (libc::addrinfo, libc::sockaddr_in6) = unsafe { std::mem::zeroed() };
        match address {
            SocketAddr::V6(address) => {
                place.sin6_family = libc::AF_INET6 as _;
                place.sin6_port = address.port().to_be();
                place.sin6_addr.s6_addr = address.ip().octets();
                place.sin6_scope_id = address.scope_id();
                node.ai_addrlen = size_of::<libc::sockaddr_in6>() as _;
            }
            SocketAddr::V4(address) => {
                // SAFETY: sockaddr_in is smaller than sockaddr_in6.
                let place = unsafe { &mut *(&raw mut place).cast::<libc::sockaddr_in>() };
                place.sin_family = libc::AF_INET as _;
                place.sin_port = address.port().to_be();
                place.sin_addr.s_addr = u32::from(*address.ip()).to_be();
                node.ai_addrlen = size_of::<libc::sockaddr_in>() as _;
            }
        }
        node.ai_family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        node.ai_socktype = libc::SOCK_STREAM;
        node.ai_addr = Box::into_raw(Box::new(place)).cast();
        node.ai_next = next;
        next = Box::into_raw(Box::new(node));
    }
    next
}

/// # Safety
/// The list came from [`boxed_list`].
pub unsafe fn free_boxed_list(mut list: *mut libc::addrinfo) {
    while !list.is_null() {
        // SAFETY: see above.
        unsafe {
            let node = Box::from_raw(list);
            drop(Box::from_raw(node.ai_addr.cast::<libc::sockaddr_in6>()));
            list = node.ai_next;
        }
    }
}

/// Runs a test of this file again in a process of its own, with `HAPPYSOCK_TEST_PART` set, after `prepare`
/// (between fork and exec). In that process it answers true at once.
pub fn in_own_process(test: &str, prepare: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) -> bool {
    use std::os::unix::process::CommandExt;
    if std::env::var_os("HAPPYSOCK_TEST_PART").is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env("HAPPYSOCK_TEST_PART", "1");
    // SAFETY: `prepare` makes system calls only.
    let output = unsafe { command.pre_exec(prepare) }.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "in its own process: {}\n{text}", output.status);
    false
}

/// For `in_own_process`: a network of its own, with a loopback interface, and mounts that nobody else sees.
/// Without root it takes a user namespace, and is root there: nobody else keeps its capabilities over exec(2).
pub fn own_namespaces() -> std::io::Result<()> {
    // SAFETY: system calls on values that live long enough; no allocation.
    unsafe {
        let (user, group) = (libc::geteuid(), libc::getegid());
        let new_user = if user == 0 { 0 } else { libc::CLONE_NEWUSER };
        if libc::unshare(new_user | libc::CLONE_NEWNET | libc::CLONE_NEWNS) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        if new_user != 0 {
            // The order is that of user_namespaces(7): a group may be mapped once setgroups(2) is given up.
            write_whole(c"/proc/self/setgroups", format_args!("deny"))?;
            write_whole(c"/proc/self/uid_map", format_args!("0 {user} 1"))?;
            write_whole(c"/proc/self/gid_map", format_args!("0 {group} 1"))?;
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        if libc::mount(c"none".as_ptr(), c"/".as_ptr(), c"none".as_ptr(), private, std::ptr::null()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as _;
        request.ifr_name[1] = b'o' as _;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as _;
        let outcome = libc::ioctl(socket, libc::SIOCSIFFLAGS, &request);
        libc::close(socket);
        if outcome == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}

/// Writes a short text with one write(2), as the files of user_namespaces(7) want it, and without an allocation.
fn write_whole(path: &CStr, text: std::fmt::Arguments) -> std::io::Result<()> {
    use std::io::Write;
    let mut buffer = [0_u8; 64];
    let mut rest = &mut buffer[..];
    rest.write_fmt(text)?;
    let unused = rest.len();
    let length = buffer.len() - unused;
    // SAFETY: system calls on values that live long enough.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let written = libc::write(fd, buffer.as_ptr().cast(), length);
        let error = std::io::Error::last_os_error();
        libc::close(fd);
        if written == length as isize { Ok(()) } else { Err(error) }
    }
}

/// Inside `own_namespaces`: puts another text in the place of a file of /etc.
pub fn replace_file(path: &CStr, text: &str) {
    let directory = std::env::temp_dir();
    let source =
        directory.join(format!("happysock-{}-{}", std::process::id(), path.to_str().unwrap().replace('/', "-")));
    std::fs::write(&source, text).unwrap();
    let from = CString::new(source.to_str().unwrap()).unwrap();
    // SAFETY: C strings; the mount is seen in this namespace only and goes with it.
    let outcome =
        unsafe { libc::mount(from.as_ptr(), path.as_ptr(), c"none".as_ptr(), libc::MS_BIND, std::ptr::null()) };
    let error = std::io::Error::last_os_error();
    std::fs::remove_file(&source).unwrap();
    assert_eq!(outcome, 0, "mount: {error}");
}

/// Inside `own_namespaces`: a DNS server that takes every question and answers none.
pub fn silent_dns_server(options: &str) -> std::net::UdpSocket {
    replace_file(c"/etc/resolv.conf", &format!("nameserver 127.0.0.1\noptions {options}\n"));
    replace_file(c"/etc/nsswitch.conf", "hosts: files dns\nservices: files\n");
    std::net::UdpSocket::bind("127.0.0.1:53").unwrap()
}
