//! What the library `domain` reads in a message, by the rules that ours follows; and that the two agree where
//! both can read it.
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, ParsedName, ToName};
use domain::rdata::Cname;
use happysock::dns::message::{Asked, Code, Records, Reply, Transport, read_reply};
use happysock::dns::name_wire::WireName;
use happysock::dns::question::RecordType;
use happysock::dns::service::ServiceRecord;
use std::net::IpAddr;

/// The addresses of an answer, and the rest of its records passed over; None if `domain` cannot read it all.
fn addresses(message: &Message<[u8]>, record_type: Rtype) -> Option<Vec<IpAddr>> {
    let mut name: ParsedName<&[u8]> = message.sole_question().ok()?.into_qname();
    let mut list = Vec::new();
    for record in message.answer().ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN {
            continue;
        }
        if record.rtype() == Rtype::CNAME {
            name = record.into_record::<Cname<ParsedName<&[u8]>>>().ok()??.into_data().into_cname();
        } else if record.rtype() == record_type && record.owner().name_eq(&name) {
            match (record_type, record.rdlen()) {
                (Rtype::A, 4) => list.push(IpAddr::V4(record.into_record::<domain::rdata::A>().ok()??.data().addr())),
                (Rtype::AAAA, 16) => {
                    list.push(IpAddr::V6(record.into_record::<domain::rdata::Aaaa>().ok()??.data().addr()));
                }
                _ => {}
            }
        }
    }
    Some(list)
}

/// Reads `octets` as an answer to the very question that it holds, by both codecs.
pub fn check(octets: &[u8]) {
    // Whatever it is, it is read, for every question and way.
    let root = WireName::from_presentation(*b"").unwrap();
    // Record data by itself, and a message with such records.
    if let Some(record) = ServiceRecord::read(octets) {
        let ascends = record.keys.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(ascends && (!record.is_alias() || record.keys.is_empty()), "{record:?}");
        let target = WireName::from_presentation(record.target.bytes()).expect("what was read is a name");
        assert_eq!(target.octets(), &octets[2..2 + target.octets().len()]);
        let offered = record.usable(None, &[]);
        assert!(offered.is_err() || offered.is_ok_and(|offered| offered.len() == record.alpn.len()));
    }
    for record_type in [RecordType::A, RecordType::Aaaa, RecordType::Svcb, RecordType::Https] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let name = WireName::read(octets, 12).map_or(root.clone(), |(name, _)| name);
            let id = octets.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            let asked = Asked { id, name: &name, record_type, any_class: false };
            let reply = read_reply(octets, asked, transport);
            assert_eq!(reply, read_reply(octets, asked, transport));
            assert_eq!(reply == Reply::TooShort, octets.len() < 12);
            agrees(octets, asked, reply, transport);
        }
    }
}

fn agrees(octets: &[u8], asked: Asked<'_>, reply: Reply, transport: Transport) {
    let Ok(message) = Message::from_slice(octets) else { return };
    let record_type = match asked.record_type {
        RecordType::A => Rtype::A,
        RecordType::Aaaa => Rtype::AAAA,
        RecordType::Svcb => Rtype::SVCB,
        RecordType::Https => Rtype::HTTPS,
    };
    let header = message.header();
    let Ok(question) = message.sole_question() else { return };
    if question.qtype() != record_type || question.qclass() != Class::IN {
        assert!(matches!(reply, Reply::Ignored | Reply::TooShort), "{reply:?}");
        return;
    }
    let failed = matches!(header.rcode(), Rcode::SERVFAIL | Rcode::NOTIMP | Rcode::REFUSED);
    if transport == Transport::Udp && failed {
        assert_eq!(reply, Reply::ServerFailure { servfail: header.rcode() == Rcode::SERVFAIL });
        return;
    }
    let counts = message.header_counts();
    if transport == Transport::Udp && (header.tc() || counts.ancount() == 0) {
        return;
    }
    if let Reply::Services(records, _) = &reply {
        // Records of another type, and those of other names, are not among them.
        assert!(asked.record_type.is_of_services() && (1..=usize::from(counts.ancount())).contains(&records.len()));
        return;
    }
    let Reply::Answer(reply) = reply else { panic!("{reply:?}") };
    let code = match header.rcode() {
        Rcode::NOERROR => Code::NoError,
        Rcode::NXDOMAIN => Code::NoSuchName,
        Rcode::SERVFAIL => Code::ServerFailure,
        _ => Code::Refusal,
    };
    assert_eq!(reply.code, code);
    if counts.ancount() == 0 {
        assert_eq!(reply.records, Records::Nothing);
        return;
    }
    if asked.record_type.is_of_services() {
        assert_ne!(reply.records, Records::Addresses);
        return;
    }
    // What `domain` cannot read ours may (pointers that lead forward), but not the other way round.
    let Some(expected) = addresses(message, record_type) else { return };
    let (records, addresses) = (reply.records, reply.addresses);
    assert_eq!(records, if expected.is_empty() { Records::NoAddress } else { Records::Addresses });
    assert!(expected.is_empty() || addresses.ttl.is_some());
    assert_eq!(addresses.list.iter().map(|address| address.ip).collect::<Vec<_>>(), expected);
}
