//! Files of the system's configuration, and whether they have changed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file's times are those of the clock's last tick (10 ms at most, with 100 ticks a second): a file that
/// was written so short a time ago may be written again and have the same times.
const TICK: Duration = Duration::from_millis(20);

/// What tells one content of a file from another, stat(2). Two are the same only if the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// There is none, or none that this process may read.
    Missing,
    File {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    /// It changed a moment ago, or is no plain file: it is read each time.
    Unsteady,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        let stamp = Stamp::whenever(metadata);
        let Stamp::File { modified, changed, .. } = stamp else { return stamp };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let old_enough = |(seconds, nanoseconds): (i64, i64)| {
            let time = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
            // A time in the future tells nothing.
            now.checked_sub(time).is_some_and(|age| age > TICK)
        };
        if old_enough(modified) && old_enough(changed) { stamp } else { Stamp::Unsteady }
    }

    /// The same, however young it is.
    fn whenever(metadata: &Metadata) -> Stamp {
        if !metadata.is_file() {
            return Stamp::Unsteady;
        }
        Stamp::File {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Of the file at `path`, as it is now.
    pub fn now(path: &str) -> Stamp {
        match std::fs::metadata(path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(_) => Stamp::Missing,
        }
    }

    /// Whether the file at `path` is still the one that was stamped so.
    pub fn is_current(&self, path: &str) -> bool {
        if *self == Stamp::Unsteady {
            return false;
        }
        // What is equal to a stamp is old enough, as that was.
        *self == std::fs::metadata(path).as_ref().map_or(Stamp::Missing, Stamp::whenever)
    }
}

/// Reads a whole file; None if there is none that this process may read, which is what resolver(5) and its
/// like take for an empty one. The errno values are those that glibc takes so.
///
/// # Errors
/// Any other: want of memory or descriptors, a bad disk.
pub fn read(path: &str) -> io::Result<(Option<Vec<u8>>, Stamp)> {
    let missing = |error: &io::Error| {
        matches!(error.raw_os_error(), Some(libc::EACCES | libc::ELOOP | libc::ENOENT | libc::ENOTDIR | libc::EPERM))
    };
    let read = || {
        let mut file = File::open(path)?;
        // Before it is read: what changes meanwhile has another stamp.
        let stamp = Stamp::of(&file.metadata()?);
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok((Some(content), stamp))
    };
    match read() {
        Err(error) if missing(&error) => Ok((None, Stamp::Missing)),
        outcome => outcome,
    }
}

/// Whether there is something at the path that this process can see.
pub fn exists(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_current_until_the_file_changes_and_never_right_after_a_change() {
        let path = std::env::temp_dir().join(format!("happysock-stamp-{}", std::process::id()));
        let path = path.to_str().unwrap();
        assert_eq!(read(path).unwrap(), (None, Stamp::Missing));
        assert!(Stamp::Missing.is_current(path));
        std::fs::write(path, "one").unwrap();
        assert!(!Stamp::Missing.is_current(path));
        let (content, stamp) = read(path).unwrap();
        assert_eq!((content.as_deref(), stamp), (Some(&b"one"[..]), Stamp::Unsteady));
        assert!(!stamp.is_current(path));
        // Nothing announces that a tick is over.
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let stamp = loop {
            let (_, stamp) = read(path).unwrap();
            if stamp != Stamp::Unsteady {
                break stamp;
            }
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        };
        assert!(stamp.is_current(path));
        std::fs::write(path, "two").unwrap();
        assert!(!stamp.is_current(path));
        std::fs::remove_file(path).unwrap();
        assert!(!stamp.is_current(path));
    }
}
