//! The network that a test runs in, the servers in it, and the command.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The address of live.test and half.test that can be reached.
pub const LIVE: &str = "203.0.113.1";
/// What a test waits for at most: long, since it is reached only where something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Has the rest of a test run in a network of its own (scripts/in-test-network). `in_network!("30")`: name servers
/// are waited for so many seconds, for a test that wants their answers however late they come.
macro_rules! in_network {
    () => {
        in_network!("2")
    };
    ($silence:literal) => {
        fn here() {}
        if $crate::world::ran_inside(std::any::type_name_of_val(&here), $silence) {
            return;
        }
    };
}

/// Outside, starts this program again in a network of its own, for the one test that `here` is in, and
/// answers true when it has passed there.
pub fn ran_inside(here: &str, silence: &str) -> bool {
    if std::env::var("HAPPYSOCK_TEST_NETWORK").as_deref() == Ok("ready") {
        return false;
    }
    // The runner knows its tests without the name of the crate.
    let name = here.strip_suffix("::here").and_then(|path| path.split_once("::")).expect("a test is in a module").1;
    let output = Command::new(root().join("scripts/in-test-network"))
        .arg(std::env::current_exe().expect("a program knows itself"))
        .args([name, "--exact", "--nocapture"])
        .env("HAPPYSOCK_TEST_SILENCE", silence)
        .output()
        .expect("scripts/in-test-network can be run");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{name} is not the name of the test: {said}");
    true
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tool/ is in the project").to_owned()
}

/// The command as it is in a script: no terminal, nothing on standard input.
pub fn happy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_happy"));
    command.args(arguments).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env("TERM", "xterm-256color");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it came to.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// What it said on standard output, whatever lines it was in.
    pub fn words(&self) -> String {
        self.out.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

pub fn run(arguments: &[&str]) -> Said {
    happy(arguments).output().expect("it runs").into()
}

/// With something on standard input.
pub fn run_with_input(arguments: &[&str], input: &[u8]) -> Said {
    let mut child = happy(arguments).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It may have ended without reading, which its exit code tells better.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

/// The JSON of a run, which has to be all that it wrote.
pub fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// A server on the live address; says hello and hangs up.
pub fn greeter() -> u16 {
    let listener = TcpListener::bind((LIVE, 0)).expect("the live address is here");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Some only connect and are gone.
            let _ = stream.and_then(|mut stream| stream.write_all(b"hello\n"));
        }
    });
    port
}

/// A server that hears one client to the end, then repeats what it heard, and ends with that.
pub fn repeater() -> (u16, JoinHandle<usize>) {
    let listener = TcpListener::bind((LIVE, 0)).expect("the live address is here");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("the client ends what it says");
        stream.write_all(&heard).expect("the client listens on");
        stream.shutdown(Shutdown::Write).expect("still open");
        heard.len()
    });
    (port, server)
}

/// A name server, where this network's resolv.conf says that there is one. many.test has addresses of all
/// kinds, late.test an AAAA record that is never answered for; the HTTPS records of alias.test lead to those
/// of bound.test; p8443.test has a binding to port 8443 (or any) of svc.test;
/// other names do not exist.
pub fn name_server() {
    let socket = UdpSocket::bind("127.0.0.53:53").expect("root of this network may");
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            if let Some(reply) = reply(&query[..length]) {
                socket.send_to(&reply, client).expect("loopback");
            }
        }
    });
}

pub const MANY_V6: [&str; 3] = ["fc00::1", "2001:db8::99", "2001:db8::77"];
pub const MANY_V4: [&str; 3] = ["198.51.100.4", "192.0.2.77", LIVE];

/// HTTPS records in wire form (RFC 9460, section 2.2), the second of which has to be understood in full.
const BINDINGS: [&[u8]; 3] = [
    b"\0\x02\x03cdn\x04test\0\0\x01\0\x03\x02h3\0\x02\0\0",
    b"\0\x03\0\0\0\0\x02\x02\x9b\x02\x9b\0\0",
    b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x20\xfb\0\x04\0\x04\xc0\0\x02\x4d\0\x05\0\x02\xfe\x0d\0\x06\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x77",
];

