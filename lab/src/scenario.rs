//! What a network looks like: the JSON scenario, its defaults and its checks.
//!
//! Every field has a default, unknown fields are errors, and [`Scenario::check`] refuses what cannot be built
//! before anything is made. `lab/README.md` shows an example of each feature.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path as FilePath;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        })
    }
}

/// One network: a client, servers, a name server and the paths between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What the scenario is for; not interpreted.
    pub description: String,
    /// The port that servers listen on unless they say otherwise; `LAB_PORT` of the commands that run inside.
    pub port: u16,
    /// The client's side.
    pub client: Client,
    /// The addresses of the server side.
    pub servers: Vec<Server>,
    /// The path to every server of a family, for those that have none of their own.
    pub families: BTreeMap<Family, Path>,
    /// The name server's addresses and answers.
    pub dns: Dns,
    /// What the client finds under /etc.
    pub etc: Etc,
    /// Leads a client without IPv4 to servers with IPv4 (NAT64); none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translator: Option<Translator>,
    /// Seed of the random losses.
    pub seed: u64,
}

/// The side that commands run on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// Addresses of the client's interface. A family with no address has no route either.
    pub addresses: Vec<IpAddr>,
    /// Families that have an address and yet no default route: connect(2) fails with ENETUNREACH.
    pub no_default_route: Vec<Family>,
    /// Addresses or prefixes with an `unreachable` route: connect(2) fails at once with EHOSTUNREACH.
    pub unreachable: Vec<String>,
}

/// One address of the server side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address.
    pub address: IpAddr,
    /// Ports that accept; the scenario's port when absent. An empty list refuses every connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<Vec<u16>>,
    /// What is sent to each connection; "ADDRESS PORT\n" of the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// The path to this address; the family's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
}

/// What happens to packets between the client and a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Path {
    /// The round trip in milliseconds, half of it in each direction.
    pub round_trip_ms: f64,
    /// The chance of each packet, in each direction, to be lost, in percent.
    pub loss_percent: f64,
    /// Every packet vanishes without an answer.
    pub black_hole: bool,
}

/// A translator between IPv6 and IPv4, for TCP and UDP. It stands before the paths to the servers, which see it
/// as their client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Translator {
    /// The first address under its prefix, which has 96 bits; the last 32 of an address are the IPv4 address.
    pub prefix: Ipv6Addr,
    /// Its own address on the server side.
    pub address: Ipv4Addr,
}

/// The name server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Addresses on the server side where the name server answers, over UDP and TCP port 53.
    pub addresses: Vec<IpAddr>,
    /// The path to the name server: losses and delays of the families leave it alone.
    pub path: Path,
    /// Answers by name, then by type ("A", "AAAA", ...). "*.example.test" stands for every name below it and
    /// "*" for every name. A name that is not listed does not exist; a type that is not listed has no
    /// data.
    pub names: BTreeMap<String, BTreeMap<String, Rule>>,
}

/// What the name server does with one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The kind of reply.
    pub reply: Reply,
    /// Addresses of an answer, of the family of the type asked for, in this order.
    pub addresses: Vec<IpAddr>,
    /// The name that this one is an alias for; the answer then holds the CNAME and what is known of its
    /// target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// How long the reply takes, in milliseconds after the question arrived.
    pub delay_ms: f64,
    /// Over UDP the reply is empty and truncated, so that the client asks again over TCP.
    pub truncated: bool,
}

/// The kinds of reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The addresses or the alias; without either, NOERROR without an answer.
    #[default]
    Answer,
    /// NOERROR without an answer: the name exists, without this type.
    NoData,
    /// NXDOMAIN: the name does not exist.
    Nxdomain,
    /// SERVFAIL.
    Servfail,
    /// REFUSED.
    Refused,
    /// Nothing is ever sent.
    Never,
}

/// The files that are laid over the client's /etc.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Etc {
    /// resolv.conf: `options` lines, for example "timeout:1 attempts:2".
    pub resolv_options: String,
    /// resolv.conf: `search` domains.
    pub search: Vec<String>,
    /// resolv.conf: name servers, at most three (resolv.conf(5)); those of `dns.addresses` when absent.
    pub nameservers: Option<Vec<IpAddr>>,
    /// hosts: names and their addresses. localhost is always there.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// nsswitch.conf: the sources of `hosts`.
    pub nsswitch_hosts: String,
    /// The text of gai.conf; an empty file when absent.
    pub gai_conf: String,
}

