//! Random configuration files, read here and by libc: what comes of them has to be the same.
//!
//! libc is asked by a program in C (`tests/dns_files/oracle.c`) in a network of its own, with its files over
//! those in /etc. Where nobody listens as a name server, a query is refused at once.
//! `DIFFERENTIAL_CASES=20000 cargo test --test dns_files_differential` tries more than the few seconds of the
//! short form do.
use happysock::dns::failure::{Failure, HostError, Status};
use happysock::dns::host_conf::HostConf;
use happysock::dns::hosts::Hosts;
use happysock::dns::nsswitch::{Action, HostsLine, Source, Unwalkable};
use happysock::dns::resolv_conf::ResolvConf;
use happysock::dns::{Families, Family};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

const USUAL_LINE: &[u8] = b"hosts: files\n";
/// In the network of the oracle it is refused at once.
const REFUSING_SERVER: &[u8] = b"nameserver 127.0.0.53\noptions attempts:1\n";

/// The program, built once.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dns_files/oracle.c");
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dns_files_oracle");
    let output = Command::new("gcc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .arg("-lresolv")
        .output()
        .expect("gcc; scripts/install-packages test installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
});

struct Oracle {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    host_conf: PathBuf,
}

impl Oracle {
    fn start(name: &str) -> RefCell<Oracle> {
        let host_conf = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("host.conf.{name}"));
        let mut process = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/in-test-network"))
            .arg(&*PROGRAM)
            .env("RESOLV_HOST_CONF", &host_conf)
            .env("LC_ALL", "C")
            .env_remove("LOCALDOMAIN")
            .env_remove("RES_OPTIONS")
            .env_remove("HOSTALIASES")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        RefCell::new(Oracle { process, input, output, host_conf })
    }

    /// The lines of its answer. An empty name asks what resolv.conf says.
    fn ask(&mut self, files: [&[u8]; 4], name: &str) -> Vec<String> {
        let mut question = Vec::new();
        for blob in files.into_iter().chain([name.as_bytes()]) {
            question.extend((blob.len() as u32).to_ne_bytes());
            question.extend(blob);
        }
        self.input.as_mut().unwrap().write_all(&question).unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            assert_ne!(self.output.read_until(b'\n', &mut line).unwrap(), 0, "the oracle died");
            let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap()).into_owned();
            if line == "end" {
                return lines;
            }
            lines.push(line);
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.host_conf);
    }
}

fn cases() -> u32 {
    std::env::var("DIFFERENTIAL_CASES").ok().map_or(300, |cases| cases.parse().unwrap())
}

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })
}

/// Words in any order, as one file.
fn soup(words: &'static [&'static [u8]], length: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(select(words), 0..length).prop_map(|words| words.concat())
}

