//! The network does what the scenario says: seen from programs and sockets inside it.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::{Family, Kind, NAME_SERVER, Network, Path, Reply, Rule, SERVER_V4, SERVER_V6, Scenario};

/// Longer than anything here takes, and no wait for anything that comes.
const PATIENCE: Duration = Duration::from_secs(20);

fn network(scenario: &str) -> Network {
    Network::new(&Scenario::parse(scenario).unwrap()).unwrap()
}

fn connect(network: &Network, address: IpAddr, port: u16, limit: Duration) -> std::io::Result<TcpStream> {
    network
        .on_client(|| Ok(TcpStream::connect_timeout(&SocketAddr::new(address, port), limit)))
        .expect("the client's side can be entered")
}

fn banner(network: &Network, address: IpAddr, port: u16) -> String {
    let mut stream = connect(network, address, port, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = [0_u8; 256];
    let length = stream.read(&mut text).unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// What getent(1) says on the client's side: None where it finds nothing.
fn lookup(network: &Network, database: &str, name: &str) -> Option<Vec<String>> {
    let output = network.command("getent").unwrap().args([database, name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut addresses: Vec<String> = text.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    addresses.dedup();
    output.status.success().then_some(addresses)
}

#[test]
fn a_server_says_where_the_client_has_arrived() {
    let network = network("{}");
    assert_eq!(banner(&network, SERVER_V6.into(), 8080), "2001:db8:2::1 8080\n");
    assert_eq!(banner(&network, SERVER_V4.into(), 8080), "203.0.113.1 8080\n");
    network.listen(SERVER_V4.into(), 9, Some("later")).unwrap();
    assert_eq!(banner(&network, SERVER_V4.into(), 9), "later");
}

#[test]
fn delay_delays_one_family_and_not_the_other() {
    let network = network(r#"{"families": {"ipv6": {"round_trip_ms": 900}}}"#);
    let took = |address: IpAddr| {
        let start = Instant::now();
        connect(&network, address, 8080, PATIENCE).unwrap();
        start.elapsed()
    };
    const LATE: Duration = Duration::from_millis(900);
    // On a machine that stands still for a moment one connect may be late, but not each of them.
    let at_once = |address| (0..20).any(|_| took(address) < LATE);
    let v6 = took(SERVER_V6.into());
    assert!(v6 >= LATE, "{v6:?}");
    assert!(at_once(SERVER_V4.into()));
    network.set_path(SERVER_V6.into(), Path::default());
    assert!(at_once(SERVER_V6.into()), "an address's own path comes before its family's");
}

#[test]
fn a_black_hole_is_silent() {
    let network = network(r#"{"families": {"ipv6": {"black_hole": true}}}"#);
    let error = connect(&network, SERVER_V6.into(), 8080, Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    let packets = network.packets().unwrap();
    // The kernel sends it again after a second, which a busy machine may let pass.
    let syns = (0..packets.len()).map(|number| Kind::Syn { again: number > 0 });
    assert!(!packets.is_empty() && packets.iter().all(|packet| packet.sent), "{packets:?}");
    assert!(packets.iter().map(|packet| &packet.kind).eq(&syns.collect::<Vec<_>>()), "{packets:?}");
    connect(&network, SERVER_V4.into(), 8080, PATIENCE).unwrap();
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    let network = network(r#"{"servers": [{"address": "2001:db8:2::1", "listen": []}, {"address": "203.0.113.1"}]}"#);
    let error = connect(&network, SERVER_V6.into(), 8080, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    let error = connect(&network, SERVER_V4.into(), 8081, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    // By source: a SYN that was sent again is refused again.
    let packets = network.packets().unwrap().into_iter();
    let resets: HashSet<_> = packets.filter(|packet| packet.kind == Kind::Reset).map(|packet| packet.source).collect();
    assert_eq!(resets.len(), 2);
}

#[test]
fn routes_can_be_missing() {
    for (scenario, address, wanted) in [
        (r#"{"client": {"addresses": ["192.0.2.1"]}}"#, IpAddr::V6(SERVER_V6), libc::ENETUNREACH),
        (r#"{"client": {"no_default_route": ["ipv6"]}}"#, IpAddr::V6(SERVER_V6), libc::ENETUNREACH),
        (r#"{"client": {"no_default_route": ["ipv4"]}}"#, IpAddr::V4(SERVER_V4), libc::ENETUNREACH),
        (r#"{"client": {"unreachable": ["203.0.113.0/24"]}}"#, IpAddr::V4(SERVER_V4), libc::EHOSTUNREACH),
        (r#"{"client": {"unreachable": ["2001:db8:2::1"]}}"#, IpAddr::V6(SERVER_V6), libc::EHOSTUNREACH),
    ] {
        let error = connect(&network(scenario), address, 8080, PATIENCE).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(wanted), "{scenario}: {error}");
    }
}

#[test]
fn losses_are_as_frequent_as_asked() {
    const SENT: usize = 1000;
    let network = network(r#"{"seed": 7, "families": {"ipv4": {"loss_percent": 20}}}"#);
    let bind = |address| network.on_server(|| Ok(UdpSocket::bind((address, 99))?)).unwrap();
    let (receiver, end) = (bind(SERVER_V4), bind(NAME_SERVER));
    receiver.set_nonblocking(true).unwrap();
    end.set_read_timeout(Some(PATIENCE)).unwrap();
    let sender = network.on_client(|| Ok(UdpSocket::bind("0.0.0.0:0")?)).unwrap();
    let mut received = 0;
    // In portions that fit the receive buffer, so that nothing but the path loses any.
    for _ in 0..10 {
        for _ in 0..SENT / 10 {
            sender.send_to(b"one", (SERVER_V4, 99)).unwrap();
        }
        // The path of the name server loses nothing, and the wire keeps the order: what comes at all has come by
        // then.
        sender.send_to(b"end", (NAME_SERVER, 99)).unwrap();
        end.recv(&mut [0; 8]).unwrap();
        while receiver.recv(&mut [0; 8]).is_ok() {
            received += 1;
        }
    }
    // 800 of 1000 on average, with a standard deviation of 12.6; the seed makes the figure much the same each
    // time.
    assert!((740..=860).contains(&received), "{received} of {SENT} arrived");
}

#[test]
fn the_name_server_follows_its_rules() {
    let network = network(
        r#"{
            "etc": {"resolv_options": "timeout:20 attempts:1", "search": ["example.test"],
                    "hosts": {"file.test": ["203.0.113.7"]}},
            "dns": {"names": {
                "v4.test": {"A": {"addresses": ["203.0.113.1", "203.0.113.2"]}},
                "fail.test": {"A": {"reply": "servfail"}},
                "refuse.test": {"A": {"reply": "refused"}},
                "alias.test": {"A": {"alias": "v4.test"}},
                "tcp.test": {"A": {"addresses": ["203.0.113.3"], "truncated": true}},
                "*.wild.test": {"A": {"addresses": ["203.0.113.4"]}},
                "short.example.test": {"A": {"addresses": ["203.0.113.5"]}}
            }}
        }"#,
    );
    let addresses = |list: &[&str]| Some(list.iter().map(|address| (*address).to_owned()).collect::<Vec<_>>());
    assert_eq!(lookup(&network, "ahostsv4", "v4.test"), addresses(&["203.0.113.1", "203.0.113.2"]));
    assert_eq!(lookup(&network, "ahostsv4", "alias.test"), addresses(&["203.0.113.1", "203.0.113.2"]));
    assert_eq!(lookup(&network, "ahostsv4", "tcp.test"), addresses(&["203.0.113.3"]));
    assert_eq!(lookup(&network, "ahostsv4", "any.wild.test"), addresses(&["203.0.113.4"]));
    assert_eq!(lookup(&network, "ahostsv4", "short"), addresses(&["203.0.113.5"]));
    assert_eq!(lookup(&network, "ahostsv4", "file.test"), addresses(&["203.0.113.7"]));
    for name in ["fail.test", "refuse.test", "nowhere.test"] {
        assert_eq!(lookup(&network, "ahostsv4", name), None, "{name}");
    }
    // AI_V4MAPPED of getent(1): there is no AAAA record, so that the A records stand in.
    let mapped = addresses(&["::ffff:203.0.113.1", "::ffff:203.0.113.2"]);
    assert_eq!(lookup(&network, "ahostsv6", "v4.test"), mapped);

    let questions = network.questions();
    let of = |name: &str| questions.iter().filter(|question| question.name == name).collect::<Vec<_>>();
    assert!(!of("v4.test").is_empty() && of("v4.test").iter().all(|question| question.answered.is_some()));
    assert!(of("tcp.test").iter().any(|question| question.tcp), "a truncated reply is asked for again over TCP");
    let of_type =
        |wanted: &str| of("v4.test").into_iter().find(|question| question.record_type == wanted).unwrap().reply;
    assert_eq!((of_type("A"), of_type("AAAA")), (Reply::Answer, Reply::NoData));
    assert!(of("file.test").is_empty(), "hosts comes before DNS");
}

#[test]
fn a_name_server_can_be_mute() {
    let network = network(
        r#"{"etc": {"resolv_options": "timeout:1 attempts:1"}, "dns": {"names": {"mute.test": {"A": {"reply": "never"}}}}}"#,
    );
    assert_eq!(lookup(&network, "ahostsv4", "mute.test"), None);
    let questions = network.questions();
    assert!(!questions.is_empty());
    assert!(questions.iter().all(|question| question.answered.is_none() && question.reply == Reply::Never));
}

#[test]
fn an_answer_comes_as_late_as_asked_and_rules_can_change() {
    let network = network("{}");
    network.set_name("slow.test", "A", Rule::addresses([SERVER_V4.into()]).after(150.0)).unwrap();
    let start = Instant::now();
    assert!(lookup(&network, "ahostsv4", "slow.test").is_some());
    assert!(start.elapsed() >= Duration::from_millis(150));
    let questions = network.questions();
    let question = questions.iter().find(|question| question.name == "slow.test").unwrap();
    let waited = question.answered.unwrap().duration_since(question.at).unwrap();
    // By the clock of the day, which may be set a little meanwhile.
    assert!(waited >= Duration::from_millis(149), "{waited:?}");
    network.set_name("slow.test", "A", Rule::reply(Reply::Nxdomain)).unwrap();
    assert!(lookup(&network, "ahostsv4", "slow.test").is_none());
}

#[test]
fn packets_are_seen_with_their_times() {
    let network = network("{}");
    network.set_family(Family::Ipv4, Path::round_trip(50.0));
    assert!(lookup(&network, "ahostsv4", "dual.test").is_some());
    connect(&network, SERVER_V4.into(), 8080, PATIENCE).unwrap();
    let packets = network.packets().unwrap();
    let at = |wanted: &dyn Fn(&Kind) -> bool| {
        let packet = packets.iter().find(|packet| wanted(&packet.kind)).with_context(|| format!("{packets:?}"));
        network.milliseconds(packet.unwrap().at)
    };
    let question =
        at(&|kind| matches!(kind, Kind::Question { name, record_type } if name == "dual.test" && record_type == "A"));
    let reply = at(&|kind| matches!(kind, Kind::Reply { name, answers: 1, .. } if name == "dual.test"));
    let syn = at(&|kind| *kind == Kind::Syn { again: false });
    let answer = at(&|kind| *kind == Kind::SynAck);
    // By the clock of the day, which may be set a little meanwhile.
    assert!(question < reply && reply < syn && syn + 49.0 <= answer, "{question} {reply} {syn} {answer}");
}

#[test]
fn two_networks_side_by_side_do_not_meet() {
    let scenario = |banner: &str| {
        let server = |address: &str| format!(r#"{{"address": "{address}", "banner": "{banner}"}}"#);
        format!(r#"{{"servers": [{}, {}]}}"#, server("2001:db8:2::1"), server("203.0.113.1"))
    };
    let (one, other) = (network(&scenario("one")), network(&scenario("other")));
    one.set_family(Family::Ipv6, Path::black_hole());
    one.set_name("dual.test", "A", Rule::reply(Reply::Nxdomain)).unwrap();
    assert_eq!(banner(&one, SERVER_V4.into(), 8080), "one");
    assert_eq!(banner(&other, SERVER_V4.into(), 8080), "other");
    assert_eq!(banner(&other, SERVER_V6.into(), 8080), "other");
    assert!(lookup(&one, "ahostsv4", "dual.test").is_none());
    assert!(lookup(&other, "ahostsv4", "dual.test").is_some());
    let seen = other.packets().unwrap().iter().filter(|packet| packet.kind == Kind::Syn { again: false }).count();
    assert_eq!(seen, 2, "a network sees its own packets alone");
    drop(one);
    assert_eq!(banner(&other, SERVER_V6.into(), 8080), "other");
}

#[test]
fn a_thousand_connections_at_once_are_all_served() -> Result<()> {
    let network = network("{}");
    // Both ends are descriptors of this process, so the limit has to allow for two each.
    let (_, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most)?;
    let streams = network.on_client(|| {
        let address = SocketAddr::from((SERVER_V6, 8080));
        (0..1000).map(|_| Ok(TcpStream::connect_timeout(&address, PATIENCE)?)).collect::<Result<Vec<_>>>()
    })?;
    for mut stream in streams {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut first = [0_u8; 9];
        stream.read_exact(&mut first)?;
        assert_eq!(&first, b"2001:db8:");
    }
    Ok(())
}
