//! Any bytes as happy_options: accepted exactly when every field is, and then the connect comes to one end; refused without a trace
//! otherwise. No packet leaves: the hook fails each socket before it is connected.
#![no_main]
use happysock::capi::*;
use libfuzzer_sys::fuzz_target;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a string of the caller's may be: valid, absent or refused.
const STRINGS: [Option<&CStr>; 6] = [None, Some(c"127.0.0.1"), Some(c"::1"), Some(c"0"), Some(c""), Some(c"a b")];

/// What `nat64` may be.
const NAT64: [Option<&CStr>; 4] = [None, Some(c"discover"), Some(c"64:ff9b::/96,2001:db8::/32"), Some(c"64:ff9b::/95")];
/// The one that is refused.
const REFUSED: usize = 3;
/// What `service` and `alpn` may be together, and whether they are accepted where nothing else of the options forbids bindings.
const SERVICES: [(Option<&CStr>, Option<&CStr>, bool); 8] = [
    (None, None, true),
    (Some(c"https"), None, true),
    (Some(c"_8443._https"), Some(c"h2,http/1.1"), true),
    (Some(c"_foo"), Some(c"\xff,h2"), true),
    (Some(c"https://"), None, false),
    (Some(c"\xff"), Some(c"h2"), false),
    (Some(c"https"), Some(c"h2,,h3"), false),
    (None, Some(c"h2"), false),
];
/// The flags that there are.
const FLAGS: u32 = HAPPY_FLAG_NO_FAST_FALLBACK
    | HAPPY_FLAG_NONBLOCKING
    | HAPPY_FLAG_LOOKUP_BY_LIBC
    | HAPPY_FLAG_GROWING_DELAY
    | HAPPY_FLAG_SHARE_TIMEOUT
    | HAPPY_FLAG_ONLY_CONNECTED_FAMILIES;

static FREED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn no_such_name(
    _node: *const c_char,
    _service: *const c_char,
    _hints: *const libc::addrinfo,
    _list: *mut *mut libc::addrinfo,
    _userdata: *mut c_void,
) -> c_int {
    libc::EAI_NONAME
}

unsafe extern "C" fn refuse(
    _fd: c_int,
    _address: *const libc::sockaddr,
    _length: libc::socklen_t,
    _data: *mut c_void,
) -> c_int {
    libc::EACCES
}

unsafe extern "C" fn look(event: *const happy_trace_event, _userdata: *mut c_void) {
    // SAFETY: the event lives until this returns.
    assert_eq!(unsafe { (*event).size }, size_of::<happy_trace_event>());
}

unsafe extern "C" fn count(_userdata: *mut c_void) {
    FREED.fetch_add(1, Ordering::Relaxed);
}

/// Memory of exactly so many bytes, aligned as malloc(3) aligns it: the sanitizer sees every byte that is read beyond.
struct Given {
    start: *mut u8,
    length: usize,
}

impl Given {
    fn new(bytes: &[u8]) -> Given {
        let length = bytes.len().max(size_of::<usize>());
        // SAFETY: the length is not zero, and the memory is ours until drop.
        unsafe {
            let start = libc::calloc(1, length).cast::<u8>();
            assert!(!start.is_null());
            start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Given { start, length }
        }
    }

