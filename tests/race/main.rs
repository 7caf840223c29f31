//! RFC 8305 in virtual time: each test is a script, and above it stands the sentence that it holds: of the
//! RFC, of a draft, or our own rule. A deliberate deviation is called one. The clock is read once, for an
//! origin.
mod cap;
mod clauses;
mod confirm;
mod gai_conf;
mod hastening;
mod history;
mod invariants;
mod limits;
mod local_address;
mod nat64;
mod nat64_addresses;
mod outcomes;
mod permits;
mod properties;
mod rfc_6724;
mod script;
mod section_3;
mod section_4;
mod section_5;
mod section_6;
mod service;
mod trace;
mod without_fast_fallback;
