//! Service bindings (RFC 9460): record data that servers send, what a client can use of it, and the walk to
//! it. The data of the first tests is that of the RFC's appendix D, in hexadecimal.
use crate::packets::*;
use crate::script::*;
use happysock::dns::name_wire::WireName;
use happysock::dns::question::RecordType;
use happysock::dns::service::{ServiceQuestion, ServiceRecord, Unusable};
use happysock::dns::walk::Walk;
use proptest::prelude::*;
use std::sync::Arc;

const TYPE_SVCB: u16 = 64;
const TYPE_HTTPS: u16 = 65;

const ONE: &str = "nameserver 192.0.2.1\noptions attempts:1\n";

/// Octets from hexadecimal digits and, between quotes, text.
fn octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for (place, part) in text.split('"').enumerate() {
        if place % 2 == 1 {
            octets.extend(part.bytes());
            continue;
        }
        let digits: String = part.split_whitespace().collect();
        octets.extend((0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()));
    }
    octets
}

fn read(text: &str) -> Option<ServiceRecord> {
    ServiceRecord::read(&octets(text))
}

const FOO: &str = "03\"foo\"07\"example\"03\"com\"00";

/// A record of priority 1 with the root as its target and these parameters.
fn with(parameters: &str) -> Option<ServiceRecord> {
    read(&format!("0001 00 {parameters}"))
}

#[test]
fn the_examples_of_the_standard_are_read() {
    let alias = read(&format!("0000 {FOO}")).unwrap();
    assert!(alias.is_alias() && alias.target == "foo.example.com");
    let own = read("0001 00").unwrap();
    assert_eq!((own.is_alias(), own.priority, own.target.as_str(), own.keys.len()), (false, 1, "", 0));
    let port = read(&format!("0010 {FOO} 0003 0002 0035")).unwrap();
    assert_eq!((port.priority, port.port), (16, Some(53)));
    let unknown = read(&format!("0001 {FOO} 029b 0009 \"hello\" d2 \"qoo\"")).unwrap();
    assert_eq!(unknown.keys, [667]);
    let hints = format!("0001 {FOO} 0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001");
    let hints = read(&hints).unwrap();
    assert_eq!(
        hints.ipv6_hints,
        ["2001:db8::1", "2001:db8::53:1"].map(|text| text.parse::<std::net::Ipv6Addr>().unwrap())
    );
    let many = format!("0010 {FOO} 0000 0004 0001 0004 0001 0009 02 \"h2\" 05 \"h3-19\" 0004 0004 c0000201");
    let many = read(&many).unwrap();
    assert_eq!(many.alpn, [b"h2".to_vec(), b"h3-19".to_vec()]);
    assert_eq!((many.mandatory.as_slice(), many.keys.as_slice()), (&[1, 4][..], &[0, 1, 4][..]));
    assert_eq!(many.ipv4_hints, [std::net::Ipv4Addr::new(192, 0, 2, 1)]);
    let escaped = read(&format!("0010 {FOO} 0001 000c 08 \"f\\oo,bar\" 02 \"h2\"")).unwrap();
    assert_eq!(escaped.alpn, [b"f\\oo,bar".to_vec(), b"h2".to_vec()]);
}

#[test]
fn parameters_of_an_alias_are_not_looked_at() {
    let alias = read(&format!("0000 {FOO} 0003 0001 35")).unwrap();
    assert!(alias.is_alias() && alias.keys.is_empty());
}

#[test]
fn what_breaks_off_is_malformed() {
    let whole = octets(&format!("0001 {FOO} 0001 0003 02 \"h2\" 0003 0002 0035"));
    // Between two parameters it may end.
    let ends = [2 + 17, 2 + 17 + 7, whole.len()];
    for end in 0..=whole.len() {
        assert_eq!(ServiceRecord::read(&whole[..end]).is_some(), ends.contains(&end), "{end}");
    }
    assert_eq!(with("0003 0002 0035 00"), None);
}

#[test]
fn keys_that_do_not_ascend_are_malformed() {
    assert_eq!(with("0003 0002 0035 0001 0003 02 \"h2\""), None);
    assert_eq!(with("0003 0002 0035 0003 0002 0035"), None);
    assert_eq!(with("029b 0000 029a 0000"), None);
    assert!(with("029a 0000 029b 0000").is_some());
}

#[test]
fn a_compressed_target_is_malformed() {
    assert_eq!(read("0001 c000"), None);
    // The pointer leads to the first octet, which is the root.
    assert_eq!(read("0001 03 \"foo\" c000"), None);
}

