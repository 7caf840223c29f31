//! The files of libc's resolver, and the gate: each test holds a fact about glibc. Those marked "seen" were
//! seen in glibc 2.36 with the files mounted over /etc; `tests/dns_files_differential.rs` asks libc again, of
//! random files.
mod gate;
mod host_conf;
mod hosts;
mod names;
mod nsswitch;
mod resolv_conf;
