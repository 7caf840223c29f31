//! Descriptors of the library's own.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A descriptor that is closed when it is dropped.
///
/// The child of a fork may not have it, although its memory says so: the kernel copies the table of
/// descriptors before it copies the memory (copy_process() in kernel/fork.c), and a thread of the parent's may
/// have opened one between the two. An [`OwnedFd`] would end the process over that, where std checks such
/// things. There is nothing to close then, or what the parent had just closed under the same number.
#[derive(Debug)]
pub(crate) struct Descriptor(ManuallyDrop<OwnedFd>);

impl FromRawFd for Descriptor {
    unsafe fn from_raw_fd(fd: RawFd) -> Descriptor {
        // SAFETY: promised by the caller.
        Descriptor(ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl From<Descriptor> for OwnedFd {
    fn from(descriptor: Descriptor) -> OwnedFd {
        let mut descriptor = ManuallyDrop::new(descriptor);
        // SAFETY: it is not looked at again, and not dropped.
        unsafe { ManuallyDrop::take(&mut descriptor.0) }
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: close(2) takes no pointers, and the descriptor is this value's own.
        unsafe { libc::close(self.0.as_raw_fd()) };
    }
}
