//! A translator between an IPv6-only client and IPv4 servers (NAT64, RFC 6146), in the middle of the wire.
//!
//! It carries TCP and UDP. What a client sends to an address under the prefix goes on over IPv4, from the
//! translator's own address and the client's port; what comes back there goes to whoever has sent from that
//! port.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader, UdpHeader};

use crate::scenario::Translator;

/// A translator and whom it knows.
#[derive(Debug)]
pub(crate) struct Translation {
    config: Translator,
    /// Who has sent from a port, by protocol.
    clients: HashMap<(u8, u16), Ipv6Addr>,
}

/// What stands behind the IP header.
enum Segment {
    Tcp(Box<TcpHeader>),
    Udp(UdpHeader),
}

impl Translation {
    pub fn new(config: Translator) -> Translation {
        Translation { config, clients: HashMap::new() }
    }

    /// The packet that leaves on the server side; None: it is lost here. Other packets pass as they are.
    pub fn towards_server(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Ok((IpHeaders::Ipv6(header, _), payload)) = IpHeaders::from_slice(packet) else {
            return Some(packet.to_vec());
        };
        let Some(destination) = self.embedded(Ipv6Addr::from(header.destination)) else {
            return Some(packet.to_vec());
        };
        let (mut segment, data) = Segment::read(payload.ip_number, payload.payload)?;
        self.clients.insert((payload.ip_number.0, segment.ports().0), Ipv6Addr::from(header.source));
        let (source, destination) = (self.config.address.octets(), destination.octets());
        segment.set_checksum_ipv4(source, destination, data)?;
        let length = u16::try_from(segment.length() + data.len()).ok()?;
        let ttl = header.hop_limit.checked_sub(1).filter(|ttl| *ttl > 0)?;
        let mut bytes = Vec::new();
        Ipv4Header::new(length, ttl, payload.ip_number, source, destination).ok()?.write(&mut bytes).ok()?;
        segment.write(&mut bytes, data)
    }

    /// The packet that leaves on the client's side; None: it is lost here. Other packets pass as they are.
    pub fn towards_client(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Ok((IpHeaders::Ipv4(header, _), payload)) = IpHeaders::from_slice(packet) else {
            return Some(packet.to_vec());
        };
        if Ipv4Addr::from(header.destination) != self.config.address {
            return Some(packet.to_vec());
        }
        let (mut segment, data) = Segment::read(payload.ip_number, payload.payload)?;
        let client = *self.clients.get(&(payload.ip_number.0, segment.ports().1))?;
        let (source, destination) = (self.embed(header.source.into()).octets(), client.octets());
        segment.set_checksum_ipv6(source, destination, data)?;
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: u16::try_from(segment.length() + data.len()).ok()?,
            next_header: payload.ip_number,
            hop_limit: header.time_to_live.checked_sub(1).filter(|limit| *limit > 0)?,
            source,
            destination,
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes).ok()?;
        segment.write(&mut bytes, data)
    }

    /// The IPv4 address behind the prefix, which has 96 bits.
    fn embedded(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let (bits, prefix) = (address.to_bits(), self.config.prefix.to_bits());
        (bits >> 32 == prefix >> 32).then(|| Ipv4Addr::from_bits(bits as u32))
    }

    fn embed(&self, address: Ipv4Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.config.prefix.to_bits() | u128::from(address.to_bits()))
    }
}

impl Segment {
    fn read(number: IpNumber, bytes: &[u8]) -> Option<(Segment, &[u8])> {
        match number {
            IpNumber::TCP => TcpHeader::from_slice(bytes).ok().map(|(tcp, data)| (Segment::Tcp(Box::new(tcp)), data)),
            IpNumber::UDP => UdpHeader::from_slice(bytes).ok().map(|(udp, data)| (Segment::Udp(udp), data)),
            _ => None,
        }
    }

    /// Source and destination.
    fn ports(&self) -> (u16, u16) {
        match self {
            Segment::Tcp(tcp) => (tcp.source_port, tcp.destination_port),
            Segment::Udp(udp) => (udp.source_port, udp.destination_port),
        }
    }

    fn length(&self) -> usize {
        match self {
            Segment::Tcp(tcp) => tcp.header_len(),
            Segment::Udp(udp) => udp.header_len(),
        }
    }

    fn set_checksum_ipv4(&mut self, source: [u8; 4], destination: [u8; 4], data: &[u8]) -> Option<()> {
        match self {
            Segment::Tcp(tcp) => tcp.checksum = tcp.calc_checksum_ipv4_raw(source, destination, data).ok()?,
            Segment::Udp(udp) => udp.checksum = udp.calc_checksum_ipv4_raw(source, destination, data).ok()?,
        }
        Some(())
    }

    fn set_checksum_ipv6(&mut self, source: [u8; 16], destination: [u8; 16], data: &[u8]) -> Option<()> {
        match self {
            Segment::Tcp(tcp) => tcp.checksum = tcp.calc_checksum_ipv6_raw(source, destination, data).ok()?,
            Segment::Udp(udp) => udp.checksum = udp.calc_checksum_ipv6_raw(source, destination, data).ok()?,
        }
        Some(())
    }

    fn write(&self, bytes: &mut Vec<u8>, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Segment::Tcp(tcp) => tcp.write(bytes).ok()?,
            Segment::Udp(udp) => udp.write(bytes).ok()?,
        }
        bytes.extend_from_slice(data);
        Some(std::mem::take(bytes))
    }
}
