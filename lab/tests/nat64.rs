//! A client without IPv4, a translator, and servers with IPv4: what the library reaches, and by which
//! lookups.

use std::cell::RefCell;
use std::ffi::CString;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::fd::RawFd;
use std::time::Duration;

use happysock::race::{Nat64, Outcome};
use happysock::{Connect, EventLoop, Interest, Multi, Options, Plan, Report};
use lab::{CLIENT_V4, CLIENT_V6, Network, Rule, SERVER_V4, Scenario, Server, Translator};

/// What a translator's network answers for ipv4only.arpa.
const TOLD: [&str; 2] = ["2001:db8:64::192.0.0.170", "2001:db8:64::192.0.0.171"];
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network with a translator, whose client has these addresses. Its name server is there in both families.
fn network(client: Vec<IpAddr>, tells_prefix: bool) -> Network {
    let mut scenario = Scenario { translator: Some(Translator::default()), ..Scenario::default() };
    scenario.servers = vec![Server::new(SERVER_V4.into())];
    scenario.client.addresses = client;
    let rules = |kind: &str, rule| [(kind.to_owned(), rule)].into();
    scenario.dns.addresses = vec!["2001:db8:53::1".parse().unwrap()];
    scenario.dns.names = [("four.test".to_owned(), rules("A", Rule::addresses([SERVER_V4.into()])))].into();
    let prefix = if tells_prefix { TOLD.map(|address| address.parse().unwrap()).to_vec() } else { Vec::new() };
    scenario.dns.names.insert("ipv4only.arpa".to_owned(), rules("AAAA", Rule::addresses(prefix)));
    Network::new(&scenario).expect("a network can be made")
}

fn without_ipv4() -> Vec<IpAddr> {
    vec![CLIENT_V6.into()]
}

fn given() -> Nat64 {
    "2001:db8:64::/96".parse().unwrap()
}

/// Where a connect has arrived: the address that was attempted, the IPv4 address in it, and what the server
/// says of itself.
#[derive(Debug, PartialEq)]
struct Arrived {
    address: String,
    embedded: Option<Ipv4Addr>,
    banner: String,
}

impl Arrived {
    /// At the server, through the translator.
    fn translated() -> Arrived {
        let address = "2001:db8:64::cb00:7101".to_owned();
        Arrived { address, embedded: Some(SERVER_V4), banner: "203.0.113.1 8080\n".to_owned() }
    }
}

/// Connects on the client's side; an errno where every attempt has failed.
fn connect(network: &Network, host: &str, options: &Options<'_>) -> Result<Arrived, i32> {
    let (host, port) = (CString::new(host).unwrap(), CString::new("8080").unwrap());
    let work = || {
        let options = Options { open_timeout: Some(PATIENCE), ..options.clone() };
        let mut connect = Connect::new(Plan::new(Some(&host), Some(&port), &options).unwrap());
        assert!(connect.wait());
        let mut report = connect.report().unwrap();
        let attempt = match report.outcome {
            Outcome::Connected { attempt } => &report.attempts[attempt.0 as usize],
            Outcome::AttemptsFailed { last } => match report.attempts[last.0 as usize].outcome {
                happysock::race::AttemptOutcome::Failed(failure) => return Ok(Err(failure.sys_errno)),
                other => panic!("{other:?}"),
            },
            other => panic!("{host:?}: {other:?}"),
        };
        let (address, embedded) = (attempt.destination.ip().to_string(), attempt.embedded);
        let mut stream = TcpStream::from(report.socket.take().expect("a winner has a socket"));
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut banner = vec![0; "203.0.113.1 8080\n".len()];
        stream.read_exact(&mut banner)?;
        Ok(Ok(Arrived { address, embedded, banner: String::from_utf8(banner)? }))
    };
    network.on_client(work).expect("the client's side can be entered")
}

fn with(nat64: Nat64) -> Options<'static> {
    Options { nat64, ..Options::default() }
}

/// How often the prefix was asked for.
fn discoveries(network: &Network) -> usize {
    let questions = network.questions();
    questions.iter().filter(|question| question.name.trim_end_matches('.') == "ipv4only.arpa").count()
}

