//! The addresses that a name has.
use super::Family;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// An address without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub ip: IpAddr,
    /// The interface of an IPv6 address of link-local scope; otherwise 0.
    pub scope_id: u32,
}

impl Address {
    pub fn family(&self) -> Family {
        if self.ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub fn with_port(self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.scope_id).into(),
            ip => SocketAddr::new(ip, port),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Address {
        Address { ip, scope_id: 0 }
    }
}

/// Addresses in the order of their source, duplicates included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    pub list: Vec<Address>,
    /// For how many seconds they hold, if the source says so: the smallest time to live of the records that
    /// were used, which are the addresses and the CNAME records before them.
    pub ttl: Option<u32>,
}
