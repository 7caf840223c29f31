//! The connection, to a server that is played on a socket of the test's own.
use crate::*;
use happysock::dns::failure::Failure;
use happysock::dns::varlink::{LIMIT, Outcome, UNAVAILABLE};
use happysock::lookup::Asked;
use happysock::sys::Interest;
use happysock::sys::poll::{PollFd, poll};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const REPLY: &[u8] = b"{\"parameters\":{\"addresses\":[{\"family\":2,\"address\":[192,0,2,1]}]}}\0";
/// Much longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A listening socket in a folder of its own, removed with it.
struct Server {
    folder: PathBuf,
    path: PathBuf,
    listener: UnixListener,
}

impl Server {
    fn new() -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("happysock-varlink-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        Server { folder, path, listener }
    }

    fn ask(&self) -> Asked {
        self.try_to_ask(b"www.test").unwrap()
    }

    fn try_to_ask(&self, name: &[u8]) -> Result<Asked, Failure> {
        Asked::begin(&self.path, name, BOTH, true, Instant::now())
    }

    /// Lets one in, and reads its call.
    fn serve(&self) -> (UnixStream, String) {
        let (mut stream, _) = self.listener.accept().unwrap();
        let call = read_call(&mut stream);
        (stream, call)
    }

    /// Nothing listens there any more, but the file is left.
    fn stop(self) -> Stopped {
        Stopped { folder: self.folder.clone(), path: self.path.clone() }
    }
}

struct Stopped {
    folder: PathBuf,
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir(&self.folder);
    }
}

fn read_call(stream: &mut UnixStream) -> String {
    let mut call = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).unwrap();
        if byte == [0] {
            return String::from_utf8(call).unwrap();
        }
        call.push(byte[0]);
    }
}

/// Waits until the descriptor is ready.
fn wait(asked: &Asked) {
    let (fd, interest) = asked.waits_for().expect("a descriptor");
    assert_eq!(poll(&mut [PollFd::new(fd, interest)], Some(PATIENCE)).unwrap(), 1);
}

fn go_on(asked: &mut Asked, path: &Path, now: Instant) -> Option<Outcome> {
    asked.go_on(path, now, &mut Vec::with_capacity(65_536))
}

/// Drives it to its end, as a driver would.
fn finish(asked: &mut Asked, path: &Path) -> Outcome {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(outcome) = go_on(asked, path, Instant::now()) {
            return outcome;
        }
        let limit = asked.deadline().saturating_duration_since(Instant::now()).min(PATIENCE);
        match asked.waits_for() {
            Some((fd, interest)) => poll(&mut [PollFd::new(fd, interest)], Some(limit)).unwrap(),
            None => poll(&mut [], Some(limit)).unwrap(),
        };
    }
    panic!("no end");
}

fn good() -> Outcome {
    Ok(vec![address("192.0.2.1", 0)])
}

