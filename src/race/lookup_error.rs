//! Why a lookup failed, and which of two failures tells more.
//!
//! Both families are asked, both may fail, and only one error can be reported. The `EAI_*` numbers differ
//! between systems, so they come from libc's header; nothing else of libc is used in this room.

/// glibc's `EAI_ADDRFAMILY` (`<netdb.h>`), which the libc crate does not name on Linux: the name has
/// addresses, none of this family.
const EAI_ADDRFAMILY: i32 = -9;

/// Why a lookup failed: the `EAI_*` code and, for `EAI_SYSTEM`, the errno that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupError {
    /// The `EAI_*` code, never 0.
    pub gai_error: i32,
    /// With `EAI_SYSTEM` the errno, else 0.
    pub sys_errno: i32,
}

impl LookupError {
    /// What an empty answer counts as: the name exists and has no address (`EAI_NODATA`, -5 in glibc's
    /// `<netdb.h>`).
    pub const NO_DATA: LookupError = LookupError { gai_error: libc::EAI_NODATA, sys_errno: 0 };

    /// `EAI_SYSTEM` with an errno.
    pub const fn system(sys_errno: i32) -> LookupError {
        LookupError { gai_error: libc::EAI_SYSTEM, sys_errno }
    }

    /// How much the error says about what to repair; the higher, the more telling.
    ///
    /// "No such name" says least, because the other family's answer shows whether it is true; a temporary or
    /// permanent failure of the name server comes next, since the name may well exist; an error of the caller
    /// (unknown service, bad flags) is certain; want of memory and a failed system call concern this machine
    /// and come first.
    fn weight(self) -> u8 {
        match self.gai_error {
            libc::EAI_NONAME => 0,
            libc::EAI_NODATA | EAI_ADDRFAMILY => 1,
            libc::EAI_AGAIN | libc::EAI_FAIL => 2,
            libc::EAI_MEMORY => 4,
            libc::EAI_SYSTEM => 5,
            _ => 3,
        }
    }

    /// The more telling of two errors; `self` if they are equal, so the one that came first is kept.
    pub fn or_more_telling(self, later: LookupError) -> LookupError {
        if later.weight() > self.weight() { later } else { self }
    }
}
