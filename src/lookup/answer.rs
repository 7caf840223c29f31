//! What a lookup ends in.

use super::list::AddressList;
use crate::race::LookupError;
use std::net::SocketAddr;

/// What a lookup ends in.
pub type Answer = Result<Found, LookupError>;

/// What a lookup has found, in the form that was asked for.
#[derive(Debug)]
pub enum Found {
    /// In their order, with the port.
    Addresses(Vec<SocketAddr>),
    /// A list that is made as libc makes its own, for C.
    List(AddressList),
}

impl Found {
    /// Another one like it. Fails where there is no memory for a list.
    pub(super) fn try_clone(&self) -> Result<Found, LookupError> {
        Ok(match self {
            Found::Addresses(addresses) => Found::Addresses(addresses.clone()),
            Found::List(list) => Found::List(list.copy()?),
        })
    }

    /// The addresses, whatever form they have.
    pub fn into_addresses(self) -> Vec<SocketAddr> {
        match self {
            Found::Addresses(addresses) => addresses,
            Found::List(list) => list.iter().collect(),
        }
    }

    /// The list, of a lookup that was asked for one ([`Form::List`](super::Form)): see
    /// [`AddressList::into_raw`].
    pub fn into_raw_list(self) -> Result<*mut libc::addrinfo, LookupError> {
        match self {
            Found::List(list) => list.into_raw(),
            Found::Addresses(_) => unreachable!("a list is asked for where one is given to C"),
        }
    }
}
