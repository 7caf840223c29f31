//! Names put to scripted servers in virtual time: each test holds a fact about glibc's resolver, or a wish of
//! those who were bitten by another one. The clock is read once, for an origin.
mod answers;
mod oracle;
mod packets;
mod pairs;
mod properties;
mod schedule;
mod script;
mod search;
mod services;
mod stories;
mod tcp;
mod walk;
