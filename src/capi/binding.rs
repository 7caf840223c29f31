//! What a service binding says, as bytes that C programs read.

use crate::drive::ServiceBinding;
use std::ffi::c_char;

/// What a binding says: one part behind the other in a caller's buffer.
pub(super) struct BindingBytes<'a> {
    /// With its zero byte.
    target: Vec<u8>,
    /// With commas between, as `alpn` of the options has them, and its zero byte.
    alpn: Vec<u8>,
    ech: &'a [u8],
}

/// Where the parts are; NULL: there is none, or no room for it.
pub(super) struct Places {
    pub target: *const c_char,
    pub alpn: *const c_char,
    pub ech: *const u8,
}

impl BindingBytes<'_> {
    pub fn of(binding: &ServiceBinding) -> BindingBytes<'_> {
        // What the options could not say either.
        let can_be_said = |id: &&[u8]| !id.iter().any(|byte| matches!(byte, b',' | 0));
        let ids: Vec<&[u8]> = binding.alpn.iter().map(Vec::as_slice).filter(can_be_said).collect();
        BindingBytes {
            target: [binding.target.as_bytes(), b"\0"].concat(),
            alpn: [&*ids.join(&b','), b"\0"].concat(),
            ech: binding.ech.as_deref().unwrap_or_default(),
        }
    }

    /// The length of all parts.
    pub fn length(&self) -> usize {
        self.target.len() + self.alpn.len() + self.ech.len()
    }

    /// Writes each part that fits as a whole into what is left of the buffer by then.
    ///
    /// # Safety
    /// `buffer` is NULL or can be written for `capacity` bytes.
    pub unsafe fn put(&self, buffer: *mut c_char, capacity: usize) -> Places {
        let mut left = if buffer.is_null() { 0 } else { capacity };
        let mut next = buffer.cast::<u8>();
        let mut put = |part: &[u8]| {
            if part.is_empty() || part.len() > left {
                return std::ptr::null();
            }
            let place = next;
            left -= part.len();
            // SAFETY: `left` bytes could be written from `next` on, and that was not below the part's length.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), place, part.len());
                next = place.add(part.len());
            }
            place.cast_const()
        };
        Places { target: put(&self.target).cast(), alpn: put(&self.alpn).cast(), ech: put(self.ech) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn binding(alpn: &[&[u8]], ech: Option<&[u8]>) -> ServiceBinding {
        let alpn = alpn.iter().map(|id| id.to_vec()).collect();
        ServiceBinding { priority: 1, target: "a.test".into(), port: None, alpn, ech: ech.map(<[u8]>::to_vec) }
    }

    /// The ids as a C program reads them.
    fn ids(alpn: &[&[u8]]) -> Vec<u8> {
        let binding = binding(alpn, None);
        let bytes = BindingBytes::of(&binding);
        let mut buffer = vec![0x55; bytes.length()];
        // SAFETY: the buffer has so many bytes, and outlives what is read of it; a text was put there.
        unsafe {
            let places = bytes.put(buffer.as_mut_ptr().cast(), buffer.len());
            CStr::from_ptr(places.alpn).to_bytes().to_vec()
        }
    }

    #[test]
    fn ids_are_those_that_the_options_can_say() {
        assert_eq!(ids(&[b"h2", b"http/1.1"]), b"h2,http/1.1");
        assert_eq!(ids(&[b"h,2", b"h2", b"\0", b"\xff\x01"]), b"h2,\xff\x01");
        assert_eq!(ids(&[b",", b"a\0b"]), b"");
        assert_eq!(ids(&[]), b"");
    }

    #[test]
    fn nothing_is_written_beyond_the_room() {
        let binding = binding(&[b"h2"], Some(b"ech"));
        let bytes = BindingBytes::of(&binding);
        assert_eq!(bytes.length(), b"a.test\0h2\0ech".len());
        for capacity in 0..=bytes.length() {
            let mut buffer = [0x55; 16];
            // SAFETY: the buffer has more bytes than that.
            let places = unsafe { bytes.put(buffer.as_mut_ptr().cast(), capacity) };
            assert!(buffer[capacity..].iter().all(|byte| *byte == 0x55), "{capacity}: {buffer:?}");
            // What did not fit leaves its room to what is smaller.
            assert_eq!(!places.target.is_null(), capacity >= 7);
            assert_eq!(!places.alpn.is_null(), (3..7).contains(&capacity) || capacity >= 10);
            assert_eq!(!places.ech.is_null(), capacity == 6 || capacity >= 13);
        }
    }

    #[test]
    fn without_a_buffer_nothing_is_written() {
        let binding = binding(&[b"h2"], None);
        // SAFETY: NULL.
        let places = unsafe { BindingBytes::of(&binding).put(std::ptr::null_mut(), 100) };
        assert!(places.target.is_null() && places.alpn.is_null() && places.ech.is_null());
    }
}
