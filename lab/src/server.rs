//! TCP servers that accept, send a banner, and read until the client is done.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{Backlog, listen};

use crate::worker::{Stop, Worker};

/// Connections that wait to be accepted; the namespace's net.core.somaxconn is raised to it.
pub const BACKLOG: i32 = 4096;
/// The number of the stop descriptor in the epoll set; listeners and connections count up from 1.
const STOP: u64 = 0;
/// How long to leave the listeners alone when no descriptor is left for a connection.
const REST: Duration = Duration::from_millis(10);

/// Every TCP server of a network, on one thread.
#[derive(Debug)]
pub struct Servers {
    shared: Arc<Shared>,
    _worker: Worker,
}

#[derive(Debug)]
struct Shared {
    epoll: Epoll,
    sockets: Mutex<Sockets>,
}

#[derive(Debug, Default)]
struct Sockets {
    last: u64,
    listeners: HashMap<u64, Arc<Listener>>,
    connections: HashMap<u64, TcpStream>,
}

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    banner: Vec<u8>,
}

impl Servers {
    /// Starts the thread; nothing listens yet.
    pub fn start() -> Result<Servers> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let shared = Arc::new(Shared { epoll, sockets: Mutex::default() });
        let for_worker = Arc::clone(&shared);
        let worker = Worker::start("server", move |stop| for_worker.run(&stop))?;
        Ok(Servers { shared, _worker: worker })
    }

    /// Listens on `address` and `port`, in the namespace of the calling thread.
    pub fn listen(&self, address: IpAddr, port: u16, banner: Option<&str>) -> Result<()> {
        let socket =
            TcpListener::bind((address, port)).with_context(|| format!("cannot listen on {address} port {port}"))?;
        listen(&socket, Backlog::new(BACKLOG)?)?;
        socket.set_nonblocking(true)?;
        let banner = banner.map_or_else(|| format!("{address} {port}\n"), str::to_owned).into_bytes();
        let mut sockets = self.shared.sockets.lock().unwrap();
        sockets.last += 1;
        let number = sockets.last;
        let listener = sockets.listeners.entry(number).or_insert(Arc::new(Listener { socket, banner }));
        self.shared.epoll.add(&listener.socket, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        Ok(())
    }
}

impl Shared {
    fn run(&self, stop: &Stop) -> Result<()> {
        self.epoll.add(stop.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        let mut events = [EpollEvent::empty(); 256];
        while !stop.requested() {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..count] {
                self.serve(event.data())?;
            }
        }
        Ok(())
    }

    fn serve(&self, number: u64) -> Result<()> {
        let mut sockets = self.sockets.lock().unwrap();
        if let Some(listener) = sockets.listeners.get(&number).cloned() {
            return self.accept(&mut sockets, &listener);
        }
        let Some(stream) = sockets.connections.get_mut(&number) else { return Ok(()) };
        let mut buffer = [0_u8; 4096];
        let open = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break false,
                Ok(_) => (),
                Err(error) => break matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        };
        if !open {
            sockets.connections.remove(&number);
        }
        Ok(())
    }

    fn accept(&self, sockets: &mut Sockets, listener: &Listener) -> Result<()> {
        loop {
            let mut stream = match listener.socket.accept() {
                Ok((stream, _)) => stream,
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    // The connection stays in the backlog, and the set reports it again at once.
                    std::thread::sleep(REST);
                    return Ok(());
                }
                // EAGAIN: all are accepted. The rest concerns connections that are gone already (accept(2)).
                Err(_) => return Ok(()),
            };
            stream.set_nonblocking(true)?;
            // A banner fits the send buffer of a new connection; a client that is gone already does not matter.
            let _ = stream.write_all(&listener.banner);
            sockets.last += 1;
            self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, sockets.last))?;
            sockets.connections.insert(sockets.last, stream);
        }
    }
}
