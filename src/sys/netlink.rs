//! What the kernel tells of this system's addresses and interfaces: rtnetlink(7).

use super::check;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One address of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// `IFA_ADDRESS`: of an interface from point to point that is the address of the other end.
    pub address: IpAddr,
    /// Bits of its subnet.
    pub prefix_length: u8,
    /// The low eight of the `IFA_F_*`.
    pub flags: u8,
    /// The number of its interface.
    pub interface: u32,
}

/// The kernel sends no more in one datagram to whoever has not shown a larger buffer (`NLMSG_GOODSIZE`).
const BUFFER: usize = 8192;
/// The header of every message: length, type, flags, number of the request, port.
const MESSAGE_HEADER: usize = size_of::<libc::nlmsghdr>();
/// `struct ifaddrmsg` of linux/if_addr.h: family, prefix length, flags, scope, and the interface's number.
const ADDRESS_HEADER: usize = 8;
/// The header of an attribute: length and type.
const ATTRIBUTE_HEADER: usize = 4;
/// `struct ifinfomsg` of linux/rtnetlink.h: family, type of the device, its number, flags, what has changed.
const LINK_HEADER: usize = 16;

/// A socket to ask on. The answers to a question are all read before the next is asked, and nothing here
/// blocks: the kernel answers within the call that asks.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    /// The number of the latest request.
    sequence: u32,
}

