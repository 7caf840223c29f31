//! What this process is and runs on: its libc, its environment, the machine's name.

use std::ffi::{CStr, c_char, c_void};

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The version of glibc: gnu_get_libc_version(3).
pub fn glibc_version() -> Option<(u32, u32)> {
    // SAFETY: answers a static string.
    let text = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_str().ok()?;
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// Shows `see` each variable of the environment that begins so, "NAME=value". As getenv(3), and as whoever
/// calls that, it must not meet a setenv(3) of another thread. It takes no lock, since the child of a fork
/// may have inherited that locked.
pub fn environment(beginnings: &[&[u8]], mut see: impl FnMut(&[u8])) {
    // SAFETY: the list ends with a null pointer and its strings with a zero byte; nobody changes it meanwhile, as
    // said above.
    unsafe {
        let mut place = environ;
        while !place.is_null() && !(*place).is_null() {
            let variable = *place;
            // Nearly all begin otherwise, and are not read to their end: none of these bytes is zero.
            let begins_with = |beginning: &&[u8]| {
                (0..beginning.len()).all(|at| beginning[at] == variable.cast::<u8>().add(at).read())
            };
            if beginnings.iter().any(begins_with) {
                see(CStr::from_ptr(variable).to_bytes());
            }
            place = place.add(1);
        }
    }
}

/// Whether the process has more rights than its user, so that its environment is not to be trusted:
/// getauxval(3), `AT_SECURE`.
pub fn is_secure() -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The machine's name, uname(2).
pub fn node_name() -> Vec<u8> {
    // SAFETY: all zeros is a value of utsname; uname fills it with strings that end with a zero byte.
    unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        if libc::uname(&mut name) != 0 {
            return Vec::new();
        }
        CStr::from_ptr(name.nodename.as_ptr()).to_bytes().to_vec()
    }
}

/// The index of a network interface, if_nametoindex(3).
pub fn interface_index(name: &[u8]) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a C string that outlives the call.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|&index| index != 0)
}

/// Whether one of the functions that look names up is not libc's own: something that was loaded or linked
/// before libc has put its own in the place (proxychains, torsocks, nss_wrapper, a test's). The library
/// `preload/` of this project is none of those: it looks names up as this one does, and says what comes
/// after it.
pub fn has_foreign_lookup() -> bool {
    // This code is position-independent, so this is the address that calls go to.
    let libc_itself = object_of(libc::gnu_get_libc_version as *const c_void);
    let found = |name: &CStr| {
        // SAFETY: a handle that is always there, and a C string.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.cast_const()
    };
    let after_preload = found(c"happysock_preload_next_getaddrinfo");
    let getaddrinfo = if after_preload.is_null() {
        libc::getaddrinfo as *const c_void
    } else {
        // SAFETY: the function of that name is of this type, preload/next.c.
        unsafe { std::mem::transmute::<*const c_void, extern "C" fn() -> *const c_void>(after_preload)() }
    };
    // Where it is linked statically there is no other, and nothing is found.
    let foreign = |function: *const c_void| !function.is_null() && object_of(function) != libc_itself;
    foreign(getaddrinfo) || foreign(found(c"gethostbyname2_r"))
}

/// Where the object begins that holds a function: dladdr(3). None in a program that is linked statically,
/// where there is one object.
fn object_of(function: *const c_void) -> Option<usize> {
    // SAFETY: all zeros is a value of Dl_info; dladdr fills it or answers 0.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        (libc::dladdr(function, &mut info) != 0).then_some(info.dli_fbase as usize)
    }
}
