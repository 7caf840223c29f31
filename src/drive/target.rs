//! Where a Rust program connects to.

use super::plan::{Argument, Invalid, Options, Plan, PlanError};
use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Where to connect to: a host, by name or by address, and a port.
///
/// Made from what [`std::net::TcpStream::connect`] takes: `("example.org", 443)`, `"example.org:443"`,
/// `(Ipv6Addr::LOCALHOST, 443)`, a [`SocketAddr`]; and from `("example.org", "https")`. What is wrong with it
/// is told by the function that takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    host: Cow<'a, str>,
    /// None: the port was missing in "host:port".
    service: Option<Cow<'a, str>>,
}

impl Target<'_> {
    /// A checked connect to it.
    pub(super) fn plan(&self, options: &Options<'_>) -> Result<Plan, PlanError> {
        let text = |argument, text: &str| {
            CString::new(text).map_err(|_| PlanError::invalid(argument, c"contains a zero byte"))
        };
        let Some(service) = &self.service else {
            let reason: &CStr = c"is not of the form host:port";
            return Err(PlanError::Invalid(Invalid { argument: Argument::RemoteHost, gai_error: 0, reason }));
        };
        let (host, service) = (text(Argument::RemoteHost, &self.host)?, text(Argument::RemoteService, service)?);
        Plan::new(Some(&host), Some(&service), options)
    }
}

fn digits(port: u16) -> Option<Cow<'static, str>> {
    Some(Cow::Owned(port.to_string()))
}

impl<'a> From<(&'a str, u16)> for Target<'a> {
    fn from((host, port): (&'a str, u16)) -> Self {
        Target { host: Cow::Borrowed(host), service: digits(port) }
    }
}

impl From<(String, u16)> for Target<'static> {
    fn from((host, port): (String, u16)) -> Self {
        Target { host: Cow::Owned(host), service: digits(port) }
    }
}

/// The name of a service, as getaddrinfo(3) takes it.
impl<'a> From<(&'a str, &'a str)> for Target<'a> {
    fn from((host, service): (&'a str, &'a str)) -> Self {
        Target { host: Cow::Borrowed(host), service: Some(Cow::Borrowed(service)) }
    }
}

impl From<(IpAddr, u16)> for Target<'static> {
    fn from((address, port): (IpAddr, u16)) -> Self {
        Target { host: Cow::Owned(address.to_string()), service: digits(port) }
    }
}

impl From<(Ipv4Addr, u16)> for Target<'static> {
    fn from((address, port): (Ipv4Addr, u16)) -> Self {
        Target::from((IpAddr::from(address), port))
    }
}

impl From<(Ipv6Addr, u16)> for Target<'static> {
    fn from((address, port): (Ipv6Addr, u16)) -> Self {
        Target::from((IpAddr::from(address), port))
    }
}

/// The scope is kept, the flow information is not.
impl From<SocketAddr> for Target<'static> {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                Target::from((format!("{}%{}", v6.ip(), v6.scope_id()), v6.port()))
            }
            _ => Target::from((address.ip(), address.port())),
        }
    }
}

impl From<SocketAddrV4> for Target<'static> {
    fn from(address: SocketAddrV4) -> Self {
        Target::from(SocketAddr::from(address))
    }
}

impl From<SocketAddrV6> for Target<'static> {
    fn from(address: SocketAddrV6) -> Self {
        Target::from(SocketAddr::from(address))
    }
}

/// "host:port", where an IPv6 address may stand in brackets.
impl<'a> From<&'a str> for Target<'a> {
    fn from(text: &'a str) -> Self {
        match text.rsplit_once(':') {
            Some((host, service)) => {
                let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
                Target { host: Cow::Borrowed(bare), service: Some(Cow::Borrowed(service)) }
            }
            None => Target { host: Cow::Borrowed(text), service: None },
        }
    }
}

impl<'a> From<&'a String> for Target<'a> {
    fn from(text: &'a String) -> Self {
        Target::from(text.as_str())
    }
}
