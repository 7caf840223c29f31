//! The addresses of one family of a host, as NSS gives them: what getaddrinfo(3) does without its last step,
//! the sorting.
//!
//! A race sorts the merged list of both families itself (RFC 6724), so libc's sorting of each is lost work.
//! It is also the step that costs most and harms most. For two or more addresses glibc asks the kernel for
//! all its interfaces (a netlink dump), under a lock that its fork does not put in order: a child that is
//! forked while any thread is in there can never again look up a name with two addresses (sysdeps/unix/sysv/
//! linux/check_pf.c; with 50 lookups of 20 ms each running, 4 to 15 of 100 forks ended so with glibc 2.36).
//! This way is free of that lock, in the parent and in the child.

use crate::sys::clear_errno;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// The codes of h_errno (netdb.h).
const NETDB_INTERNAL: c_int = -1;
const HOST_NOT_FOUND: c_int = 1;
const TRY_AGAIN: c_int = 2;
const NO_RECOVERY: c_int = 3;

/// As much as a host with a thousand addresses and long aliases needs; a larger answer is no use to anybody.
const LARGEST_BUFFER: usize = 1 << 20;

unsafe extern "C" {
    /// gethostbyname2_r(3), a GNU extension.
    fn gethostbyname2_r(
        name: *const c_char,
        family: c_int,
        host: *mut libc::hostent,
        buffer: *mut c_char,
        length: usize,
        result: *mut *mut libc::hostent,
        host_error: *mut c_int,
    ) -> c_int;
}

/// Why NSS gave no address.
pub(super) struct Failure {
    host_error: c_int,
    pub(super) errno: i32,
}

impl Failure {
    /// The `EAI_*` code that getaddrinfo(3) makes of it; with `EAI_SYSTEM` the errno counts too. It never
    /// says EAI_FAIL there: what a server answers that is of no use (a CNAME to a name without records, a
    /// record that is cut short) it takes for EAI_NODATA where IPv4 is asked for, and for EAI_NONAME
    /// where IPv6 is (seen with glibc 2.36).
    pub(super) fn gai_error(&self, family: c_int) -> c_int {
        match self.host_error {
            NETDB_INTERNAL => libc::EAI_SYSTEM,
            TRY_AGAIN => libc::EAI_AGAIN,
            NO_RECOVERY if family == libc::AF_INET6 => libc::EAI_NONAME,
            HOST_NOT_FOUND => libc::EAI_NONAME,
            _ => libc::EAI_NODATA,
        }
    }
}

/// Asks NSS for the addresses of one family (`AF_INET6` or `AF_INET`).
pub(super) fn ask(node: &CStr, family: c_int) -> Result<Vec<IpAddr>, Failure> {
    // SAFETY: all zeros is a valid hostent: null pointers and integers.
    let mut host: libc::hostent = unsafe { std::mem::zeroed() };
    let mut result = std::ptr::null_mut();
    let mut host_error = 0;
    // Pointers are laid out in it, so it has their alignment. This size holds some thirty addresses.
    let mut buffer = vec![std::ptr::null_mut::<c_void>(); 128];
    loop {
        clear_errno();
        // SAFETY: the name is a C string; the buffer has the length that is said; all that is written outlives the
        // call.
        let outcome = unsafe {
            gethostbyname2_r(
                node.as_ptr(),
                family,
                &mut host,
                buffer.as_mut_ptr().cast(),
                size_of_val(&*buffer),
                &mut result,
                &mut host_error,
            )
        };
        if outcome != libc::ERANGE || host_error != NETDB_INTERNAL {
            break;
        }
        if size_of_val(&*buffer) >= LARGEST_BUFFER {
            return Err(Failure { host_error: NETDB_INTERNAL, errno: libc::ENOMEM });
        }
        buffer.resize(buffer.len() * 4, std::ptr::null_mut());
    }
    if result.is_null() {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(Failure { host_error, errno });
    }
    let mut addresses = Vec::new();
    let mut place = host.h_addr_list;
    // SAFETY: on success the list of addresses is terminated by a null pointer, and each has the length of its
    // family's address; all lie in the buffer.
    unsafe {
        while let Some(address) = (*place).cast::<u8>().as_ref() {
            addresses.push(match host.h_addrtype {
                libc::AF_INET => Ipv4Addr::from((&raw const *address).cast::<[u8; 4]>().read()).into(),
                _ => Ipv6Addr::from((&raw const *address).cast::<[u8; 16]>().read()).into(),
            });
            place = place.add(1);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What getaddrinfo(3) answers where gethostbyname2_r(3) says this, for IPv4 and for IPv6.
    #[test]
    fn errors_are_those_of_getaddrinfo() {
        for (host_error, v4, v6) in [
            (HOST_NOT_FOUND, libc::EAI_NONAME, libc::EAI_NONAME),
            (TRY_AGAIN, libc::EAI_AGAIN, libc::EAI_AGAIN),
            (NO_RECOVERY, libc::EAI_NODATA, libc::EAI_NONAME),
            (4, libc::EAI_NODATA, libc::EAI_NODATA),
        ] {
            let failure = Failure { host_error, errno: 0 };
            assert_eq!(failure.gai_error(libc::AF_INET), v4, "{host_error}");
            assert_eq!(failure.gai_error(libc::AF_INET6), v6, "{host_error}");
        }
    }
}
