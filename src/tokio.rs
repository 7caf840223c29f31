//! Connects for programs on tokio.
//!
//! A connect is one descriptor, which the runtime's reactor watches: no task and no thread is made. Dropping the
//! future ends it at once.

use crate::drive::{ConnectError, Connecting, Options, Target};
use crate::race::Outcome;
use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::net::TcpStream;
use std::io;

/// Connects to a host by name, or to an address.
///
/// # Panics
/// Outside of a runtime, or where its reactor (`enable_io`) is not running; as tokio's own sockets do.
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let stream = happysock::tokio::connect(("example.org", 443)).await?;
/// # drop(stream); Ok(())
/// # }
/// ```
pub async fn connect<'a>(target: impl Into<Target<'a>>) -> Result<TcpStream, ConnectError> {
    connect_with(target, &Options::default()).await
}

/// [`connect`] with limits, delays, a local address and what else there is to choose. Its limits are kept by the
/// connect itself: tokio's timers are not needed.
pub async fn connect_with<'a>(target: impl Into<Target<'a>>, options: &Options<'_>) -> Result<TcpStream, ConnectError> {
    let connecting = Connecting::new(target, options)?;
    // What replaces it came with tokio 1.54 and is unsafe, since a type may change its descriptor: this one does not.
    #[allow(deprecated)]
    let mut watched = AsyncFd::with_interest(connecting, Interest::READABLE).map_err(broken)?;
    loop {
        let mut guard = watched.readable_mut().await.map_err(broken)?;
        let connecting = guard.get_inner_mut();
        if let Some(done) = connecting.dispatch() {
            let stream = done?;
            stream.set_nonblocking(true).map_err(broken)?;
            return TcpStream::from_std(stream).map_err(broken);
        }
        // The reactor tells of a change once. What is left to do is no change, so that it is looked for first.
        if !connecting.is_ready() {
            guard.clear_ready();
        }
    }
}

/// The reactor failed, or the socket could not be given to it.
fn broken(error: io::Error) -> ConnectError {
    let sys_errno = error.raw_os_error().unwrap_or(libc::EIO);
    ConnectError::Failed { outcome: Outcome::Broken { sys_errno }, attempts: Vec::new() }
}