#[test]
fn a_name_is_asked_and_answered() {
    let server = Server::new();
    let mut asked = server.ask();
    let (mut stream, call) = server.serve();
    assert_eq!(call, r#"{"method":"io.systemd.Resolve.ResolveHostname","parameters":{"name":"www.test","flags":0}}"#);
    assert_eq!(asked.waits_for().map(|(_, interest)| interest), Some(Interest::Readable));
    assert_eq!(go_on(&mut asked, &server.path, Instant::now()), None, "nothing was said yet");
    stream.write_all(REPLY).unwrap();
    wait(&asked);
    assert_eq!(go_on(&mut asked, &server.path, Instant::now()), Some(good()));
}

#[test]
fn a_reply_in_pieces_is_waited_for() {
    let server = Server::new();
    let mut asked = server.ask();
    let (mut stream, _) = server.serve();
    for piece in REPLY.chunks(7).take(REPLY.len() / 7) {
        stream.write_all(piece).unwrap();
        wait(&asked);
        assert_eq!(go_on(&mut asked, &server.path, Instant::now()), None);
    }
    stream.write_all(&REPLY[REPLY.len() / 7 * 7..]).unwrap();
    wait(&asked);
    assert_eq!(go_on(&mut asked, &server.path, Instant::now()), Some(good()));
}

#[test]
fn a_long_reply_is_read_in_turns_of_bounded_work() {
    let server = Server::new();
    let mut asked = server.ask();
    let (mut stream, _) = server.serve();
    let mut reply = vec![b' '; 200_000];
    reply.extend_from_slice(REPLY);
    let writer = std::thread::spawn(move || stream.write_all(&reply).map(|()| stream).unwrap());
    assert_eq!(finish(&mut asked, &server.path), good());
    writer.join().unwrap();
}

#[test]
fn a_server_that_is_not_there_is_unavailable_at_once() {
    let server = Server::new();
    let missing = server.folder.join("none");
    assert_eq!(Asked::begin(&missing, b"x", BOTH, true, Instant::now()).err(), Some(UNAVAILABLE));
    let stopped = server.stop();
    assert_eq!(Asked::begin(&stopped.path, b"x", BOTH, true, Instant::now()).err(), Some(UNAVAILABLE));
    assert!(!stopped.folder.exists());
    // A path that no address can hold.
    let long = PathBuf::from("/".to_owned() + &"x".repeat(200));
    assert_eq!(Asked::begin(&long, b"x", BOTH, true, Instant::now()).err(), Some(UNAVAILABLE));
    let zero = Path::new(std::ffi::OsStr::from_bytes(b"/a\0b"));
    assert_eq!(Asked::begin(zero, b"x", BOTH, true, Instant::now()).err(), Some(UNAVAILABLE));
}

#[test]
fn a_name_that_cannot_be_said_is_not_asked() {
    let server = Server::new();
    assert_eq!(server.try_to_ask(b"\xff").err(), Some(UNAVAILABLE));
    server.listener.set_nonblocking(true).unwrap();
    assert_eq!(server.listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_server_that_hangs_up_is_unavailable() {
    let server = Server::new();
    // Without a word, in the middle of one, and without reading what was asked.
    for words in [&b""[..], &REPLY[..20]] {
        let mut asked = server.ask();
        let (mut stream, _) = server.serve();
        stream.write_all(words).unwrap();
        drop(stream);
        assert_eq!(finish(&mut asked, &server.path), Err(UNAVAILABLE));
    }
    let mut asked = server.ask();
    drop(server.listener.accept().unwrap());
    assert_eq!(finish(&mut asked, &server.path), Err(UNAVAILABLE));
    // What it has said before counts.
    let mut asked = server.ask();
    let (mut stream, _) = server.serve();
    stream.write_all(REPLY).unwrap();
    drop(stream);
    assert_eq!(finish(&mut asked, &server.path), good());
}

#[test]
fn a_server_that_is_silent_is_given_up_at_its_deadline() {
    let server = Server::new();
    let now = Instant::now();
    let mut asked = Asked::begin(&server.path, b"x", BOTH, true, now).unwrap();
    let (mut stream, _) = server.serve();
    assert_eq!(asked.deadline(), now + LIMIT);
    assert_eq!(go_on(&mut asked, &server.path, now + LIMIT - Duration::from_millis(1)), None);
    assert_eq!(go_on(&mut asked, &server.path, now + LIMIT), Some(Err(UNAVAILABLE)));
    // A reply that is there counts, however late it is read.
    stream.write_all(REPLY).unwrap();
    assert_eq!(go_on(&mut asked, &server.path, now + LIMIT), Some(good()));
}

/// A name that does not fit the socket's buffer is sent in pieces.
#[test]
fn a_long_name_is_sent_as_the_server_reads() {
    let server = Server::new();
    let name = "x".repeat(2_000_000);
    let mut asked = server.try_to_ask(name.as_bytes()).unwrap();
    assert_eq!(asked.waits_for().map(|(_, interest)| interest), Some(Interest::Writable));
    let (stream, _) = server.listener.accept().unwrap();
    let reader = std::thread::spawn(move || {
        let mut stream = stream;
        let mut call = Vec::new();
        let mut buffer = [0; 65536];
        while !call.ends_with(&[0]) {
            let count = stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0);
            call.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(REPLY).unwrap();
        call.len()
    });
    assert_eq!(finish(&mut asked, &server.path), good());
    assert!(reader.join().unwrap() > name.len());
}

/// Fills the queue of a server that lets nobody in.
fn fill(path: &Path) -> Vec<Asked> {
    let mut inside = Vec::new();
    for _ in 0..10_000 {
        let asked = Asked::begin(path, b"filler", BOTH, true, Instant::now()).unwrap();
        if asked.waits_for().is_none() {
            return inside;
        }
        inside.push(asked);
    }
    panic!("the queue has no end");
}

/// As listen(2) says, with room for so many.
fn listen(listener: &UnixListener, backlog: i32) {
    // SAFETY: takes no pointers; the descriptor is open.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), backlog) }, 0);
}

#[test]
fn a_server_with_a_full_queue_is_tried_again() {
    let server = Server::new();
    listen(&server.listener, 2);
    let mut inside = fill(&server.path);
    let now = Instant::now();
    let mut asked = Asked::begin(&server.path, b"x", BOTH, true, now).unwrap();
    // After growing pauses, and no sooner.
    let mut pauses = Vec::new();
    let mut at = now;
    while pauses.len() < 12 {
        let next = asked.deadline();
        assert_eq!(go_on(&mut asked, &server.path, next - Duration::from_nanos(1)), None);
        assert_eq!(asked.deadline(), next, "not yet");
        assert_eq!(go_on(&mut asked, &server.path, next), None);
        assert_eq!(asked.waits_for(), None);
        pauses.push((next - at).as_millis());
        at = next;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 640, 640, 640, 640]);
    // It is let in once there is room.
    drop(server.listener.accept().unwrap());
    assert_eq!(finish(&mut inside[0], &server.path), Err(UNAVAILABLE));
    let next = asked.deadline();
    assert_eq!(go_on(&mut asked, &server.path, next), None);
    assert_eq!(asked.waits_for().map(|(_, interest)| interest), Some(Interest::Readable));
    for _ in 1..inside.len() {
        drop(server.listener.accept().unwrap());
    }
    let (mut stream, call) = server.serve();
    assert!(call.contains(r#""name":"x""#), "{call}");
    stream.write_all(REPLY).unwrap();
    assert_eq!(finish(&mut asked, &server.path), good());
}

#[test]
fn a_queue_that_stays_full_is_given_up_at_the_deadline() {
    let server = Server::new();
    listen(&server.listener, 0);
    let _inside = fill(&server.path);
    let now = Instant::now();
    let mut asked = Asked::begin(&server.path, b"x", BOTH, true, now).unwrap();
    for _ in 0..1000 {
        let at = asked.deadline();
        match go_on(&mut asked, &server.path, at) {
            None => assert!(at < now + LIMIT),
            Some(outcome) => {
                assert_eq!((outcome, at), (Err(UNAVAILABLE), now + LIMIT));
                return;
            }
        }
    }
    panic!("no end");
}

#[test]
fn a_server_that_ends_while_its_queue_is_full_is_unavailable() {
    let server = Server::new();
    listen(&server.listener, 0);
    let inside = fill(&server.path);
    let mut asked = server.ask();
    assert_eq!(asked.waits_for(), None);
    drop(inside);
    let stopped = server.stop();
    let at = asked.deadline();
    assert_eq!(go_on(&mut asked, &stopped.path, at), Some(Err(UNAVAILABLE)));
}

/// Its descriptor is closed on exec and does not block.
#[test]
fn the_descriptor_is_born_right() {
    let server = Server::new();
    let asked = server.ask();
    let (fd, _): (RawFd, _) = asked.waits_for().unwrap();
    // SAFETY: takes no pointers; the descriptor is open.
    let (flags, status) = unsafe { (libc::fcntl(fd, libc::F_GETFD), libc::fcntl(fd, libc::F_GETFL)) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    assert_eq!(status & libc::O_NONBLOCK, libc::O_NONBLOCK);
}

/// The server hears that nobody waits any more.
#[test]
fn dropped_it_hangs_up() {
    let server = Server::new();
    let asked = server.ask();
    let (mut stream, _) = server.serve();
    drop(asked);
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0);
}
