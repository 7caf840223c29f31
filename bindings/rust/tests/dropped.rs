//! A future that is dropped: a program of its own, since it counts descriptors. In scripts/in-test-network.

use std::time::Duration;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc is mounted").count()
}

#[tokio::test]
async fn dropping_the_future_ends_the_connect() {
    let before = descriptors();
    for _ in 0..10 {
        let connecting = happysock::tokio::connect(("silent.test", 80));
        assert!(tokio::time::timeout(Duration::from_millis(20), connecting).await.is_err(), "nobody answers");
    }
    // A worker of the runtime may have a file open for a moment.
    let began = std::time::Instant::now();
    while descriptors() != before && began.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(descriptors(), before);
}
