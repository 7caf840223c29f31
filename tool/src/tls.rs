//! `--tls`: an attempt counts when its TLS handshake is done. Each handshake has a thread of its own; what came of
//! it is told to the race by the thread that drives that.

use crate::exit::Usage;
use crate::session::Session;
use anyhow::{Context, Result};
use happysock::{Connect, Signals, Verdict};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Whom to speak TLS with, and whom to trust: for every race of a command.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts the certificates of the file, or without one those of the system.
    /// The name is that of the host also where a binding of a service leads to another one (RFC 9460, section 9.1).
    pub fn new(host: &str, authorities: Option<&Path>, alpn: &[String]) -> Result<Tls> {
        let name = ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned())
            .map_err(|_| Usage(format!("HOST: \"{host}\" is no name that a certificate can have")))?;
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(path) => {
                for certificate in CertificateDer::pem_file_iter(path).context(path.display().to_string())? {
                    roots.add(certificate.context(path.display().to_string())?).context(path.display().to_string())?;
                }
            }
            // What the system has beside the good ones is left out.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() {
            anyhow::bail!("--tls: no certificate to trust was found; --tls-ca names a file");
        }
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|id| id.clone().into_bytes()).collect();
        Ok(Tls { config: Arc::new(config), name })
    }
}

/// The handshakes of one race.
pub struct Handshakes {
    tls: Tls,
    /// By the race's socket.
    held: Mutex<HashMap<RawFd, Held>>,
    ended: Sender<Ended>,
    ends: Mutex<Receiver<Ended>>,
    /// The race, which is made later.
    race: OnceLock<Arc<Signals>>,
    /// Those that are done and were told of, by the race's socket: the race has taken the first.
    done: Mutex<HashMap<RawFd, Session>>,
    /// Those that failed, and why.
    failures: Mutex<Vec<(SocketAddr, String)>>,
}

/// A handshake that goes on.
struct Held {
    address: SocketAddr,
    /// Its end is the end of the thread.
    stream: Arc<TcpStream>,
}

/// What came of one. The stream tells it from an earlier one whose socket had the same number.
struct Ended {
    fd: RawFd,
    stream: Arc<TcpStream>,
    outcome: io::Result<ClientConnection>,
}

impl Handshakes {
    pub fn new(tls: Tls) -> Handshakes {
        let (ended, ends) = channel();
        let (held, ends) = (Mutex::default(), Mutex::new(ends));
        let race = OnceLock::new();
        Handshakes { tls, held, ended, ends, race, done: Mutex::default(), failures: Mutex::default() }
    }

    /// The race that is interrupted when one has ended; to be said before it is driven.
    pub fn belong_to(&self, race: &Arc<Signals>) {
        let _ = self.race.set(Arc::clone(race));
    }

    /// An attempt is connected: its handshake begins.
    pub fn begin(&self, fd: BorrowedFd<'_>, address: SocketAddr) -> Verdict {
        match self.start(fd, address) {
            Ok(()) => Verdict::Later,
            Err(error) => {
                lock(&self.held).remove(&fd.as_raw_fd());
                let errno = error.raw_os_error().unwrap_or(libc::EPROTO);
                lock(&self.failures).push((address, error.to_string()));
                Verdict::No(errno)
            }
        }
    }

    fn start(&self, fd: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
        let stream = Arc::new(TcpStream::from(fd.try_clone_to_owned()?));
        // The race's socket shares the mode, and blocks too when it is handed over.
        stream.set_nonblocking(false)?;
        let client = ClientConnection::new(Arc::clone(&self.tls.config), self.tls.name.clone());
        let client = client.map_err(io::Error::other)?;
        let fd = fd.as_raw_fd();
        lock(&self.held).insert(fd, Held { address, stream: Arc::clone(&stream) });
        let (ended, race) = (self.ended.clone(), self.race.get().cloned());
        std::thread::Builder::new().name("handshake".to_owned()).spawn(move || {
            let outcome = shake_hands(client, &stream);
            // Nobody listens any more where the race is over.
            let _ = ended.send(Ended { fd, stream, outcome });
            if let Some(race) = race {
                race.interrupt();
            }
        })?;
        Ok(())
    }

    /// The race needs no word on it any more: the handshake is cancelled.
    pub fn cancel(&self, fd: RawFd) {
        if let Some(held) = lock(&self.held).remove(&fd) {
            // It may be closed by the peer already.
            let _ = held.stream.shutdown(Shutdown::Both);
        }
    }

    /// Tells the race which handshakes have ended, and how.
    pub fn tell(&self, race: &mut Connect) {
        while let Ok(Ended { fd, stream, outcome }) = lock(&self.ends).try_recv() {
            let mut all = lock(&self.held);
            if !all.get(&fd).is_some_and(|held| Arc::ptr_eq(&held.stream, &stream)) {
                continue;
            }
            let Some(held) = all.remove(&fd) else { continue };
            drop(all);
            let answered = race.confirm(fd, outcome.is_ok());
            match outcome {
                Ok(client) if answered => drop(lock(&self.done).insert(fd, Session::new(client, stream))),
                Ok(_) => {}
                Err(error) => lock(&self.failures).push((held.address, error.to_string())),
            }
        }
    }

    /// What became of the handshake over the socket that the race was won with.
    pub fn take_done(&self, fd: RawFd) -> Option<Session> {
        lock(&self.done).remove(&fd)
    }

    /// Those that have failed, and why.
    pub fn failures(&self) -> Vec<(SocketAddr, String)> {
        lock(&self.failures).clone()
    }
}

/// The whole handshake, and nothing behind it.
fn shake_hands(mut client: ClientConnection, mut stream: &TcpStream) -> io::Result<ClientConnection> {
    while client.is_handshaking() {
        client.complete_io(&mut stream)?;
    }
    Ok(client)
}

/// What a thread that has panicked left is whole: nothing of it is changed in steps.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
