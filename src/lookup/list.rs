//! Address lists as libc makes them.

use super::callback::LookupCallback;
use crate::race::LookupError;
use crate::sys::address::{RawAddress, socket_address};
use std::net::SocketAddr;
use std::ptr::NonNull;
use std::sync::Arc;

/// An owned `addrinfo` list: freed once, by freeaddrinfo(3) or by the free function of the callback that made
/// it.
pub struct AddressList {
    /// `None`: a lookup callback that found nothing and called it success.
    head: Option<NonNull<libc::addrinfo>>,
    /// The callback whose list it is; `None`: libc's.
    maker: Option<Arc<LookupCallback>>,
}

// SAFETY: the list is plain memory that nobody else refers to; freeaddrinfo(3) is MT-Safe, and a lookup
// callback promises that its free function may be called from any thread.
unsafe impl Send for AddressList {}
// SAFETY: through a shared reference it is only read.
unsafe impl Sync for AddressList {}

impl std::fmt::Debug for AddressList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl AddressList {
    /// # Safety
    /// `head` is null or a list that getaddrinfo(3) made, or that `maker` made, and nobody else uses it.
    pub(super) unsafe fn from_raw(head: *mut libc::addrinfo, maker: Option<Arc<LookupCallback>>) -> AddressList {
        AddressList { head: NonNull::new(head), maker }
    }

    /// The addresses in the order of the list, ports included. What is neither `AF_INET` nor `AF_INET6` is
    /// skipped.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        // SAFETY: a node says how many bytes of an address stand behind its pointer.
        self.nodes().filter_map(|node| unsafe { socket_address(node.ai_addr, node.ai_addrlen) })
    }

    /// Writes `ai_flags` of every node, as getaddrinfo(3) gives those of its hints.
    pub(super) fn set_flags(&mut self, flags: i32) {
        let mut next = self.head;
        while let Some(mut node) = next {
            // SAFETY: the nodes live until `self` is dropped, and `self` is borrowed by nobody else.
            let node = unsafe { node.as_mut() };
            node.ai_flags = flags;
            next = NonNull::new(node.ai_next);
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &libc::addrinfo> {
        // SAFETY: the nodes live until `self` is dropped and nobody writes to them.
        let follow = |node: *const libc::addrinfo| unsafe { node.as_ref() };
        let head = self.head.map_or(std::ptr::null(), |head| head.as_ptr().cast_const());
        std::iter::successors(follow(head), move |node| follow(node.ai_next))
    }

    /// A copy that freeaddrinfo(3) frees.
    ///
    /// # Errors
    /// `EAI_MEMORY`.
    pub(super) fn copy(&self) -> Result<AddressList, LookupError> {
        let mut copied = ListBuilder::new();
        for node in self.nodes() {
            let length = if node.ai_addr.is_null() { 0 } else { node.ai_addrlen as usize };
            // SAFETY: the node says that so many bytes of an address are there, and its name is null or a C string.
            unsafe { copied.push(node, node.ai_addr.cast(), length)? };
        }
        Ok(copied.finish())
    }

    /// Gives the list away: the caller frees it with freeaddrinfo(3). A list with a free function of its own
    /// is copied into one that freeaddrinfo(3) frees; null if it is empty.
    ///
    /// # Errors
    /// `EAI_MEMORY` if the copy found no memory.
    pub fn into_raw(mut self) -> Result<*mut libc::addrinfo, LookupError> {
        if self.maker.as_ref().is_some_and(|maker| maker.has_own_free()) {
            return self.copy()?.into_raw();
        }
        Ok(self.head.take().map_or(std::ptr::null_mut(), NonNull::as_ptr))
    }
}

impl Drop for AddressList {
    fn drop(&mut self) {
        if let Some(head) = self.head.take() {
            match &self.maker {
                Some(maker) => maker.free(head.as_ptr()),
                // SAFETY: the list came from getaddrinfo(3) and has one owner.
                None => unsafe { libc::freeaddrinfo(head.as_ptr()) },
            }
        }
    }
}

/// Makes a list that freeaddrinfo(3) frees. glibc frees the canonical name and the node, with the address in
/// the same block as the node (sysdeps/posix/getaddrinfo.c, freeaddrinfo), so that is how it is made.
pub(super) struct ListBuilder {
    list: AddressList,
    last: *mut libc::addrinfo,
}

impl ListBuilder {
    pub(super) fn new() -> ListBuilder {
        ListBuilder { list: AddressList { head: None, maker: None }, last: std::ptr::null_mut() }
    }

    /// Appends a copy of a node with its name and the address beside it.
    ///
    /// # Safety
    /// `address` points to `length` bytes, or is not used where that is 0; the node's name is null or a C
    /// string.
    unsafe fn push(&mut self, node: &libc::addrinfo, address: *const u8, length: usize) -> Result<(), LookupError> {
        // SAFETY: the block is large enough for a node and the address behind it, and is written before it is read;
        // `last` is null or the last node of the list; freeaddrinfo(3) frees what malloc and strdup gave.
        unsafe {
            let block = libc::malloc(size_of::<libc::addrinfo>() + length).cast::<libc::addrinfo>();
            let name = if node.ai_canonname.is_null() { std::ptr::null_mut() } else { libc::strdup(node.ai_canonname) };
            if block.is_null() || (name.is_null() && !node.ai_canonname.is_null()) {
                libc::free(block.cast());
                libc::free(name.cast());
                return Err(LookupError { gai_error: libc::EAI_MEMORY, sys_errno: libc::ENOMEM });
            }
            let place = if length == 0 { std::ptr::null_mut() } else { block.add(1).cast::<u8>() };
            if length != 0 {
                std::ptr::copy_nonoverlapping(address, place, length);
            }
            block.write(libc::addrinfo {
                ai_addr: place.cast(),
                ai_addrlen: length as libc::socklen_t,
                ai_canonname: name,
                ai_next: std::ptr::null_mut(),
                ..*node
            });
            match self.last.as_mut() {
                None => self.list.head = NonNull::new(block),
                Some(last) => last.ai_next = block,
            }
            self.last = block;
        }
        Ok(())
    }

    /// Appends, for an address, a node for each of a list's, with the list's port and these `ai_flags`.
    pub(super) fn push_like(&mut self, list: &AddressList, address: SocketAddr, flags: i32) -> Result<(), LookupError> {
        for node in list.nodes() {
            // SAFETY: a node says how many bytes of an address stand behind its pointer.
            let port = unsafe { socket_address(node.ai_addr, node.ai_addrlen) }.map_or(0, |like| like.port());
            let mut address = address;
            address.set_port(port);
            let raw = RawAddress::from(&address);
            let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
            let node = libc::addrinfo {
                ai_flags: flags,
                ai_family: family,
                ai_canonname: std::ptr::null_mut(),
                ai_addr: std::ptr::null_mut(),
                ai_next: std::ptr::null_mut(),
                ..*node
            };
            // SAFETY: the address has the length that it says; the node has no name.
            unsafe { self.push(&node, raw.as_ptr().cast(), raw.length() as usize)? };
        }
        Ok(())
    }

    pub(super) fn finish(self) -> AddressList {
        self.list
    }
}