/// The client's IPv4 address unless the scenario says otherwise.
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The client's IPv6 address unless the scenario says otherwise.
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
/// The server's IPv4 address unless the scenario says otherwise.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The server's IPv6 address unless the scenario says otherwise.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
/// The name server's address unless the scenario says otherwise.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            description: String::new(),
            port: 8080,
            client: Client::default(),
            servers: vec![Server::new(SERVER_V6.into()), Server::new(SERVER_V4.into())],
            families: BTreeMap::new(),
            dns: Dns::default(),
            etc: Etc::default(),
            translator: None,
            seed: 0,
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Client {
            addresses: vec![CLIENT_V4.into(), CLIENT_V6.into()],
            no_default_route: Vec::new(),
            unreachable: Vec::new(),
        }
    }
}

impl Default for Translator {
    fn default() -> Self {
        Translator { prefix: Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0), address: Ipv4Addr::new(192, 0, 2, 64) }
    }
}

impl Default for Dns {
    fn default() -> Self {
        let types = BTreeMap::from([
            ("A".to_owned(), Rule::addresses([SERVER_V4.into()])),
            ("AAAA".to_owned(), Rule::addresses([SERVER_V6.into()])),
        ]);
        Dns {
            addresses: vec![NAME_SERVER.into()],
            path: Path::default(),
            names: BTreeMap::from([("dual.test".to_owned(), types)]),
        }
    }
}

impl Default for Etc {
    fn default() -> Self {
        Etc {
            resolv_options: "timeout:5 attempts:2".to_owned(),
            search: Vec::new(),
            nameservers: None,
            hosts: BTreeMap::new(),
            nsswitch_hosts: "files dns".to_owned(),
            gai_conf: String::new(),
        }
    }
}

impl Server {
    /// A server that listens on the scenario's port.
    pub fn new(address: IpAddr) -> Server {
        Server { address, listen: None, banner: None, path: None }
    }
}

impl Path {
    /// A path without loss that takes `round_trip_ms` milliseconds there and back.
    pub fn round_trip(round_trip_ms: f64) -> Path {
        Path { round_trip_ms, ..Path::default() }
    }

    /// A path on which every packet vanishes.
    pub fn black_hole() -> Path {
        Path { black_hole: true, ..Path::default() }
    }

    fn check(&self, whose: &str) -> Result<()> {
        ensure!(
            (0.0..=600_000.0).contains(&self.round_trip_ms),
            "{whose}: round_trip_ms {} is not between 0 and 600000",
            self.round_trip_ms
        );
        ensure!(
            (0.0..=100.0).contains(&self.loss_percent),
            "{whose}: loss_percent {} is not between 0 and 100",
            self.loss_percent
        );
        Ok(())
    }
}

impl Rule {
    /// An immediate answer with these addresses.
    pub fn addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Rule {
        Rule { addresses: addresses.into_iter().collect(), ..Rule::default() }
    }

    /// An immediate reply without data, of this kind.
    pub fn reply(reply: Reply) -> Rule {
        Rule { reply, ..Rule::default() }
    }

    /// The same reply, `delay_ms` milliseconds after the question.
    pub fn after(self, delay_ms: f64) -> Rule {
        Rule { delay_ms, ..self }
    }

    pub(crate) fn check(&self, name: &str, record_type: &str) -> Result<()> {
        let whose = format!("dns.names.{name}.{record_type}");
        ensure!(
            (0.0..=600_000.0).contains(&self.delay_ms),
            "{whose}: delay_ms {} is not between 0 and 600000",
            self.delay_ms
        );
        if self.reply != Reply::Answer {
            ensure!(
                self.addresses.is_empty() && self.alias.is_none(),
                "{whose}: only the reply \"answer\" can hold addresses or an alias"
            );
        }
        for address in &self.addresses {
            let of_type = if address.is_ipv4() { "A" } else { "AAAA" };
            ensure!(of_type == record_type, "{whose}: {address} is no address of type {record_type}");
        }
        Ok(())
    }
}

