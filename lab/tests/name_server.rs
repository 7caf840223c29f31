//! The transport of a name server, with a responder that says more than any rule can.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use lab::name_server::{self, Endpoint, Outgoing, PORT, Responder, Via};
use lab::namespace::{Namespace, ip_batch};
use nix::sched::CloneFlags;

const FULL: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const UDP_ONLY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says the question back twice, the second time from elsewhere and in front of the first; then it hangs up.
struct Echo;

impl Responder for Echo {
    fn respond(&mut self, question: &[u8], via: Via) -> Vec<Outgoing> {
        let later = Duration::from_millis(1);
        let second = [question, via.server.to_string().as_bytes()].concat();
        vec![
            Outgoing::message(later, second),
            Outgoing { from_elsewhere: true, ..Outgoing::message(Duration::ZERO, question.to_vec()) },
            Outgoing::hang_up(later),
        ]
    }
}

fn with_server(work: impl FnOnce() + Send) {
    Namespace::new(CloneFlags::CLONE_NEWNET, || {
        ip_batch(&["link set dev lo up".to_owned()])?;
        let endpoints = [Endpoint { address: FULL, tcp: true }, Endpoint { address: UDP_ONLY, tcp: false }];
        let _server = name_server::start(&endpoints, Echo)?;
        work();
        Ok(())
    })
    .unwrap();
}

#[test]
fn messages_leave_when_they_are_due_and_from_where_they_are_said_to() {
    with_server(|| {
        let socket = UdpSocket::bind((FULL, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        for server in [FULL, UDP_ONLY] {
            socket.send_to(b"question", (server, PORT)).unwrap();
            let mut buffer = [0; 64];
            let mut next = || {
                let (length, peer) = socket.recv_from(&mut buffer).unwrap();
                (buffer[..length].to_vec(), peer)
            };
            let (first, elsewhere) = next();
            assert_eq!(first, b"question");
            assert_eq!(elsewhere.ip(), server);
            assert_ne!(elsewhere.port(), PORT);
            assert_eq!(next(), (format!("question{server}").into_bytes(), SocketAddr::new(server, PORT)));
        }
    });
}

#[test]
fn tcp_is_served_and_hung_up_or_refused() {
    with_server(|| {
        let mut stream = TcpStream::connect((FULL, PORT)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"\x00\x02hi").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"\x00\x02hi\x00\x0bhi127.0.0.1");
        let refused = TcpStream::connect((UDP_ONLY, PORT)).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}
