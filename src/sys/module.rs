//! The object (executable or shared library) that this code was linked into.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

/// Keeps the object that this code is in from being unloaded, from the first call on: a worker may be inside
/// libc, or idle, when the program calls dlclose(3), and comes back into this code. The shared library is
/// linked so that it stays (`-z nodelete`); the archive may be in a plugin of the caller's, which is not.
pub(crate) fn pin() {
    static PINNED: AtomicBool = AtomicBool::new(false);
    if PINNED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    let here = pin as fn() as *const c_void;
    // SAFETY: the address is one of ours, and what is found is written to a place of ours, and read only
    // where it was written. The name belongs to the loader and lives as long as the object. RTLD_NOLOAD loads
    // nothing: it finds what is there, and RTLD_NODELETE stays with it when the handle, which is dropped here
    // on purpose, counts no more. The main program is not found under its name; it is never unloaded.
    unsafe {
        if libc::dladdr(here, found.as_mut_ptr()) != 0 && !found.assume_init_ref().dli_fname.is_null() {
            libc::dlopen(found.assume_init_ref().dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}