#[test]
fn a_client_without_ipv4_reaches_ipv4_literals_and_names_by_a_prefix_that_is_given() {
    let network = network(without_ipv4(), true);
    for host in ["203.0.113.1", "four.test"] {
        assert_eq!(connect(&network, host, &with(given())), Ok(Arrived::translated()), "{host}");
    }
    assert_eq!(discoveries(&network), 0);
}

#[test]
fn a_client_without_ipv4_finds_the_prefix_by_itself() {
    let network = network(without_ipv4(), true);
    for host in ["203.0.113.1", "four.test"] {
        assert_eq!(connect(&network, host, &with(Nat64::Discover)), Ok(Arrived::translated()), "{host}");
    }
    assert!(discoveries(&network) >= 2, "by each connect");
}

#[test]
fn ipv4_addresses_are_asked_for_although_ipv4_has_no_network() {
    let network = network(without_ipv4(), true);
    for nat64 in [given(), Nat64::Discover] {
        let options = Options { only_connected_families: true, ..with(nat64) };
        assert_eq!(connect(&network, "four.test", &options), Ok(Arrived::translated()));
    }
}

/// Notes which IPv4 address each connect has reached, if it has.
struct Reached(RefCell<Vec<Option<Ipv4Addr>>>);

impl EventLoop for Reached {
    type Userdata = ();
    type SocketData = ();

    fn done(&self, _id: u64, report: &mut Report<'_>, (): ()) {
        let Outcome::Connected { attempt } = report.outcome else { panic!("{:?}", report.outcome) };
        self.0.borrow_mut().push(report.attempts[attempt.0 as usize].embedded);
    }

    fn watch(&self, _fd: RawFd, _interest: Option<Interest>, (): ()) {}

    fn set_timer(&self, _timeout_ms: i32) {}
}

#[test]
fn connects_of_one_handle_share_the_prefix_that_they_ask_for_together() {
    const CONNECTS: usize = 20;
    let network = network(without_ipv4(), true);
    let port = CString::new("8080").unwrap();
    let reached = network
        .on_client(|| {
            let (reached, multi) = (Reached(RefCell::default()), Multi::new()?);
            let options = Options { open_timeout: Some(PATIENCE), ..with(Nat64::Discover) };
            for number in 0..CONNECTS {
                let host = if number % 2 == 0 { c"four.test" } else { c"203.0.113.1" };
                multi.add(&reached, Plan::new(Some(host), Some(&port), &options).unwrap(), ()).unwrap();
            }
            while multi.wait(&reached, -1).unwrap() > 0 {}
            Ok(reached.0.into_inner())
        })
        .unwrap();
    assert_eq!(reached, [Some(SERVER_V4); CONNECTS]);
    assert!((1..CONNECTS).contains(&discoveries(&network)));
}

// The only one here that has a worker of the library look something up: workers stay on the network where
// they were made.
#[test]
fn libc_can_be_asked_for_the_prefix() {
    let network = network(without_ipv4(), true);
    let options = Options { lookup_by_libc: true, ..with(Nat64::Discover) };
    for host in ["203.0.113.1", "four.test"] {
        assert_eq!(connect(&network, host, &options), Ok(Arrived::translated()), "{host}");
    }
    assert!(discoveries(&network) > 0);
}

#[test]
fn without_the_option_or_a_prefix_ipv4_cannot_be_reached() {
    let network = network(without_ipv4(), false);
    for nat64 in [Nat64::Off, Nat64::Discover] {
        assert_eq!(connect(&network, "203.0.113.1", &with(nat64.clone())), Err(libc::ENETUNREACH), "{nat64:?}");
        assert_eq!(connect(&network, "four.test", &with(nat64.clone())), Err(libc::ENETUNREACH), "{nat64:?}");
    }
}

#[test]
fn a_client_with_both_families_uses_ipv4_and_asks_for_no_prefix() {
    let network = network(vec![CLIENT_V4.into(), CLIENT_V6.into()], true);
    let banner = "203.0.113.1 8080\n".to_owned();
    let directly = Arrived { address: SERVER_V4.to_string(), embedded: None, banner };
    for nat64 in [given(), Nat64::Discover] {
        for host in ["203.0.113.1", "four.test"] {
            assert_eq!(connect(&network, host, &with(nat64.clone())).as_ref(), Ok(&directly), "{host}, {nat64:?}");
        }
    }
    assert_eq!(discoveries(&network), 0);
}
