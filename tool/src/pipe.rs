//! Standard input and output through a connection, as nc(1) does it.

use std::io::{IsTerminal, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

/// How much is passed on at once.
const CHUNK: usize = 64 * 1024;

/// Whether somebody has put something before us: standard input is a pipe, a socket or a file. /dev/null and
/// a terminal are none of them.
pub fn input_is_given() -> bool {
    let Ok(input) = std::io::stdin().as_fd().try_clone_to_owned() else { return false };
    let Ok(metadata) = std::fs::File::from(input).metadata() else { return false };
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_socket() || kind.is_file()
}

/// Passes bytes on in both directions until both have ended. When standard input ends, the peer is told so
/// and may go on speaking. When the peer ends, what a pipe or a file still has is sent; a person at a
/// terminal is not waited for.
pub fn run(stream: TcpStream) -> std::io::Result<()> {
    let outgoing = stream.try_clone()?;
    let sender = std::thread::Builder::new().name("sender".to_owned()).spawn(move || send(outgoing))?;
    receive(stream)?;
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    sender.join().map_err(|_| std::io::Error::other("the sender ended in a panic"))?
}

fn send(mut stream: TcpStream) -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut chunk = vec![0; CHUNK];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => match stream.write_all(&chunk[..length]) {
                Ok(()) => {}
                // The peer wants no more; what it has said is still received.
                Err(error) if is_hang_up(&error) => return Ok(()),
                Err(error) => return Err(error),
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    match stream.shutdown(Shutdown::Write) {
        Err(error) if !is_hang_up(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_hang_up(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

fn receive(mut stream: TcpStream) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                output.write_all(&chunk[..length])?;
                output.flush()?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