fn version() -> (u32, u32) {
    // SAFETY: the function gives a constant string.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    let mut numbers = version.to_str().unwrap().split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

const HOSTS: &[&[u8]] = &[
    b"127.0.0.1 ",
    b"192.0.2.1 ",
    b"192.0.2.2\t",
    b"::1 ",
    b"2001:db8::1 ",
    b"::ffff:192.0.2.9 ",
    b"127.1 ",
    b"1.2.3.04 ",
    b"fe80::1%lo ",
    b"1:2:3:4:5:6:7:: ",
    b"a",
    b"A",
    b"b",
    b"a.b",
    b".",
    b"a ",
    b" b ",
    b" ",
    b"\t",
    b"   ",
    b"\r",
    b"\x0b",
    b"#",
    b"\0",
    b"\n",
    b"\n",
    b"\n",
    b"\n",
    b"a\n",
    b"a b\n",
    b"\xc3\xbc",
    b"\xfe",
];
const HOST_CONF: &[&[u8]] = &[
    b"multi",
    b"MULTI",
    b"on",
    b"off",
    b"On",
    b" ",
    b"\t",
    b"\n",
    b"\n",
    b"#",
    b",",
    b"multi on\n",
    b"multi off\n",
    b"order hosts\n",
    b"x",
    b"\0",
    b"\r",
    b"trim .x",
    b"reorder",
    b"##################################################",
];

/// The same addresses: of both families in any order, since getaddrinfo(3) sorts them, of one in the order of
/// the file.
#[test]
fn hosts_and_host_conf() {
    let oracle = Oracle::start("hosts");
    let names = select(&["a", "b", "a.b", "a.", "ü", "aa"][..]);
    let files = (soup(HOSTS, 40), soup(HOST_CONF, 12), names);
    let outcome = runner().run(&files, |(hosts, host_conf, name)| {
        let answer = oracle.borrow_mut().ask([USUAL_LINE, &hosts, &host_conf, b""], name);
        let multi = HostConf::parse(Some(&host_conf)).multi;
        let index = Hosts::parse(hosts).unwrap();
        let find = |families| -> Vec<IpAddr> { index.addresses(name.as_bytes(), families, multi).collect() };
        let addresses =
            |line: &str| -> Vec<IpAddr> { line.split(' ').skip(1).map(|address| address.parse().unwrap()).collect() };
        let sorted = |mut list: Vec<IpAddr>| {
            list.sort();
            list
        };
        prop_assert_eq!(sorted(addresses(&answer[0])), sorted(find(Families::Both)));
        prop_assert_eq!(addresses(&answer[1]), find(Families::Only(Family::V4)));
        prop_assert_eq!(addresses(&answer[2]), find(Families::Only(Family::V6)));
        Ok(())
    });
    outcome.unwrap();
}

const RESOLV_CONF: &[&[u8]] = &[
    b"nameserver ",
    b"nameserver\t",
    b"nameserver",
    b"search ",
    b"domain ",
    b"options ",
    b"options ",
    b"options\t",
    b"#",
    b";",
    b"192.0.2.1",
    b"127.1",
    b"0x7f.1",
    b"08",
    b"1.2.3.4.5",
    b"017.1",
    b"4294967296",
    b"::1",
    b"fe80::1",
    b"2001:db8::1",
    b"%lo",
    b"%1",
    b"%nosuch",
    b"%",
    b"ff02::1",
    b"a",
    b"a.b",
    b".",
    b" ",
    b" ",
    b" ",
    b"\t",
    b"\n",
    b"\n",
    b"\n",
    b"\n",
    b"\r",
    b"\0",
    b"\x0b",
    b"ndots:",
    b"timeout:",
    b"attempts:",
    b"0",
    b"1",
    b"7",
    b"16",
    b"99999999999999999999",
    b"+",
    b"0x",
    b"4294967298",
    b"rotate",
    b"edns0",
    b"use-vc",
    b"trust-ad",
    b"no-aaaa",
    b"no-tld-query",
    b"no_tld_query",
    b"no-reload",
    b"single-request",
    b"-reopen",
    b"inet6",
    b"Rotate",
];

#[test]
fn resolv_conf() {
    let oracle = Oracle::start("resolv_conf");
    let mut host_name = [0u8; 256];
    // SAFETY: the buffer is as long as is said.
    assert_eq!(unsafe { libc::gethostname(host_name.as_mut_ptr().cast(), 255) }, 0);
    let host_name = CStr::from_bytes_until_nul(&host_name).unwrap().to_bytes();
    let outcome = runner().run(&soup(RESOLV_CONF, 40), |text| {
        let answer = oracle.borrow_mut().ask([USUAL_LINE, b"", b"", &text], "");
        let conf = ResolvConf::parse(Some(&text), host_name, version(), |name| (name == b"lo").then_some(1));
        let servers: String = conf.servers.iter().map(server_as_printed).collect();
        prop_assert_eq!(&answer[0], &servers);
        // The old list of res_state(3) has room for so many.
        let mut room = 256;
        let domains = conf.search.iter().take(6).take_while(|domain| {
            room -= domain.len() as i64 + 1;
            room >= 0
        });
        let search: String = domains.map(|domain| format!("{};", String::from_utf8_lossy(domain))).collect();
        prop_assert_eq!(&answer[1], &search);
        let flags = [
            conf.rotate,
            conf.edns0,
            conf.use_vc,
            conf.trust_ad,
            conf.no_aaaa,
            conf.no_tld_query,
            conf.no_reload,
            conf.single_request,
            conf.single_request_reopen,
        ];
        let flags: String = flags.map(|flag| if flag { '1' } else { '0' }).iter().collect();
        // A number that overflows is -1 to C.
        let negative_as_zero = answer[2].replace("-1", "0");
        if !conf.unsure {
            let expected = format!("{} {} {} {flags}", conf.ndots, conf.timeout, conf.attempts);
            prop_assert_eq!(negative_as_zero, expected);
        }
        Ok(())
    });
    outcome.unwrap();
}

fn server_as_printed(server: &SocketAddr) -> String {
    match server {
        SocketAddr::V4(v4) => format!(" {}", v4.ip()),
        SocketAddr::V6(v6) => format!(" {}%{}", v6.ip(), v6.scope_id()),
    }
}

const NSSWITCH: &[&[u8]] = &[
    b"hosts: ",
    b"hosts: ",
    b"hosts",
    b"hosts:",
    b"\nhosts: ",
    b"files",
    b"files ",
    b"dns",
    b"dns ",
    b" ",
    b"\t",
    b"\n",
    b"\n",
    b"[",
    b"]",
    b"!",
    b"=",
    b"[NOTFOUND=return]",
    b"[notfound = return ]",
    b"[!UNAVAIL=return]",
    b"[UNAVAIL=return]",
    b"[TRYAGAIN=return]",
    b"[!NOTFOUND=return]",
    b"NOTFOUND=",
    b"continue",
    b"passwd: ",
    b"passwd: files\n",
    b"sudoers: [",
    b"#",
    b"\0",
    b":",
    b"HOSTS: ",
    b"\r",
    b"\x0c",
];

/// The same way through the sources, told by what comes of a name that hosts(5) has and one that it has not:
/// DNS is refused, so it is unavailable.
#[test]
fn nsswitch_conf() {
    let oracle = Oracle::start("nsswitch");
    let names = select(&["known", "unknown"][..]);
    let walked = Cell::new(0);
    let outcome = runner().run(&(soup(NSSWITCH, 12), names), |(text, name)| {
        let answer = oracle.borrow_mut().ask([&text, b"192.0.2.1 known\n", b"", REFUSING_SERVER], name);
        // Of a line without sources libc itself may die.
        let code = answer[0].split(' ').next().unwrap().parse::<i32>().ok();
        match HostsLine::parse(Some(&text), version()) {
            Ok(line) => {
                walked.set(walked.get() + 1);
                prop_assert_eq!(code, Some(walk(&line, name == "known")));
            }
            // Those fail every lookup, whatever the name.
            Err(Unwalkable::Syntax | Unwalkable::Empty) => prop_assert_ne!(code, Some(0)),
            Err(_) => prop_assert!(code.is_some()),
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(walked.get() > cases() / 10, "{} lines could be walked", walked.get());
}

/// The code that getaddrinfo(3) ends with.
fn walk(line: &HostsLine, known: bool) -> i32 {
    let mut last = Failure::HOST_NOT_FOUND;
    for step in line.steps() {
        last = match step.source {
            Source::Files if known => return 0,
            Source::Files => Failure::HOST_NOT_FOUND,
            Source::Dns => Failure { status: Status::Unavailable, error: HostError::TryAgain },
            other => panic!("{other:?}"),
        };
        if step.actions.after(last.status) == Action::Return {
            break;
        }
    }
    last.gai_error(Families::Both)
}
