//! Any bytes as host and service: numeric ones are answered as libc answers them, in both ways in, and a connect comes to one end.
//! No name is asked for, and no packet leaves.
#![no_main]
use happysock::capi::*;
use libfuzzer_sys::fuzz_target;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr::null_mut;

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

/// An answer of getaddrinfo(3), in a form that can be compared: the code, or what is in the list.
type Answer = Result<Vec<(c_int, c_int, c_int, Vec<u8>)>, c_int>;

/// # Safety
/// `list` is what a successful call gave; it is freed here.
unsafe fn answer(code: c_int, list: *mut libc::addrinfo) -> Answer {
    if code != 0 {
        assert!(list.is_null(), "the list was written with code {code}");
        return Err(code);
    }
    let mut entries = Vec::new();
    let mut entry = list;
    // SAFETY: the list is libc's or the library's and alive.
    while let Some(at) = unsafe { entry.as_ref() } {
        // SAFETY: an entry's address has the length that it says.
        let address = unsafe { std::slice::from_raw_parts(at.ai_addr.cast::<u8>(), at.ai_addrlen as usize) };
        entries.push((at.ai_family, at.ai_socktype, at.ai_protocol, address.to_vec()));
        entry = at.ai_next;
    }
    // SAFETY: promised by the caller.
    unsafe { libc::freeaddrinfo(list) };
    Ok(entries)
}

/// What the library refuses although libc may take it: see `Query::check`.
fn is_refused(host: Option<&CStr>, service: Option<&CStr>) -> bool {
    let blank = |text: &CStr| text.to_bytes().iter().any(|&byte| byte <= b' ' || byte == 0x7f);
    let port = |text: &CStr| {
        let text = text.to_bytes();
        let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        let number = || String::from_utf8_lossy(digits).parse::<u128>().unwrap_or(u128::MAX);
        digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() && (digits.len() != text.len() || number() > 65535)
            || digits.is_empty() && !text.is_empty()
    };
    host.is_some_and(|host| host.is_empty() || host.to_bytes().len() >= 1025 || blank(host))
        || service.is_some_and(|service| service.to_bytes().len() >= 32 || blank(service) || port(service))
}

fuzz_target!(|data: (Option<&[u8]>, Option<&[u8]>, u8)| {
    let (host, service, choice) = data;
    let text = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| CString::new(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).unwrap())
    };
    let (host, service) = (text(host), text(service));
    let (host, service) = (host.as_deref(), service.as_deref());
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let family = [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6][usize::from(choice) % 3];

    // SAFETY: strings end with a zero byte, hints are plain data, outputs are ours; handles are freed once.
    unsafe {
        let mut hints: libc::addrinfo = std::mem::zeroed();
        hints.ai_flags = libc::AI_NUMERICHOST | libc::AI_NUMERICSERV;
        hints.ai_family = family;
        hints.ai_socktype = if choice & 0x40 == 0 { libc::SOCK_STREAM } else { 0 };
        let mut list = null_mut();
        let code = libc::getaddrinfo(pointer(host), pointer(service), &hints, &mut list);
        let expected = answer(code, list);
        let mut list = null_mut();
        let code = rb_getaddrinfo_happy(pointer(host), pointer(service), &hints, &mut list, -1);
        let blocking = answer(code, list);
        if is_refused(host, service) {
            assert!(blocking.is_err(), "{host:?} {service:?}");
        } else {
            assert_eq!(blocking, expected, "{host:?} {service:?}");
        }

        let mut lookup = null_mut();
        assert_eq!(happy_lookup_new(pointer(host), pointer(service), &hints, -1, &mut lookup), HAPPY_OK);
        assert_eq!(happy_lookup_start(lookup), HAPPY_OK);
        assert_eq!(happy_lookup_wait(lookup), HAPPY_OK);
        let mut list = null_mut();
        let code = happy_lookup_take_result(lookup, &mut list);
        assert_eq!(answer(code, list), blocking, "{host:?} {service:?}");
        happy_lookup_unref(lookup);

        let mut options: happy_options = std::mem::zeroed();
        options.size = size_of::<happy_options>();
        (options.resolv_timeout_ms, options.connect_timeout_ms, options.open_timeout_ms) = (-1, -1, -1);
        options.first_address_family_count = 1;
        options.family = family;
        options.lookup = Some(no_such_name);
        options.configure_socket = Some(refuse);
        // The same texts as the local address, which has no lookup function: only what needs no lookup, or is refused.
        if choice & 0x80 != 0 && (expected.is_ok() || is_refused(host, service)) {
            (options.local_host, options.local_service) = (pointer(host), pointer(service));
        }
        let mut connect = null_mut();
        let status = happy_connect_new(pointer(host), pointer(service), &options, &mut connect, null_mut());
        if status != HAPPY_OK {
            assert_eq!(status, HAPPY_EINVALID);
            assert!(connect.is_null());
            return;
        }
        assert!(!is_refused(host, service), "{host:?} {service:?}");
        let mut result = happy_result { size: size_of::<happy_result>(), ..std::mem::zeroed() };
        assert_eq!(happy_connect_wait(connect), HAPPY_OK);
        // Every socket is refused, every name unknown: it cannot succeed, and nothing keeps it from ending.
        assert_eq!(happy_connect_take_result(connect, &mut result), -1);
        assert!(
            matches!(result.status, HAPPY_ESYSCALL | HAPPY_ERESOLVE),
            "{host:?} {service:?}: status {}",
            result.status
        );
        happy_connect_free(connect);
    }
});
