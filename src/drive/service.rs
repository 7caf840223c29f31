//! A service's lookups in the world: its bindings (RFC 9460), and the names that they lead to.

use super::binding::{ServiceBinding, ServicePlan};
use super::lookups::Lookups;
use super::reactor::Reactor;
use crate::lookup::{Query, ServiceRecord, Services, Told, WalkId};
use crate::race::{AnsweredBy, Binding, BindingId, Families, HOST, LookupError, LookupId, MOST_BINDINGS, NameId};
use crate::sys::random;
use std::ffi::CString;
use std::net::SocketAddr;
use std::time::Instant;

/// What few races have.
pub(super) struct Service {
    host: Query,
    plan: ServicePlan,
    families: Families,
    /// The bindings are being asked for.
    running: Option<(LookupId, WalkId)>,
    /// By their number.
    bindings: Vec<ServiceBinding>,
    /// The lookups of the names that they lead to: the first one is name 1.
    targets: Vec<Lookups>,
}

/// What has come of the question for bindings.
pub(super) type ToldBindings = (LookupId, Result<Vec<Binding>, LookupError>, AnsweredBy);

impl Service {
    /// Nothing is asked yet.
    pub fn new(host: Query, plan: ServicePlan, families: Families) -> Service {
        Service { host, plan, families, running: None, bindings: Vec::new(), targets: Vec::new() }
    }

    /// Asks for the bindings. False if nobody can be asked.
    pub fn begin(&mut self, now: Instant, lookup: LookupId, reactor: &mut impl Reactor) -> bool {
        let walk = reactor.look_up_services(now, &self.host, self.plan.question.clone());
        self.running = walk.map(|walk| (lookup, walk));
        walk.is_some()
    }

    /// The driver's client has something; `Err` hands it back if it was for somebody else.
    pub fn told(&mut self, told: Told) -> Result<Option<ToldBindings>, Told> {
        if let Some((lookup, _)) = self.running.take_if(|(_, walk)| *walk == told.walk) {
            let by = told.by;
            return Ok(Some((lookup, told.into_services().map(|services| self.found(&services)), by)));
        }
        self.targets.iter_mut().try_fold(told, |told, target| target.told(told).ok_or(())).map_or(Ok(None), Err)
    }

    /// Makes of the records what the race has to know. Of equal priorities the order is chance (RFC 9460, section
    /// 2.4.1).
    fn found(&mut self, services: &Services) -> Vec<Binding> {
        // What the service's name has as its port is told with the addresses too, if it is known at all.
        let Ok(host_port) = self.host.service_port() else { return Vec::new() };
        let mut records: Vec<(&ServiceRecord, Vec<&[u8]>)> = services
            .records
            .iter()
            .filter_map(|record| Some((record, record.usable(services.default_alpn, &self.plan.alpn).ok()?)))
            .collect();
        shuffle(&mut records);
        records.sort_by_key(|(record, _)| record.priority);
        records.truncate(MOST_BINDINGS);
        // Aliases that led to a name without records: it is where to connect to (RFC 9460, section 3).
        let alias = ServiceRecord::default();
        if services.records.is_empty() && services.aliases > 0 {
            records.push((&alias, Vec::new()));
        }
        let mut names = vec![self.host.node().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default()];
        let mut bindings = Vec::new();
        for (record, alpn) in records {
            let target = if record.target.is_empty() { &services.owner } else { &record.target };
            let Some(name) = self.name_of(target, &mut names) else { continue };
            bindings.push(Binding {
                priority: record.priority,
                target: name,
                port: record.port,
                hints: hints(record, host_port),
            });
            self.bindings.push(ServiceBinding {
                priority: record.priority,
                target: target.clone(),
                port: record.port,
                alpn: alpn.into_iter().map(<[u8]>::to_vec).collect(),
                ech: record.ech.clone(),
            });
        }
        bindings
    }

    /// What the race calls a name; one that is new gets its lookups. None: it cannot be looked up.
    fn name_of(&mut self, target: &str, names: &mut Vec<String>) -> Option<NameId> {
        let is = |name: &String| name.trim_end_matches('.').eq_ignore_ascii_case(target);
        if let Some(place) = names.iter().position(is) {
            return Some(NameId(place as u32));
        }
        // The dot keeps it from the search list.
        let absolute = CString::new(format!("{target}.")).ok()?;
        let query = Query::new(Some(&absolute), self.host.service(), self.host.hints(), None).ok()?;
        query.check().ok()?;
        let name = NameId(names.len() as u32);
        names.push(target.to_owned());
        self.targets.push(Lookups::new(name, query, None, self.families));
        Some(name)
    }

    /// The lookups of a name that a binding leads to.
    pub fn target(&mut self, name: NameId) -> Option<&mut Lookups> {
        self.targets.get_mut((name.0 - HOST.0).checked_sub(1)? as usize)
    }

    pub fn targets(&self) -> &[Lookups] {
        &self.targets
    }

    pub fn targets_mut(&mut self) -> &mut [Lookups] {
        &mut self.targets
    }

    /// What a binding says, by its number.
    pub fn binding(&self, id: BindingId) -> Option<&ServiceBinding> {
        self.bindings.get(id.0 as usize)
    }

    /// How many lookups are running.
    pub fn len(&self) -> usize {
        usize::from(self.running.is_some()) + self.targets.iter().map(Lookups::len).sum::<usize>()
    }

    /// Lets go of a lookup, if it is one of these.
    pub fn abandon(&mut self, now: Instant, lookup: LookupId, reactor: &mut impl Reactor) {
        if let Some((_, walk)) = self.running.take_if(|(running, _)| *running == lookup) {
            reactor.abandon(now, walk);
        }
        self.targets.iter_mut().for_each(|target| target.abandon(now, lookup, reactor));
    }

