//! A network that is dropped leaves nothing in its process. Alone in its file, since it counts the process's
//! belongings.

use lab::{Network, Scenario};

fn belongings() -> (usize, Vec<std::path::PathBuf>, String) {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    // The descriptor of this very listing is gone by the time that its link is read.
    let mut files: Vec<_> = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
    files.sort();
    (threads, files, std::fs::read_to_string("/proc/self/mountinfo").unwrap())
}

#[test]
fn a_dropped_network_leaves_no_thread_descriptor_mount_or_interface() {
    let interfaces = || std::fs::read_dir("/sys/class/net").unwrap().count();
    // The first network may make what the process then keeps for good.
    drop(Network::new(&Scenario::default()).unwrap());
    let before = (belongings(), interfaces());
    for _ in 0..3 {
        let network = Network::new(&Scenario::default()).unwrap();
        assert!(network.command("getent").unwrap().args(["hosts", "dual.test"]).output().unwrap().status.success());
        drop(network);
    }
    assert_eq!((belongings(), interfaces()), before);
}
