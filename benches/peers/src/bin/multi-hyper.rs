//! tokio with hyper-util's HttpConnector: Happy Eyeballs over getaddrinfo(3) on tokio's blocking threads, one thread for the sockets.
//!
//! Arguments and output as benches/multi_common.h says.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::task::JoinSet;
use tower_service::Service;

fn heap() -> f64 {
    // SAFETY: mallinfo2 takes nothing and only reads the allocator's own figures.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as f64
}

fn resident() -> Result<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = statm.split(' ').nth(1).context("statm")?.parse()?;
    Ok(pages * 4096.0)
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn cpu_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

async fn connect(mut connector: HttpConnector, uri: http::Uri) -> bool {
    match connector.call(uri).await {
        Ok(io) => {
            let _ = socket2::SockRef::from(io.inner()).set_linger(Some(Duration::ZERO));
            true
        }
        Err(_) => false,
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    ensure!(arguments.len() == 6, "usage: multi-hyper live|hole|name COUNT THREADS SERVICE HOST");
    let (mode, service, host) = (arguments[1].as_str(), &arguments[4], &arguments[5]);
    let (count, thread_limit): (usize, usize) = (arguments[2].parse()?, arguments[3].parse()?);
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is ours and outlives the calls. As far as it goes: what does not fit is said by the connect that fails.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }

    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(thread_limit).build()?;
    runtime.block_on(async {
        let mut connector = HttpConnector::new();
        connector.set_happy_eyeballs_timeout(Some(Duration::from_millis(250)));
        let (heap_before, resident_before, cpu_before) = (heap(), resident()?, cpu_us());
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for index in 0..count {
            let authority = match (mode, host.parse::<IpAddr>()) {
                ("name", _) => format!("{}-{index}-{host}:{service}", std::process::id()),
                (_, Ok(IpAddr::V6(address))) => format!("[{address}]:{service}"),
                _ => format!("{host}:{service}"),
            };
            let uri = http::Uri::builder().scheme("http").authority(authority).path_and_query("/").build()?;
            tasks.spawn(connect(connector.clone(), uri));
        }
        let (mut ok, mut failed, mut most_threads) = (0, 0, 1);
        let mut extra = String::new();
        let (wall, cpu);
        if mode == "hole" {
            // Each task runs once up to its first wait; nothing is reported when a SYN is sent, so two turns of the scheduler are taken.
            for _ in 0..2 {
                for _ in 0..count / 16 {
                    tokio::task::yield_now().await;
                }
            }
            (wall, cpu) = (began.elapsed(), cpu_us() - cpu_before);
            let each = |bytes: f64| bytes / count as f64;
            let (heap_each, resident_each) = (each(heap() - heap_before), each(resident()? - resident_before));
            let sockets = std::fs::read_dir("/proc/self/fd")?.count();
            ensure!(sockets >= count, "only {sockets} of {count} have begun");
            let cancelled = Instant::now();
            // Waits until the sockets are closed.
            tasks.shutdown().await;
            let cancel_us = cancelled.elapsed().as_micros();
            extra =
                format!(",\"heap_each\":{heap_each:.0},\"resident_each\":{resident_each:.0},\"cancel_us\":{cancel_us}");
        } else {
            let mut ended = 0;
            while let Some(outcome) = tasks.join_next().await {
                if matches!(outcome, Ok(true)) {
                    ok += 1
                } else {
                    failed += 1
                }
                ended += 1;
                if ended % 500 == 1 {
                    most_threads = threads().max(most_threads);
                }
            }
            (wall, cpu) = (began.elapsed(), cpu_us() - cpu_before);
        }
        println!(
            "{{\"who\":\"hyper-util\",\"mode\":\"{mode}\",\"count\":{count},\"threads\":{most_threads},\"ok\":{ok},\
             \"failed\":{failed},\"wall_us\":{},\"cpu_us\":{cpu:.0}{extra}}}",
            wall.as_micros()
        );
        Ok(())
    })
}
