//! The name server behind systemd-resolved: says of each name what the name says.
use crate::packets::{self, Message, QUESTION, TYPE_A, TYPE_AAAA};
use std::net::UdpSocket;

const ADDRESS: &str = "203.0.113.1:53";

/// Answers until the process ends.
pub fn serve() {
    let socket = UdpSocket::bind(ADDRESS).unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 65_536];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            if length > 12 {
                socket.send_to(&reply(&packet[..length]), client).unwrap();
            }
        }
    });
}

fn reply(packet: &[u8]) -> Vec<u8> {
    let name = packets::question(packet).to_ascii_lowercase();
    let message = Message::answering(packet);
    // The type and the class end the question; what may follow (an OPT record) was not copied.
    let record_type = u16::from_be_bytes(*message.octets[..message.octets.len() - 2].last_chunk().unwrap());
    let (v4, v6) = (record_type == TYPE_A, record_type == TYPE_AAAA);
    let words = match &*name {
        "both.test" | "inside.search.test" | "under_score.test" | "xn--tda.test" | "127.0.0.1.test" => match (v4, v6) {
            (true, _) => "192.0.2.7",
            (_, true) => "2001:db8::7",
            _ => "nodata",
        },
        "four.test" if v4 => "192.0.2.4",
        "six.test" if v6 => "2001:db8::6",
        "many.test" if v4 => "192.0.2.3 192.0.2.1 192.0.2.2",
        "many.test" if v6 => "2001:db8::3 2001:db8::1",
        "local.test" if v6 => "fe80::1 2001:db8::5",
        "local.test" if v4 => "169.254.1.1",
        "alias.test" if v4 => return message.cname(QUESTION, "other.test").address(OTHER, "192.0.2.8").octets,
        "alias.test" if v6 => return message.cname(QUESTION, "other.test").address(OTHER, "2001:db8::8").octets,
        "loop.test" => return message.cname(QUESTION, "loop.test").octets,
        "cname.test" => return message.cname(QUESTION, "nodata.test").octets,
        "four.test" | "six.test" | "many.test" | "nodata.test" | "test" | "search.test" => "nodata",
        "servfail.test" => "servfail",
        "refused.test" => "refused",
        "formerr.test" => "formerr",
        "notimp.test" => "notimp",
        _ => "nxdomain",
    };
    packets::in_words(packet, words)
}

/// `other.test` in wire form.
const OTHER: &[u8] = b"\x05other\x04test\0";