    /// Replaces a field, if the struct is long enough to have it.
    fn set<T>(&mut self, offset: usize, value: T) {
        if offset + size_of::<T>() <= self.length {
            // SAFETY: within the memory, as just checked.
            unsafe { self.start.add(offset).cast::<T>().write_unaligned(value) }
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: it came from calloc.
        unsafe { libc::free(self.start.cast()) }
    }
}

fn is_string_acceptable(choice: usize, is_host: bool) -> bool {
    STRINGS[choice].is_none_or(|text| !text.to_bytes().contains(&b' ') && !(is_host && text.is_empty()))
}

fuzz_target!(|data: (u8, u8, bool, bool, &[u8])| {
    let (host, service, own_lookup, trace, bytes) = data;
    let nat64 = usize::from(host) / STRINGS.len() % NAT64.len();
    let (bindings, alpn, are_bindings_acceptable) = SERVICES[usize::from(service) / STRINGS.len() % SERVICES.len()];
    let (host, service) = (usize::from(host) % STRINGS.len(), usize::from(service) % STRINGS.len());
    let mut given = Given::new(bytes);
    // Sizes that promise more than there is would break the caller's promise.
    // SAFETY: there is room for a size_t.
    let size = unsafe { given.start.cast::<usize>().read_unaligned() };
    let size = if size > given.length { given.length } else { size };
    given.set(0, size);
    // Pointers are the caller's to get right.
    let pointer = |choice: usize| STRINGS[choice].map_or(null(), CStr::as_ptr);
    given.set(offset_of!(happy_options, local_host), pointer(host));
    given.set(offset_of!(happy_options, local_service), pointer(service));
    given.set::<happy_lookup_fn>(offset_of!(happy_options, lookup), if own_lookup { Some(no_such_name) } else { None });
    given.set::<happy_lookup_free_fn>(offset_of!(happy_options, lookup_free), None);
    given.set::<happy_configure_socket_fn>(offset_of!(happy_options, configure_socket), Some(refuse));
    given.set::<happy_trace_fn>(offset_of!(happy_options, trace), if trace { Some(look) } else { None });
    given.set::<happy_userdata_free_fn>(offset_of!(happy_options, userdata_free), Some(count));
    given.set::<*const libc::addrinfo>(offset_of!(happy_options, addresses), null());
    given.set::<*const libc::sockaddr_in>(offset_of!(happy_options, local_v4), null());
    given.set::<*const libc::sockaddr_in6>(offset_of!(happy_options, local_v6), null());
    given.set::<*mut happy_history>(offset_of!(happy_options, history), null_mut());
    given.set::<happy_confirm_fn>(offset_of!(happy_options, confirm), None);
    given.set::<happy_release_socket_fn>(offset_of!(happy_options, release_socket), None);
    given.set(offset_of!(happy_options, nat64), NAT64[nat64].map_or(null(), CStr::as_ptr));
    given.set(offset_of!(happy_options, service), bindings.map_or(null(), CStr::as_ptr));
    given.set(offset_of!(happy_options, alpn), alpn.map_or(null(), CStr::as_ptr));

    let known = size_of::<happy_options>();
    let acceptable = (known..=4096).contains(&size) && {
        // SAFETY: the struct is within the memory, and any bytes are a value of its plain fields; the pointers were set above.
        let (options, tail) = unsafe {
            let tail = std::slice::from_raw_parts(given.start.add(known), size - known);
            (given.start.cast::<happy_options>().read_unaligned(), tail)
        };
        let limits = [options.resolv_timeout_ms, options.connect_timeout_ms, options.open_timeout_ms];
        tail.iter().all(|&byte| byte == 0)
            && [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6].contains(&options.family)
            && [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6].contains(&options.preferred_family)
            && options.flags & !FLAGS == 0
            && limits.iter().all(|&limit| limit >= -1)
            && (options.open_timeout_ms == -1 || (options.resolv_timeout_ms == -1 && options.connect_timeout_ms == -1))
            && options.resolution_delay_ms >= 0
            && options.connection_attempt_delay_ms >= 0
            && options.first_address_family_count >= 1
            && is_string_acceptable(host, true)
            && is_string_acceptable(service, false)
            && nat64 != REFUSED
            && are_bindings_acceptable
            // NULL, the first, is no NAT64.
            && (bindings.is_none() || (nat64 == 0 && options.flags & HAPPY_FLAG_NO_FAST_FALLBACK == 0))
    };

    FREED.store(0, Ordering::Relaxed);
    let untouched = 8 as *mut happy_connect;
    let mut connect = untouched;
    // SAFETY: the options are readable for their size, and all pointers in them are valid.
    let status = unsafe {
        happy_connect_new(c"127.0.0.1".as_ptr(), c"9".as_ptr(), given.start.cast::<happy_options>(), &mut connect, null_mut())
    };
    drop(given);
    if !acceptable {
        assert_eq!((status, connect), (HAPPY_EINVALID, untouched));
        assert_eq!(FREED.load(Ordering::Relaxed), 0, "userdata was freed although the options were refused");
        // SAFETY: the text is static until the next failure.
        assert!(!unsafe { CStr::from_ptr(happy_error_message()) }.is_empty());
        return;
    }
    assert_eq!(status, HAPPY_OK);
    // SAFETY: the handle is alive until it is freed; the result is as large as it says.
    unsafe {
        let mut result = happy_result { size: size_of::<happy_result>(), ..std::mem::zeroed() };
        happy_connect_dispatch(connect);
        happy_connect_get_timeout_ms(connect);
        happy_connect_cancel(connect);
        happy_connect_wait(connect);
        assert_eq!(happy_connect_take_result(connect, &mut result), -1);
        assert!(
            matches!(result.status, HAPPY_ECANCELLED | HAPPY_ESYSCALL | HAPPY_ETIMEOUT | HAPPY_ERESOLVE),
            "status {}",
            result.status
        );
        assert_eq!(happy_connect_take_result(connect, null_mut()), -1);
        happy_connect_free(connect);
    }
    // A lookup on a worker may hold it for a moment longer.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while FREED.load(Ordering::Relaxed) == 0 && std::time::Instant::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(FREED.load(Ordering::Relaxed), 1, "userdata is freed once");
});
