//! A TLS connection after its handshake, as something to pass bytes through: one thread sends and another one
//! receives, and neither is held up by the other.

use crate::pipe::Peer;
use rustls::{ClientConnection, ProtocolVersion};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// The most that one read(2) takes: a record of the greatest length (RFC 8446, section 5.2).
const RECORD: usize = 5 + (1 << 14) + 256;

/// The socket is read and written without `tls` being locked: who waits for the peer keeps nobody else waiting.
pub struct Session {
    tls: Mutex<ClientConnection>,
    stream: Arc<TcpStream>,
    /// Records have to go out in the order in which they were made: held from the making to the end of the
    /// write. Nobody waits for it who has `tls`.
    sending: Mutex<()>,
}

impl Session {
    /// The handshake is done, over this stream, which blocks.
    pub fn new(tls: ClientConnection, stream: Arc<TcpStream>) -> Session {
        Session { tls: Mutex::new(tls), stream, sending: Mutex::default() }
    }

    /// Writes what TLS has to say, which is little and fits where it goes, unless somebody is writing.
    fn say_what_is_left(&self, prepare: impl FnOnce(&mut ClientConnection)) {
        let _order = match self.sending.try_lock() {
            Ok(order) => order,
            Err(TryLockError::Poisoned(order)) => order.into_inner(),
            // The peer takes nothing at present.
            Err(TryLockError::WouldBlock) => return,
        };
        let mut tls = lock(&self.tls);
        prepare(&mut tls);
        let sealed = sealed(&mut tls);
        drop(tls);
        // A peer that is gone needs no good-bye.
        let _ = sealed.and_then(|records| (&*self.stream).write_all(&records));
    }

    /// Takes records in, and what was in them out, behind what is in `bytes`. True: the peer has said that this
    /// was all.
    fn open(&self, mut records: &[u8], bytes: &mut Vec<u8>) -> io::Result<bool> {
        let mut tls = lock(&self.tls);
        loop {
            let state = match tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    drop(tls);
                    // The peer is told why.
                    self.say_what_is_left(|_| ());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            let here = bytes.len();
            bytes.resize(here + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut bytes[here..])?;
            if state.peer_has_closed() {
                return Ok(true);
            }
            if records.is_empty() {
                return Ok(false);
            }
            tls.read_tls(&mut records)?;
        }
    }
}

impl Peer for Session {
    fn receive(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.clear();
        let mut records = vec![0; RECORD];
        // What came together with the end of the handshake is here before anything is read.
        let mut length = 0;
        loop {
            let ended = self.open(&records[..length], bytes)?;
            if ended || !bytes.is_empty() {
                return Ok(());
            }
            length = loop {
                match (&*self.stream).read(&mut records) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            if length == 0 {
                // Anybody on the way can end a TCP connection: only the peer can end this one (RFC 8446, section 6.1).
                let message = "the TLS connection was cut off: what the peer said may be incomplete";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
        }
    }

    fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        let _order = lock(&self.sending);
        while !bytes.is_empty() {
            let mut tls = lock(&self.tls);
            let taken = tls.writer().write(bytes)?;
            let records = sealed(&mut tls)?;
            drop(tls);
            (&*self.stream).write_all(&records)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// close_notify ends one direction alone (RFC 8446, section 6.1). The stream stays as it is: the end of TCP says
    /// nothing more, and some peers take it for the end of both directions.
    fn end(&self) -> io::Result<()> {
        let _order = lock(&self.sending);
        let mut tls = lock(&self.tls);
        tls.send_close_notify();
        let records = sealed(&mut tls)?;
        drop(tls);
        (&*self.stream).write_all(&records)
    }

    /// Up to TLS 1.2 a close_notify ends both directions, and what was still to be sent is dropped (RFC 5246, section
    /// 7.2.1).
    fn may_listen_on(&self) -> bool {
        lock(&self.tls).protocol_version() != Some(ProtocolVersion::TLSv1_2)
    }

    fn leave(&self) {
        self.say_what_is_left(|tls| tls.send_close_notify());
    }
}

/// The records that wait to be sent.
fn sealed(tls: &mut ClientConnection) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut records)?;
    }
    Ok(records)
}

/// A thread that has panicked ends the program: nothing is read after it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