impl Scenario {
    /// Reads and checks a scenario file.
    pub fn read(file: &FilePath) -> Result<Scenario> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Scenario::parse(&text).with_context(|| format!("{} is not a usable scenario", file.display()))
    }

    /// Parses and checks the JSON text of a scenario.
    pub fn parse(text: &str) -> Result<Scenario> {
        let scenario: Scenario = serde_json::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Names the first thing that cannot be built.
    pub fn check(&self) -> Result<()> {
        ensure!(self.port != 0, "port: 0 cannot be listened on");
        for (family, path) in &self.families {
            path.check(&format!("families.{family}"))?;
        }
        self.dns.path.check("dns.path")?;
        let mut seen: Vec<IpAddr> = Vec::new();
        let ours = self.client.addresses.iter().chain(&self.dns.addresses);
        for address in ours.chain(self.servers.iter().map(|server| &server.address)) {
            ensure!(!seen.contains(address), "{address} is listed twice");
            if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
                bail!("{address} is not an address that a network interface can have here");
            }
            seen.push(*address);
        }
        if let Some(Translator { prefix, address }) = &self.translator {
            ensure!(prefix.to_bits() as u32 == 0, "translator.prefix: {prefix} has bits behind the 96th");
            ensure!(!seen.contains(&(*address).into()), "translator.address: {address} is taken");
        }
        for server in &self.servers {
            if let Some(path) = &server.path {
                path.check(&format!("servers.{}", server.address))?;
            }
            ensure!(
                !server.listen.as_ref().is_some_and(|ports| ports.contains(&0)),
                "servers.{}: 0 cannot be listened on",
                server.address
            );
        }
        for prefix in &self.client.unreachable {
            let (address, length) = prefix.split_once('/').unwrap_or((prefix, "0"));
            let valid = address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok();
            ensure!(valid, "client.unreachable: {prefix} is neither an address nor a prefix");
        }
        for (name, types) in &self.dns.names {
            for (record_type, rule) in types {
                rule.check(name, record_type)?;
            }
        }
        for (what, text) in [("resolv_options", &self.etc.resolv_options), ("nsswitch_hosts", &self.etc.nsswitch_hosts)]
        {
            ensure!(!text.contains('\n'), "etc.{what} holds a line break");
        }
        Ok(())
    }

    /// The ports that `server` listens on.
    pub fn ports_of(&self, server: &Server) -> Vec<u16> {
        server.listen.clone().unwrap_or_else(|| vec![self.port])
    }

    /// The text of the client's resolv.conf.
    pub fn resolv_conf(&self) -> String {
        let mut text = String::new();
        for address in self.etc.nameservers.as_ref().unwrap_or(&self.dns.addresses) {
            text.push_str(&format!("nameserver {address}\n"));
        }
        if !self.etc.search.is_empty() {
            text.push_str(&format!("search {}\n", self.etc.search.join(" ")));
        }
        if !self.etc.resolv_options.is_empty() {
            text.push_str(&format!("options {}\n", self.etc.resolv_options));
        }
        text
    }

    /// The text of the client's hosts file.
    pub fn hosts(&self) -> String {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        for (name, addresses) in &self.etc.hosts {
            for address in addresses {
                text.push_str(&format!("{address} {name}\n"));
            }
        }
        text
    }

    /// The text of the client's nsswitch.conf.
    pub fn nsswitch_conf(&self) -> String {
        format!(
            "passwd: files\ngroup: files\nhosts: {}\nnetworks: files\nprotocols: files\nservices: files\n",
            self.etc.nsswitch_hosts
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_scenario_is_the_default() {
        assert_eq!(Scenario::parse("{}").unwrap(), Scenario::default());
    }

    #[test]
    fn a_scenario_survives_its_own_json() {
        let scenario = Scenario::default();
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(Scenario::parse(&text).unwrap(), scenario);
    }

    #[test]
    fn what_cannot_be_built_is_named() {
        for (text, wanted) in [
            (r#"{"prot": 80}"#, "unknown field `prot`"),
            (r#"{"port": 0}"#, "port: 0"),
            (r#"{"families": {"ipv6": {"loss_percent": 101}}}"#, "loss_percent 101"),
            (r#"{"servers": [{"address": "192.0.2.1"}]}"#, "192.0.2.1 is listed twice"),
            (r#"{"servers": [{"address": "::1"}]}"#, "::1 is not an address"),
            (r#"{"dns": {"names": {"a.test": {"A": {"addresses": ["2001:db8::1"]}}}}}"#, "no address of type A"),
            (
                r#"{"dns": {"names": {"a.test": {"A": {"reply": "never", "addresses": ["192.0.2.9"]}}}}}"#,
                "only the reply",
            ),
            (r#"{"client": {"unreachable": ["nowhere"]}}"#, "nowhere is neither"),
            (r#"{"translator": {"prefix": "64:ff9b::1"}}"#, "64:ff9b::1 has bits"),
            (r#"{"translator": {"address": "203.0.113.1"}}"#, "203.0.113.1 is taken"),
        ] {
            let error = format!("{:#}", Scenario::parse(text).unwrap_err());
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
