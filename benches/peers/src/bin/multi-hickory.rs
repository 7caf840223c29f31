//! hickory-resolver with tokio, then connect: names without libc, one thread.
//!
//! Arguments and output as benches/multi_common.h says; "threads" is how many names may be in flight at once. Only the mode name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

fn cpu_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

async fn connect(resolver: TokioResolver, name: String, port: u16) -> Result<()> {
    // With the dot at its end the search list is not tried.
    let found = resolver.lookup_ip(name + ".").await?;
    let address = found.iter().min_by_key(|ip| ip.is_ipv4()).context("no address")?;
    let stream = tokio::net::TcpStream::connect(SocketAddr::new(address, port)).await?;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    ensure!(arguments.len() == 6 && arguments[1] == "name", "usage: multi-hickory name COUNT IN_FLIGHT SERVICE HOST");
    let (count, in_flight): (usize, usize) = (arguments[2].parse()?, arguments[3].parse()?);
    let (port, host): (u16, &str) = (arguments[4].parse()?, &arguments[5]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut builder = TokioResolver::builder_tokio()?;
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.options_mut().cache_size = 0;
        let resolver = builder.build()?;
        let room = Arc::new(Semaphore::new(in_flight));
        let (cpu_before, began) = (cpu_us(), Instant::now());
        let mut tasks = JoinSet::new();
        for index in 0..count {
            let (resolver, room) = (resolver.clone(), Arc::clone(&room));
            let name = format!("{}-{index}-{host}", std::process::id());
            tasks.spawn(async move {
                let _permit = room.acquire_owned().await?;
                connect(resolver, name, port).await
            });
        }
        let (mut ok, mut failed) = (0, 0);
        while let Some(outcome) = tasks.join_next().await {
            *if matches!(outcome, Ok(Ok(()))) { &mut ok } else { &mut failed } += 1;
        }
        println!(
            "{{\"who\":\"hickory\",\"mode\":\"name\",\"count\":{count},\"threads\":1,\"ok\":{ok},\"failed\":{failed},\"wall_us\":{},\"cpu_us\":{:.0}}}",
            began.elapsed().as_micros(),
            cpu_us() - cpu_before
        );
        Ok(())
    })
}
