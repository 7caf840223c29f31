//! The C ABI: exports only, one file a noun. The C header is generated from here: what these comments say is
//! said to a C programmer.
//!
//! Conventions: self first, inputs, then outputs named `ret_*`, written only on success unless the comment
//! says otherwise; userdata last. The body of every export is one `boundary::export`.
//!
//! `codes`, `callbacks` and `message` import nothing of this room; the others stand on them.
#![allow(non_camel_case_types)]
// The contract of each export is in its documentation, in C's terms.
#![allow(clippy::missing_safety_doc)]

mod binding;
mod blocking;
mod boundary;
mod callbacks;
mod codes;
mod connect;
mod history;
mod hooks;
mod lookup;
mod message;
mod multi;
mod multi_handle;
mod options;
mod result;
mod status;
mod trace;

// C has them by their symbols.
#[cfg(feature = "internals")]
pub use self::{
    blocking::*, callbacks::*, codes::*, connect::*, history::*, lookup::*, multi::*, multi_handle::*, options::*,
    result::*, status::*,
};
