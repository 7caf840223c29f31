//! The caller's own lookup function.

use std::any::Any;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

/// The shape of getaddrinfo(3), with the caller's userdata last. It answers 0 and a list, or an `EAI_*` code;
/// with `EAI_SYSTEM` it leaves errno. It runs on a worker thread, with all signals blocked; several calls may
/// run at once.
pub type LookupFunction = unsafe extern "C" fn(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    ret_res: *mut *mut libc::addrinfo,
    userdata: *mut c_void,
) -> c_int;

/// Frees a list that the lookup function gave.
pub type FreeFunction = unsafe extern "C" fn(list: *mut libc::addrinfo, userdata: *mut c_void);

/// The caller's stand-in for getaddrinfo(3).
pub struct LookupCallback {
    function: LookupFunction,
    free: Option<FreeFunction>,
    userdata: *mut c_void,
    /// What must live as long as the functions may be called: dropped with the callback.
    _keep: Arc<dyn Any + Send + Sync>,
}

// SAFETY: `new` demands that the functions may be called from any thread with the userdata.
unsafe impl Send for LookupCallback {}
// SAFETY: as above, and that they may be called at once.
unsafe impl Sync for LookupCallback {}

impl LookupCallback {
    /// `free` frees the lists that `function` gives; without it they are freed by freeaddrinfo(3). `keep` is
    /// dropped, on whatever thread drops the last reference, when no call runs or can come any more.
    ///
    /// # Safety
    /// Until `keep` is dropped, `function` and `free` may be called with `userdata` from any thread, several
    /// at once.
    pub unsafe fn new(
        function: LookupFunction,
        free: Option<FreeFunction>,
        userdata: *mut c_void,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Arc<LookupCallback> {
        Arc::new(LookupCallback { function, free, userdata, _keep: keep })
    }

    /// Calls the function.
    ///
    /// # Safety
    /// As getaddrinfo(3) demands of its arguments.
    pub(super) unsafe fn call(
        &self,
        node: *const c_char,
        service: *const c_char,
        hints: *const libc::addrinfo,
        ret_res: *mut *mut libc::addrinfo,
    ) -> c_int {
        // SAFETY: promised to `new` and by the caller.
        unsafe { (self.function)(node, service, hints, ret_res, self.userdata) }
    }

    pub(super) fn has_own_free(&self) -> bool {
        self.free.is_some()
    }

    pub(super) fn free(&self, list: *mut libc::addrinfo) {
        match self.free {
            // SAFETY: promised to `new`; the caller of this owns the list, which came from the lookup function.
            Some(free) => unsafe { free(list, self.userdata) },
            // SAFETY: without a free function the lists are libc's.
            None => unsafe { libc::freeaddrinfo(list) },
        }
    }
}
