//! What is this host itself.
use std::net::IpAddr;

/// Whether an address is this host's loopback: `::1`, 127.0.0.0/8 (RFC 6890, section 2.2), and the latter as
/// IPv4-mapped IPv6.
pub fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    }
}