#[test]
fn a_value_of_another_form_than_its_key_wants_is_malformed() {
    let cases = [
        ("mandatory: empty", "0000 0000"),
        ("mandatory: half a key", "0000 0003 0001 00 0001 0003 02 \"h2\""),
        ("mandatory: itself", "0000 0002 0000"),
        ("mandatory: does not ascend", "0000 0004 0003 0001 0001 0003 02 \"h2\" 0003 0002 0035"),
        ("mandatory: twice the same", "0000 0004 0003 0003 0003 0002 0035"),
        ("alpn: empty", "0001 0000"),
        ("alpn: an empty id", "0001 0004 00 02 \"h2\""),
        ("alpn: breaks off", "0001 0002 02 \"h\""),
        ("no-default-alpn: a value", "0001 0003 02 \"h2\" 0002 0001 00"),
        ("port: one octet", "0003 0001 35"),
        ("port: three octets", "0003 0003 003500"),
        ("ipv4hint: empty", "0004 0000"),
        ("ipv4hint: five octets", "0004 0005 c000020100"),
        ("ech: empty", "0005 0000"),
        ("ipv6hint: empty", "0006 0000"),
        ("ipv6hint: four octets", "0006 0004 c0000201"),
    ];
    for (what, parameters) in cases {
        assert_eq!(with(parameters), None, "{what}");
    }
}

/// What a client that speaks these can use of a record of `https`.
fn usable(parameters: &str, spoken: &[&str]) -> Result<Vec<String>, Unusable> {
    let record = with(parameters).expect("well formed");
    let spoken: Vec<Vec<u8>> = spoken.iter().map(|id| id.as_bytes().to_vec()).collect();
    let offered = record.usable(Some(b"http/1.1"), &spoken)?;
    Ok(offered.into_iter().map(|id| String::from_utf8(id.to_vec()).unwrap()).collect())
}

#[test]
fn the_default_protocol_is_offered_unless_the_record_says_otherwise() {
    assert_eq!(usable("", &[]).unwrap(), ["http/1.1"]);
    assert_eq!(usable("0001 0003 02 \"h2\"", &[]).unwrap(), ["h2", "http/1.1"]);
    assert_eq!(usable("0001 000c 08 \"http/1.1\" 02 \"h2\"", &[]).unwrap(), ["http/1.1", "h2"]);
    assert_eq!(usable("0001 0003 02 \"h2\" 0002 0000", &[]).unwrap(), ["h2"]);
    assert_eq!(usable("0002 0000", &[]), Err(Unusable::NoProtocol));
    // A service without a default has nothing to say about it.
    assert_eq!(with("").unwrap().usable(None, &[b"dot".to_vec()]), Ok(Vec::new()));
}

#[test]
fn a_record_without_a_protocol_in_common_is_of_no_use() {
    let h2_and_h3 = "0001 0006 02 \"h3\" 02 \"h2\"";
    assert_eq!(usable(h2_and_h3, &["h2", "http/1.1"]).unwrap(), ["h2", "http/1.1"]);
    assert_eq!(usable("0001 0003 02 \"h3\" 0002 0000", &["h2", "http/1.1"]), Err(Unusable::NoCommonProtocol));
    // Ids are octets: upper and lower case differ.
    assert_eq!(usable("0001 0003 02 \"H2\" 0002 0000", &["h2"]), Err(Unusable::NoCommonProtocol));
}

#[test]
fn a_key_that_is_mandatory_and_not_known_or_not_there_makes_a_record_useless() {
    assert_eq!(usable("0000 0002 029b 029b 0000", &[]), Err(Unusable::UnknownMandatoryKey(667)));
    assert_eq!(usable("0000 0002 0003", &[]), Err(Unusable::MissingMandatoryKey(3)));
    assert!(usable("0000 0002 0003 0003 0002 0035", &[]).is_ok());
    assert!(usable("029b 0000", &[]).is_ok(), "what is not mandatory is passed over");
    // The last key that is known, and the first that is not.
    assert!(usable("0000 0002 0006 0006 0010 20010db8000000000000000000000001", &[]).is_ok());
    assert_eq!(usable("0000 0002 0007 0007 0000", &[]), Err(Unusable::UnknownMandatoryKey(7)));
}

