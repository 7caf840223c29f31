//! Starts a program with the library for LD_PRELOAD before libc, so that its connects are raced.

use crate::args::RunArguments;
use crate::exit::Usage;
use anyhow::Context;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// ld.so(8).
const VARIABLE: &str = "LD_PRELOAD";
const LIBRARY: &str = "libhappysock_preload.so";

/// As env(1): the program was found and could not be run; it was not found.
const NOT_RUN: u8 = 126;
const NO_PROGRAM: u8 = 127;

/// Comes back only where the program could not be started: it takes the place of this one.
pub fn run(arguments: &RunArguments) -> anyhow::Result<u8> {
    let library = match &arguments.preload {
        Some(library) => library.canonicalize().with_context(|| library.display().to_string())?,
        None => find_library()?,
    };
    let (program, rest) = arguments.command.split_first().ok_or_else(|| Usage("a program is wanted".to_owned()))?;
    let error = Command::new(program)
        .args(rest)
        .env(VARIABLE, with_library(&library, std::env::var_os(VARIABLE).as_deref())?)
        .exec();
    eprintln!("happy: {}: {error}", program.display());
    Ok(if error.kind() == std::io::ErrorKind::NotFound { NO_PROGRAM } else { NOT_RUN })
}

/// What is to be loaded already comes after it.
fn with_library(library: &Path, others: Option<&OsStr>) -> anyhow::Result<OsString> {
    let mut list = library.as_os_str().to_owned();
    if list.as_bytes().iter().any(|byte| byte.is_ascii_whitespace() || *byte == b':') {
        anyhow::bail!("{}: {VARIABLE} cannot name a file with blanks or colons in its path", library.display());
    }
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        list.push(":");
        list.push(others);
    }
    Ok(list)
}

/// Where `make install` and Debian's packages put it, seen from this program; and where make(1) builds it.
fn find_library() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the path of this program")?;
    let directory = program.parent().unwrap_or(Path::new("/"));
    let mut tried = vec![directory.join("../preload").join(LIBRARY)];
    for libraries in ["lib", "lib64"] {
        let libraries = directory.join("..").join(libraries);
        tried.push(libraries.join("happysock").join(LIBRARY));
        // Debian has a directory for each kind of machine.
        let inside = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
        let multiarch = inside.filter(|entry| entry.file_name().as_bytes().ends_with(b"-linux-gnu"));
        tried.extend(multiarch.map(|entry| entry.path().join("happysock").join(LIBRARY)));
    }
    let found = tried.iter().find_map(|path| path.canonicalize().ok());
    found.with_context(|| {
        let places: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
        format!("{LIBRARY} is in none of {}; --preload FILE says where it is", places.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_already_stays_and_comes_after_it() {
        let list = |others: &str| with_library(Path::new("/lib/a.so"), Some(OsStr::new(others))).unwrap();
        assert_eq!(list("/lib/b.so"), "/lib/a.so:/lib/b.so");
        assert_eq!(list(""), "/lib/a.so");
        assert_eq!(with_library(Path::new("/lib/a.so"), None).unwrap(), "/lib/a.so");
    }

    #[test]
    fn a_path_that_the_variable_cannot_hold_is_refused() {
        assert!(with_library(Path::new("/a b/a.so"), None).is_err());
        assert!(with_library(Path::new("/a:b/a.so"), None).is_err());
    }
}
