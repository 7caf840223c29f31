//! A network that is dropped leaves nothing in its process. Alone in its file, since it counts the process's
//! belongings.

use std::time::{Duration, Instant};

use lab::{Network, Scenario};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits until no more threads are left. One that was joined may still be on its way out of the kernel's list.
fn wait_for_threads(wanted: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    while threads() != wanted && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(threads(), wanted);
}

fn belongings() -> (Vec<std::path::PathBuf>, String) {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    // The descriptor of this very listing is gone by the time that its link is read.
    let mut files: Vec<_> = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
    files.sort();
    (files, std::fs::read_to_string("/proc/self/mountinfo").unwrap())
}

#[test]
fn a_dropped_network_leaves_no_thread_descriptor_mount_or_interface() {
    let interfaces = || std::fs::read_dir("/sys/class/net").unwrap().count();
    let threads_before = threads();
    // The first network may make what the process then keeps for good.
    drop(Network::new(&Scenario::default()).unwrap());
    let before = (belongings(), interfaces());
    for _ in 0..3 {
        let network = Network::new(&Scenario::default()).unwrap();
        assert!(network.command("getent").unwrap().args(["hosts", "dual.test"]).output().unwrap().status.success());
        drop(network);
    }
    wait_for_threads(threads_before);
    assert_eq!((belongings(), interfaces()), before);
}