#[test]
fn questions_are_named_as_the_standard_has_it() {
    let question = |host: &str, service: &str| ServiceQuestion::new(host.as_bytes(), service).ok();
    let name = |host, service| question(host, service).map(|question| String::from_utf8(question.name).unwrap());
    assert_eq!(name("example.org", "https").unwrap(), "example.org.");
    assert_eq!(name("example.org", "_443._https").unwrap(), "example.org.");
    assert_eq!(name("example.org.", "_8443._https").unwrap(), "_8443._https.example.org.");
    assert_eq!(name("example.org", "_dns").unwrap(), "_dns.example.org.");
    assert_eq!(question("example.org", "_8443._https").unwrap().record_type, RecordType::Https);
    assert_eq!(question("example.org", "_853._dns").unwrap().record_type, RecordType::Svcb);
    let wrong =
        ["", "http", "443", "_443", "_443.https", "443._https", "_0._https", "_70000._https", "_+1._https", "_a b"];
    for service in wrong {
        assert_eq!(name("example.org", service), None, "{service}");
    }
    for host in ["", ".", "a..b"] {
        assert_eq!(name(host, "https"), None, "{host}");
    }
    assert_eq!((RecordType::Svcb.code(), RecordType::Https.code()), (TYPE_SVCB, TYPE_HTTPS));
}

fn walk(lines: &str, host: &str, service: &str) -> Script {
    let question = ServiceQuestion::new(host.as_bytes(), service).unwrap();
    Script::start(Walk::of_services(&question, Arc::new(conf(lines)), 0), ONLY_A)
}

/// Record data: a priority and a target.
fn binding(priority: u16, target: &str) -> Vec<u8> {
    [&priority.to_be_bytes()[..], &wire(target)].concat()
}

impl Script {
    /// The server answers with these records.
    fn bindings(&mut self, records: &[(u16, &str)]) -> &mut Script {
        let add = |message: Message, (priority, target): &(u16, &str)| {
            message.record(QUESTION, TYPE_HTTPS, CLASS_IN, 60, &binding(*priority, target))
        };
        let message = records.iter().fold(self.message(A), add);
        self.datagram(0, &message.octets)
    }
}

#[test]
fn bindings_come_in_the_order_of_their_priorities() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0").bindings(&[(3, ""), (1, "b.test"), (1, "a.test")]);
    script.expect("www.test: 1>b.test 1>a.test 3>, finish");
}

#[test]
fn the_question_is_for_records_of_the_service() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0");
    let packet = script.packet(A);
    assert_eq!(packet[packet.len() - 4..], [0, 65, 0, 1]);
    let mut script = walk(ONE, "www.test", "_853._dns");
    script.expect("A _853._dns.www.test @0");
    let packet = script.packet(A);
    assert_eq!(packet[packet.len() - 4..], [0, 64, 0, 1]);
}

#[test]
fn no_search_list_is_used() {
    let mut script = walk("nameserver 192.0.2.1\nsearch one.test two.test\n", "www", "https");
    script.expect("A www @0").says(0, A, "nxdomain").expect("A ! NONAME, finish");
}

#[test]
fn an_alias_is_followed_and_the_records_beside_it_do_not_count() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0").bindings(&[(1, "not.test"), (0, "pool.test")]);
    script.expect("A pool.test @0").bindings(&[(1, "")]).expect("pool.test: 1>, finish");
}

#[test]
fn where_an_alias_leads_to_no_records_its_target_is_told() {
    for words in ["nodata", "nxdomain"] {
        let mut script = walk(ONE, "www.test", "https");
        script.expect("A www.test @0").bindings(&[(0, "pool.test")]).expect("A pool.test @0");
        script.says(0, A, words).expect("pool.test:, finish");
    }
}

#[test]
fn an_alias_to_the_root_is_no_service() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0").bindings(&[(0, "")]).expect("A ! NODATA, finish");
}

#[test]
fn eight_aliases_are_followed_and_no_more() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0");
    for _ in 0..8 {
        script.bindings(&[(0, "www.test")]).expect("A www.test @0");
    }
    script.bindings(&[(0, "www.test")]).expect("A ! NODATA, finish");
}

#[test]
fn an_answer_to_the_name_before_an_alias_is_not_taken() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0");
    let late = script.message(A).record(QUESTION, TYPE_HTTPS, CLASS_IN, 60, &binding(1, "old.test"));
    script.bindings(&[(0, "pool.test")]).expect("A pool.test @0").datagram(0, &late.octets).expect("");
    script.bindings(&[(1, "new.test")]).expect("pool.test: 1>new.test, finish");
}

#[test]
fn a_malformed_record_spoils_the_whole_set() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0");
    let message = script.message(A).record(QUESTION, TYPE_HTTPS, CLASS_IN, 60, &binding(1, "good.test"));
    let message = message.record(QUESTION, TYPE_HTTPS, CLASS_IN, 60, &octets("0001 00 0003 0001 35"));
    script.datagram(0, &message.octets).expect("A ! NODATA, finish");
}