    /// Lets go of all. What the bindings say stays.
    pub fn close(&mut self, now: Instant, reactor: &mut impl Reactor) {
        if let Some((_, walk)) = self.running.take() {
            reactor.abandon(now, walk);
        }
        self.targets.drain(..).for_each(|target| target.close(now, reactor));
    }
}

fn hints(record: &ServiceRecord, port: u16) -> Vec<SocketAddr> {
    let v6 = record.ipv6_hints.iter().map(|address| SocketAddr::new((*address).into(), port));
    v6.chain(record.ipv4_hints.iter().map(|address| SocketAddr::new((*address).into(), port))).collect()
}

/// Any order is as likely as another; without the kernel's chance the order stays.
fn shuffle<T>(items: &mut [T]) {
    let mut chance = vec![0; items.len() * 4];
    if random::fill(&mut chance).is_err() {
        return;
    }
    let (chance, _) = chance.as_chunks();
    for (place, octets) in chance.iter().enumerate().rev() {
        items.swap(place, u32::from_be_bytes(*octets) as usize % (place + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::{Hints, ServiceQuestion};
    use std::ffi::CStr;

    fn service(host: &CStr, service: &str, alpn: &[&str]) -> Service {
        let hints = Hints { flags: 0, family: libc::AF_UNSPEC, socktype: libc::SOCK_STREAM, protocol: 0 };
        let query = Query::new(Some(host), Some(c"443"), hints, None).unwrap();
        let question = ServiceQuestion::new(host.to_bytes(), service).unwrap();
        let alpn = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
        Service::new(query, ServicePlan { question, alpn }, Families::Both)
    }

    fn record(priority: u16, target: &str, alpn: &str) -> ServiceRecord {
        let alpn = if alpn.is_empty() { Vec::new() } else { vec![alpn.as_bytes().to_vec()] };
        ServiceRecord { priority, target: target.into(), alpn, ..ServiceRecord::default() }
    }

    fn services(owner: &str, aliases: u8, records: Vec<ServiceRecord>) -> Services {
        let mut services = Services::default();
        (services.owner, services.aliases, services.records) = (owner.into(), aliases, records);
        services.default_alpn = Some(b"http/1.1");
        services
    }

    fn targets(bindings: &[Binding]) -> Vec<(u16, u32)> {
        bindings.iter().map(|binding| (binding.priority, binding.target.0)).collect()
    }

    #[test]
    fn a_target_is_the_host_or_a_name_of_its_own() {
        let mut service = service(c"www.test", "https", &[]);
        let found = services(
            "www.test",
            0,
            vec![
                record(1, "", "h2"),
                record(2, "a.test", "h2"),
                record(3, "WWW.test", ""),
                record(4, "A.test", ""),
                record(5, "b.test", ""),
            ],
        );
        assert_eq!(targets(&service.found(&found)), [(1, 0), (2, 1), (3, 0), (4, 1), (5, 2)]);
        assert_eq!(service.targets().len(), 2);
        let binding = service.binding(BindingId(1)).unwrap();
        assert_eq!((&*binding.target, binding.alpn.len()), ("a.test", 2));
    }

    #[test]
    fn the_owner_of_a_service_at_another_port_is_not_the_host() {
        let mut service = service(c"www.test", "_8443._https", &[]);
        let found =
            service.found(&services("_8443._https.www.test", 0, vec![record(1, "", ""), record(2, "www.test", "")]));
        assert_eq!(targets(&found), [(1, 1), (2, 0)]);
    }

    #[test]
    fn aliases_that_end_without_records_lead_to_their_name() {
        let mut aliased = service(c"www.test", "https", &["h2"]);
        assert_eq!(targets(&aliased.found(&services("cdn.test", 1, Vec::new()))), [(0, 1)]);
        assert_eq!(aliased.binding(BindingId(0)).unwrap().target, "cdn.test");
        // Without an alias there is nothing, and with records of no use as well.
        assert_eq!(service(c"www.test", "https", &[]).found(&services("www.test", 0, Vec::new())), []);
        let useless = services("cdn.test", 1, vec![ServiceRecord { no_default_alpn: true, ..record(1, "", "h3") }]);
        assert_eq!(service(c"www.test", "https", &["h2"]).found(&useless), []);
    }

    #[test]
    fn hints_have_the_port_of_the_host() {
        let mut service = service(c"www.test", "https", &["http/1.1"]);
        let hints = vec!["192.0.2.1".parse().unwrap()];
        let record = ServiceRecord { port: Some(8443), ipv4_hints: hints, ..record(1, "", "h3") };
        let found = service.found(&services("www.test", 0, vec![record]));
        assert_eq!((found[0].port, &*found[0].hints), (Some(8443), &["192.0.2.1:443".parse().unwrap()][..]));
        assert_eq!(service.binding(BindingId(0)).unwrap().alpn, [b"http/1.1"]);
    }

    #[test]
    fn no_more_than_the_race_uses_are_kept() {
        let mut service = service(c"www.test", "https", &[]);
        let records = (1..=20).map(|number| record(number, &format!("t{number}.test"), "")).collect();
        assert_eq!(service.found(&services("www.test", 0, records)).len(), MOST_BINDINGS);
        assert_eq!(service.targets().len(), MOST_BINDINGS);
    }

    #[test]
    fn a_shuffle_loses_nothing_and_has_more_than_one_outcome() {
        let orders: std::collections::HashSet<Vec<u8>> = (0..100)
            .map(|_| {
                let mut items: Vec<u8> = (0..8).collect();
                shuffle(&mut items);
                items
            })
            .collect();
        assert!(orders.len() > 1);
        assert!(orders.iter().all(|order| (0..8).all(|item| order.contains(&item))));
    }
}