/// An HTTPS record that leads to a port of svc.test, for h2 and what goes without saying.
fn binding(port: u16) -> Vec<u8> {
    let head = b"\0\x01\x03svc\x04test\0\0\x01\0\x03\x02h2\0\x03\0\x02";
    [&head[..], &port.to_be_bytes(), b"\0\x05\0\x02\xfe\x0d"].concat()
}

/// The reply to a query (RFC 1035, section 4); None: none is sent.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let end = 12 + query[12..].iter().position(|&byte| byte == 0)? + 1;
    let (name, kind) = (&query[12..end], u16::from_be_bytes([query[end], query[end + 1]]));
    let is = |label: &[u8]| name[1..].starts_with(label);
    let v6 = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets().to_vec();
    let v4 = |text: &str| text.parse::<Ipv4Addr>().expect("an address").octets().to_vec();
    let port =
        name.get(2..1 + usize::from(name[0])).filter(|_| is(b"p")).and_then(|digits| str::from_utf8(digits).ok());
    let port: Option<u16> = port.and_then(|digits| digits.parse().ok());
    let records: Option<Vec<Vec<u8>>> = match (kind, is(b"many"), is(b"late")) {
        (28, _, true) => return None,
        (28, true, _) => Some(MANY_V6.map(v6).to_vec()),
        (1, true, _) => Some(MANY_V4.map(v4).to_vec()),
        (1, _, true) => Some(vec![v4(LIVE)]),
        (65, ..) if is(b"alias") => Some(vec![b"\0\0\x05bound\x04test\0".to_vec()]),
        (65, ..) if is(b"bound") => Some(BINDINGS.map(<[u8]>::to_vec).to_vec()),
        (65, true, _) => Some(Vec::new()),
        (65, ..) if port.is_some() => port.map(|port| vec![binding(port)]),
        (1, ..) if port.is_some() || is(b"svc") => Some(vec![v4(LIVE)]),
        (28, ..) if port.is_some() || is(b"svc") => Some(Vec::new()),
        _ => None,
    };
    let mut reply = query[..2].to_vec();
    let code = if records.is_some() { 0 } else { 3 };
    let records = records.unwrap_or_default();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    reply.extend(&query[12..end + 4]);
    for data in records {
        // The name of the question, its type, IN, a minute.
        reply.extend([0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        reply.extend(data);
    }
    Some(reply)
}

/// A port of the live address where nobody listens.
pub fn closed_port() -> u16 {
    TcpListener::bind((LIVE, 0)).and_then(|listener| listener.local_addr()).expect("the live address is here").port()
}

/// A client's end of a connection that the command made.
pub fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().expect("a client comes").0
}

/// Waits until this network has a connection that waits for its answer: SYN_SENT in /proc/net (proc_net_tcp).
pub fn wait_for_syn(child: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let sent = |table: &String| table.lines().any(|line| line.split_whitespace().nth(3) == Some("02"));
        if tables.iter().any(sent) {
            return;
        }
        assert!(child.try_wait().expect("a child of ours").is_none(), "it ended before it had tried anything");
        assert!(Instant::now() < deadline, "no attempt was made");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a socket of this network is connected to a name server: the port of DNS in /proc/net/udp.
pub fn wait_for_query(child: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
        if table.lines().any(|line| line.split_whitespace().nth(2).is_some_and(|peer| peer.ends_with(":0035"))) {
            return;
        }
        assert!(child.try_wait().expect("a child of ours").is_none(), "it ended before it had asked");
        assert!(Instant::now() < deadline, "nobody was asked");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Control-C, for one process.
pub fn interrupt(child: &Child) {
    // The shell's own kill: the program is not on every system.
    let status =
        Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().expect("sh(1) is there");
    assert!(status.success());
}

/// A file that goes with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("happy-test-{}-{name}", std::process::id())))
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("its name is plain")
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("it was written")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
