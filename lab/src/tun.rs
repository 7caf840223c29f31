//! A TUN device: an interface whose packets a program reads and writes.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};

use requests::{set_interface, set_link};

mod requests {
    nix::ioctl_write_int!(set_interface, b'T', 202); // TUNSETIFF of <linux/if_tun.h>
    nix::ioctl_write_int!(set_link, b'T', 205); // TUNSETLINK
}

/// Opens a new TUN device called `name` in the network namespace of the calling thread.
///
/// Each read gives one IP packet that the kernel sends into the device, each write hands it one. Reads do not
/// block. The device goes when the file is closed.
pub fn open(name: &str) -> Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .context("cannot open /dev/net/tun, which needs a kernel with TUN devices and the right to use them")?;
    // SAFETY: an all-zero ifreq is valid: it is plain old data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len(), "interface name {name} is too long");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF takes a pointer to an ifreq, which lives across the call.
    unsafe { set_interface(file.as_raw_fd(), &raw const request as libc::c_ulong) }
        .context("cannot make a TUN device")?;
    let flags = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETFL)?;
    let flags = nix::fcntl::OFlag::from_bits_retain(flags) | nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(flags))?;
    Ok(file)
}

/// Has a device that is down pass for one of another type (`ARPHRD_*` of <linux/if_arp.h>).
pub fn set_device_type(device: &File, device_type: u32) -> Result<()> {
    // SAFETY: TUNSETLINK takes a number.
    unsafe { set_link(device.as_raw_fd(), libc::c_ulong::from(device_type)) }
        .with_context(|| format!("cannot make it a device of type {device_type}"))?;
    Ok(())
}
