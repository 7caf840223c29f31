//! Any message of a server: it is read without harm, and as the library `domain` reads it where that can.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/dns_exchange/oracle.rs"]
mod oracle;

fuzz_target!(|message: &[u8]| {
    oracle::check(message);
});