#[test]
fn records_behind_an_alias_of_the_old_kind_are_those_of_the_name() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0");
    let message = script.message(A).cname(QUESTION, "cdn.test");
    let message = message.record(&wire("cdn.test"), TYPE_HTTPS, CLASS_IN, 60, &binding(1, ""));
    // Those of a third name are nobody's.
    let message = message.record(&wire("other.test"), TYPE_HTTPS, CLASS_IN, 60, &binding(1, "other.test"));
    script.datagram(0, &message.octets).expect("www.test: 1>, finish");
}

#[test]
fn addresses_and_bindings_of_the_other_type_are_none() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0");
    let message = script.message(A).address(QUESTION, "192.0.2.7");
    let message = message.record(QUESTION, TYPE_SVCB, CLASS_IN, 60, &binding(1, ""));
    script.datagram(0, &message.octets).expect("A ! NODATA, finish");
}

#[test]
fn what_is_truncated_is_asked_again_by_tcp() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0").says(0, A, "truncated").expect("A www.test @0/tcp").connects(A);
    let message = Message::answering(&script.packet(A)[2..]);
    let message = message.record(QUESTION, TYPE_HTTPS, CLASS_IN, 60, &binding(1, "big.test"));
    script.stream(A, &with_length(&message.octets)).expect("www.test: 1>big.test, finish");
}

#[test]
fn silence_ends_after_the_waits_of_resolv_conf() {
    let mut script = walk(ONE, "www.test", "https");
    script.expect("A www.test @0").at(5_000).expect("A ! AGAIN, finish");
}

/// A parameter of each kind, or none.
fn record() -> impl Strategy<Value = (Vec<u8>, ServiceRecord)> {
    let label = prop::collection::vec(any::<u8>(), 1..10);
    let target = prop::collection::vec(label, 0..5);
    let ids = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..4);
    let v4 = prop::collection::vec(any::<u32>(), 0..4);
    let v6 = prop::collection::vec(any::<u128>(), 0..4);
    let ech = prop::collection::vec(any::<u8>(), 0..30);
    let others = prop::collection::btree_map(7..=u16::MAX, prop::collection::vec(any::<u8>(), 0..9), 0..4);
    let shape = (1..=u16::MAX, target, any::<Option<u16>>(), ids, any::<bool>(), v4, v6, ech, others);
    shape.prop_map(|(priority, target, port, alpn, no_default_alpn, v4, v6, ech, others)| {
        let mut name: Vec<u8> = target.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect();
        name.push(0);
        let mut record = ServiceRecord::read(&[&priority.to_be_bytes()[..], &name].concat()).unwrap();
        let mut parameters = others;
        let values = [
            (1, alpn.iter().flat_map(|id| [&[id.len() as u8][..], id].concat()).collect::<Vec<u8>>()),
            (3, port.map_or(Vec::new(), |port| port.to_be_bytes().to_vec())),
            (4, v4.iter().flat_map(|ip| ip.to_be_bytes()).collect()),
            (5, ech.clone()),
            (6, v6.iter().flat_map(|ip| ip.to_be_bytes()).collect()),
        ];
        parameters.extend(values.into_iter().filter(|(_, value)| !value.is_empty()));
        if no_default_alpn {
            parameters.insert(2, Vec::new());
        }
        record.keys = parameters.keys().copied().collect();
        (record.alpn, record.no_default_alpn, record.port) = (alpn, no_default_alpn, port);
        record.ipv4_hints = v4.into_iter().map(Into::into).collect();
        record.ipv6_hints = v6.into_iter().map(Into::into).collect();
        record.ech = Some(ech).filter(|ech| !ech.is_empty());
        let mut data = [&priority.to_be_bytes()[..], &name].concat();
        for (key, value) in parameters {
            data.extend(key.to_be_bytes());
            data.extend((value.len() as u16).to_be_bytes());
            data.extend(value);
        }
        assert_eq!(WireName::from_presentation(record.target.bytes()).unwrap().octets(), name);
        (data, record)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_read_as_what_it_was_written_from((data, record) in record()) {
        prop_assert_eq!(ServiceRecord::read(&data), Some(record));
    }

    #[test]
    fn any_octets_are_a_record_or_malformed(data in prop::collection::vec(any::<u8>(), 0..80)) {
        // Small keys and lengths, so that some are well formed.
        let data: Vec<u8> = [&[0, 1, 0][..], &data.iter().map(|octet| octet % 8).collect::<Vec<u8>>()].concat();
        if let Some(record) = ServiceRecord::read(&data) {
            prop_assert!(record.keys.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
