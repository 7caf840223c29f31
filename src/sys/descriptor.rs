//! A descriptor that is closed when it is dropped, in the child of a fork too.

use super::fork;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// As [`OwnedFd`], but for a child that lets go of what its parent has made. fork(2) copies the descriptors of a
/// process before its memory: one that another thread makes in between is in the memory of the child and not
/// among its descriptors, which `OwnedFd` takes for a mistake of the program's.
#[derive(Debug)]
pub(super) struct Descriptor {
    fd: ManuallyDrop<OwnedFd>,
    /// The process that has made it: [`fork::generation`].
    generation: u64,
}

impl Descriptor {
    /// For one that outlives the library's interest in it.
    pub fn into_owned(self) -> OwnedFd {
        let mut descriptor = ManuallyDrop::new(self);
        // SAFETY: it is taken once, since nothing of it is dropped after.
        unsafe { ManuallyDrop::take(&mut descriptor.fd) }
    }
}

impl FromRawFd for Descriptor {
    unsafe fn from_raw_fd(fd: RawFd) -> Descriptor {
        // SAFETY: the caller's promise is the same.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Descriptor { fd: ManuallyDrop::new(fd), generation: fork::generation() }
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            // SAFETY: nobody uses it after.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        } else {
            // SAFETY: takes no pointer; what the child has is its own copy. EBADF: it has none.
            unsafe { libc::close(self.fd.as_raw_fd()) };
        }
    }
}
