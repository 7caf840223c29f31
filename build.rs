//! Linker arguments of the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The number in the SONAME is that of the ABI, not of the release: it changes when a program that was linked
    // against the library before can no longer run with it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libhappysock.so.0");
    // A worker may still be inside getaddrinfo(3) when the program calls dlclose(3), and returns into this
    // library's code: it has to stay mapped.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
