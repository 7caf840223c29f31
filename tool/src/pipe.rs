//! Standard input and output through a connection, as nc(1) does it.

use std::io::{self, IsTerminal, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

/// How much is passed on at once.
const CHUNK: usize = 64 * 1024;

/// Whether somebody has put something before us: standard input is a pipe, a socket or a file. /dev/null and
/// a terminal are none of them.
pub fn input_is_given() -> bool {
    let Ok(input) = io::stdin().as_fd().try_clone_to_owned() else { return false };
    let Ok(metadata) = std::fs::File::from(input).metadata() else { return false };
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_socket() || kind.is_file()
}

/// What bytes are passed through: one thread sends while another one receives.
pub trait Peer: Send + Sync {
    /// Waits for what the peer says next; nothing: it has ended what it says.
    fn receive(&self, bytes: &mut Vec<u8>) -> io::Result<()>;
    /// All of it, however long that takes.
    fn send(&self, bytes: &[u8]) -> io::Result<()>;
    /// Says that this was all. The peer may go on speaking.
    fn end(&self) -> io::Result<()>;
    /// Whether a peer that has ended what it says can still be spoken to.
    fn may_listen_on(&self) -> bool;
    /// Takes leave, without waiting for anything; whatever was not sent is not sent any more.
    fn leave(&self);
}

impl Peer for TcpStream {
    fn receive(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(CHUNK, 0);
        let mut stream = self;
        let length = loop {
            match stream.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        bytes.truncate(length);
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self;
        stream.write_all(bytes)
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn may_listen_on(&self) -> bool {
        true
    }

    fn leave(&self) {}
}

/// Passes bytes on in both directions until both have ended. When standard input ends, the peer is told so
/// and may go on speaking. When the peer ends, what a pipe or a file still has is sent, unless the peer cannot
/// listen any more; a person at a terminal is not waited for.
pub fn run(peer: Arc<dyn Peer>) -> io::Result<()> {
    let outgoing = Arc::clone(&peer);
    let sender = std::thread::Builder::new().name("sender".to_owned()).spawn(move || send(&*outgoing))?;
    let received = receive(&*peer);
    if received.is_err() || io::stdin().is_terminal() || !peer.may_listen_on() {
        peer.leave();
        return received;
    }
    sender.join().map_err(|_| io::Error::other("the sender ended in a panic"))?
}

fn send(peer: &dyn Peer) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut chunk = vec![0; CHUNK];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => match peer.send(&chunk[..length]) {
                Ok(()) => {}
                // The peer wants no more; what it has said is still received.
                Err(error) if is_hang_up(&error) => return Ok(()),
                Err(error) => return Err(error),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    match peer.end() {
        Err(error) if !is_hang_up(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

fn receive(peer: &dyn Peer) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let mut bytes = Vec::new();
    loop {
        peer.receive(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(());
        }
        output.write_all(&bytes)?;
        output.flush()?;
    }
}