impl Netlink {
    /// socket(2), for `NETLINK_ROUTE` in the network namespace of the calling thread; close-on-exec.
    pub fn open() -> io::Result<Netlink> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Netlink { socket: unsafe { OwnedFd::from_raw_fd(fd) }, sequence: 0 })
    }

    /// Every address of every interface, in the kernel's order.
    pub fn addresses(&mut self) -> io::Result<Vec<InterfaceAddress>> {
        // An empty ifaddrmsg: of every family.
        self.request(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; ADDRESS_HEADER])?;
        let mut addresses = Vec::new();
        self.answers(libc::RTM_NEWADDR, true, |body| addresses.extend(address(body)))?;
        Ok(addresses)
    }

    /// The type of an interface's device (`ARPHRD_*` of linux/if_arp.h).
    pub fn device_type(&mut self, interface: u32) -> io::Result<u16> {
        let mut body = [0; LINK_HEADER];
        body[4..8].copy_from_slice(&interface.to_ne_bytes());
        self.request(libc::RTM_GETLINK, 0, &body)?;
        let mut device_type = None;
        self.answers(libc::RTM_NEWLINK, false, |body| device_type = u16_at(body, 2))?;
        device_type.ok_or_else(malformed)
    }

    /// send(2): a socket that is connected to nobody sends to the kernel.
    fn request(&mut self, kind: u16, flags: libc::c_int, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let mut message = Vec::with_capacity(MESSAGE_HEADER + body.len());
        message.extend(((MESSAGE_HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        // SAFETY: the message and its length belong together and outlive the call.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        if sent == message.len() as isize { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Hands the body of each answer of type `wanted` to `take`, up to the end of a dump or else the first.
    fn answers(&mut self, wanted: u16, dump: bool, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [const { MaybeUninit::uninit() }; BUFFER];
        loop {
            let Some(mut rest) = self.receive(&mut buffer)? else { continue };
            while !rest.is_empty() {
                let length = u32_at(rest, 0).ok_or_else(malformed)? as usize;
                let (Some(kind), Some(sequence)) = (u16_at(rest, 4), u32_at(rest, 8)) else { return Err(malformed()) };
                let body = rest.get(MESSAGE_HEADER..length).ok_or_else(malformed)?;
                if sequence == self.sequence {
                    match libc::c_int::from(kind) {
                        libc::NLMSG_DONE => return Ok(()),
                        libc::NLMSG_ERROR => {
                            let errno = u32_at(body, 0).ok_or_else(malformed)? as i32;
                            return Err(io::Error::from_raw_os_error(errno.wrapping_neg()));
                        }
                        _ if kind == wanted => take(body),
                        _ => {}
                    }
                    if !dump {
                        return Ok(());
                    }
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    /// One datagram; None if it is not from the kernel.
    fn receive<'a>(&self, buffer: &'a mut [MaybeUninit<u8>; BUFFER]) -> io::Result<Option<&'a [u8]>> {
        // SAFETY: sockaddr_nl is plain data for which all zeros is a value.
        let mut from: libc::sockaddr_nl = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the buffer and the address are ours, have the lengths that are said and outlive the call.
        // With MSG_TRUNC the answer is the datagram's full length.
        let received = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                BUFFER,
                libc::MSG_TRUNC,
                (&raw mut from).cast(),
                &raw mut length,
            )
        };
        if received < 0 {
            return Err(io::Error::last_os_error());
        }
        let received = buffer.get(..received as usize).ok_or_else(malformed)?;
        // SAFETY: so many bytes were received, into the buffer's beginning, and bytes lie there as a slice of them
        // does.
        let datagram = unsafe { std::slice::from_raw_parts(received.as_ptr().cast(), received.len()) };
        Ok(Some(datagram).filter(|_| from.nl_pid == 0))
    }
}

/// Reads a `RTM_NEWADDR`; None for other families than IPv4 and IPv6.
fn address(body: &[u8]) -> Option<InterfaceAddress> {
    let family = libc::c_int::from(*body.first()?);
    let (prefix_length, flags, interface) = (*body.get(1)?, *body.get(2)?, u32_at(body, 4)?);
    let mut attributes = body.get(ADDRESS_HEADER..)?;
    let mut local = None;
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length);
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        let read = || match family {
            libc::AF_INET => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
            libc::AF_INET6 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
            _ => None,
        };
        match kind {
            libc::IFA_ADDRESS => {
                return Some(InterfaceAddress { address: read()?, prefix_length, flags, interface });
            }
            libc::IFA_LOCAL => local = read(),
            _ => {}
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    local.map(|address| InterfaceAddress { address, prefix_length, flags, interface })
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(place..place + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(place..place + 4)?.try_into().ok()?))
}

/// What the kernel does not send.
fn malformed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADMSG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loopback device is in every network namespace, with the number 1.
    #[test]
    fn the_loopback_device_is_one() {
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(netlink.device_type(1).unwrap(), libc::ARPHRD_LOOPBACK);
        assert_eq!(netlink.device_type(u32::MAX >> 1).unwrap_err().raw_os_error(), Some(libc::ENODEV));
        // One question does not spoil the next.
        let addresses = netlink.addresses().unwrap();
        assert_eq!(netlink.addresses().unwrap(), addresses);
        for address in addresses.iter().filter(|address| address.address.is_loopback()) {
            assert_eq!(address.interface, 1);
            assert_eq!(address.prefix_length, if address.address.is_ipv6() { 128 } else { 8 });
        }
    }

    fn message(family: libc::c_int, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![family as u8, 24, 0x20, 0];
        body.extend(7u32.to_ne_bytes());
        for (kind, value) in attributes {
            body.extend(((ATTRIBUTE_HEADER + value.len()) as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body
    }

    #[test]
    fn the_address_is_ifa_address_or_else_ifa_local() {
        let (own, peer) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        let expected = |address: [u8; 4]| {
            Some(InterfaceAddress { address: address.into(), prefix_length: 24, flags: 0x20, interface: 7 })
        };
        let name = b"dummy0\0";
        let v4 = |attributes: &[(u16, &[u8])]| address(&message(libc::AF_INET, attributes));
        assert_eq!(v4(&[(libc::IFA_ADDRESS, &peer), (libc::IFA_LOCAL, &own)]), expected(peer));
        assert_eq!(v4(&[(libc::IFA_LABEL, name), (libc::IFA_LOCAL, &own)]), expected(own));
        assert_eq!(v4(&[(libc::IFA_LOCAL, &own), (libc::IFA_ADDRESS, &peer)]), expected(peer));
        assert_eq!(v4(&[]), None);
        assert_eq!(v4(&[(libc::IFA_ADDRESS, &[0; 16])]), None);
        assert_eq!(address(&message(libc::AF_INET6, &[(libc::IFA_ADDRESS, &[0; 4])])), None);
        assert_eq!(address(&message(libc::AF_PACKET, &[(libc::IFA_ADDRESS, &own)])), None);
    }

    #[test]
    fn what_is_cut_short_is_no_address() {
        let whole = message(libc::AF_INET, &[(libc::IFA_ADDRESS, &[192, 0, 2, 1])]);
        for length in 0..whole.len() {
            assert_eq!(address(&whole[..length]), None, "{length} bytes");
        }
        assert!(address(&whole).is_some());
        // A length of its own that is no length.
        let mut odd = whole.clone();
        odd[ADDRESS_HEADER..ADDRESS_HEADER + 2].copy_from_slice(&2u16.to_ne_bytes());
        assert_eq!(address(&odd), None);
    }
}
