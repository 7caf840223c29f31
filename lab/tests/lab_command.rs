//! The `lab` command: exit statuses, logs, and that nothing outlives it.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const LAB: &str = env!("CARGO_BIN_EXE_lab");

fn lab(arguments: &[&str]) -> Output {
    Command::new(LAB).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A file that goes with the test.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("lab-test-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_exit_status_is_the_commands() {
    for (script, wanted) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(lab(&["run", "--", "sh", "-c", script]).status.code(), Some(wanted), "{script}");
    }
    let output = lab(&["run", "--", "/nonexistent/command"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot run /nonexistent/command"));
}

#[test]
fn a_bad_scenario_is_named() {
    let file = Scratch::new("bad.json");
    std::fs::write(&file.0, r#"{"servers": [{"adress": "203.0.113.1"}]}"#).unwrap();
    let output = lab(&["run", "--scenario", file.path(), "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("adress") && message.contains(file.path()), "{message}");
}

#[test]
fn the_environment_describes_the_network() {
    let output =
        lab(&["run", "--", "sh", "-c", "echo $LAB_PORT $LAB_NAMESERVER $LAB_ADDRESSES_V4 $LAB_ADDRESSES_V6; pwd"]);
    let here = std::env::current_dir().unwrap();
    let wanted = format!("8080 198.51.100.53 203.0.113.1 2001:db8:2::1\n{}\n", here.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
}

#[test]
fn the_command_keeps_its_limits_and_the_servers_have_room() {
    // More connections at once than the command's own limit would let the lab's servers hold.
    let script = r#"
        ulimit -n
        for process in 1 2 3; do
            (for number in $(seq 10 59); do eval "exec $number<>/dev/tcp/203.0.113.1/8080"; done
             for number in $(seq 10 59); do read -r -t 20 line <&$number && echo "$line"; done) &
        done
        wait"#;
    let limited = format!("ulimit -Sn 100; exec {LAB} run -- bash -c '{script}'");
    let output = Command::new("bash").args(["-c", &limited]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.lines().next(), Some("100"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().filter(|line| *line == "203.0.113.1 8080").count(), 150);
}

#[test]
fn the_logs_tell_of_questions_and_syns() {
    let (scenario, dns, syn) = (Scratch::new("logs.json"), Scratch::new("dns.jsonl"), Scratch::new("syn.jsonl"));
    let text = r#"{"dns": {"names": {"some.test": {"A": {"addresses": ["203.0.113.1"], "delay_ms": 20}, "AAAA": {"reply": "never"}}}},
                   "etc": {"resolv_options": "timeout:1 attempts:1"}}"#;
    std::fs::write(&scenario.0, text).unwrap();
    let client = "getent ahostsv4 some.test; getent ahostsv6 some.test; exec 3<>/dev/tcp/203.0.113.1/8080";
    let arguments = ["run", "--scenario", scenario.path(), "--dns-log", dns.path(), "--syn-log", syn.path(), "--"];
    let output = lab(&[arguments.as_slice(), &["bash", "-c", client]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let questions = dns.lines();
    let of = |record_type: &str| {
        questions.iter().find(|line| line["type"] == record_type && line["name"] == "some.test").unwrap()
    };
    let (answered, asked) = (of("A")["answered_ms"].as_f64().unwrap(), of("A")["time_ms"].as_f64().unwrap());
    // By the clock of the day, which may be set a little meanwhile.
    assert!(answered - asked >= 19.0, "{questions:?}");
    assert_eq!((&of("AAAA")["answered_ms"], &of("AAAA")["reply"]), (&Value::Null, &Value::from("never")));
    let syns = syn.lines();
    // The kernel sends it again after a second, which a busy machine may let pass.
    let [line, again @ ..] = syns.as_slice() else { panic!("there is no line") };
    assert!(again.iter().all(|line| line["retransmission"] == true), "{syns:?}");
    assert_eq!((&line["family"], &line["destination"]), (&Value::from("ipv4"), &Value::from("203.0.113.1")));
    assert_eq!((&line["port"], &line["retransmission"]), (&Value::from(8080), &Value::from(false)));
}

/// Longer than anything here takes, and no wait for anything that comes.
const PATIENCE_MS: u16 = 20_000;

/// A lab whose command has left a process behind that ignores what signals it can.
struct Lab {
    child: Child,
    output: ChildStdout,
    _text: Scratch,
}

impl Lab {
    /// Starts `script`, which finds in its first argument a file that says "running".
    fn start(script: &str) -> Lab {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let text = Scratch::new(&format!("running-{}", COUNT.fetch_add(1, Ordering::SeqCst)));
        std::fs::write(&text.0, "running").unwrap();
        let script = format!("(trap '' INT TERM HUP; exec sleep 10000) & {script}");
        let mut child = Command::new(LAB)
            .args(["run", "--", "sh", "-c", &script, "sh", text.path()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut word = [0_u8; 7];
        output.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"running");
        Lab { child, output, _text: text }
    }

    /// Waits until the last process that holds the output has ended; then for the lab itself.
    fn wait(&mut self) -> Option<i32> {
        let mut descriptors = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut descriptors, PollTimeout::from(PATIENCE_MS)).unwrap();
        if ready == 0 {
            self.child.kill().unwrap();
        }
        assert_eq!(ready, 1, "a process outlives the command");
        assert_eq!(self.output.read(&mut [0]).unwrap(), 0);
        self.child.wait().unwrap().code()
    }
}

#[test]
fn nothing_outlives_a_signal() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let interfaces = || std::fs::read_dir("/sys/class/net").unwrap().count();
    let before = (mounts(), interfaces());
    for (signal, wanted) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(143)), (Signal::SIGKILL, None)] {
        let mut lab = Lab::start("exec tail -f \"$1\"");
        kill(Pid::from_raw(lab.child.id() as i32), signal).unwrap();
        assert_eq!(lab.wait(), wanted, "{signal}");
        assert_eq!((mounts(), interfaces()), before, "{signal}");
    }
}

#[test]
fn nothing_outlives_the_command() {
    assert_eq!(Lab::start("exec cat \"$1\"").wait(), Some(0));
}

#[test]
fn a_client_that_waits_for_both_answers_is_judged_by_it() {
    let directory = std::env::temp_dir().join(format!("lab-test-{}-measure", std::process::id()));
    let path = directory.to_str().unwrap();
    // bash resolves both families at once and then tries one address after the other.
    let client = "bash -c 'exec 3<>/dev/tcp/{host}/{port}'";
    let arguments = ["measure", "--short", "--repeat", "1", "--part", "a-delay", "--client", client, "--output", path];
    let output = lab(&arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("waits for A") && text.contains("0 passed, 1 failed"), "{text}");
    let results: Value = serde_json::from_slice(&std::fs::read(directory.join("measure.json")).unwrap()).unwrap();
    assert_eq!(results["experiments"].as_array().unwrap().len(), 11);
    assert_eq!(results["judgements"][0]["passed"], Value::from(false));
    let figure = std::fs::read_to_string(directory.join("resolution-delay-a.svg")).unwrap();
    assert!(figure.contains("<circle"), "the gaps are drawn");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_client_that_does_not_connect_is_named_with_what_it_says() {
    let directory = std::env::temp_dir().join(format!("lab-test-{}-broken", std::process::id()));
    let client = "sh -c 'echo no idea how >&2; exit 3' {host} {port}";
    let output = lab(&["measure", "--short", "--client", client, "--output", directory.to_str().unwrap()]);
    std::fs::remove_dir_all(&directory).unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125));
    assert!(message.contains("no idea how") && message.contains("Some(3)"), "{message}");
}

#[test]
fn the_scenario_is_printed_with_its_defaults() {
    let output = lab(&["scenario"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["port"], 8080);
    assert_eq!(printed["dns"]["addresses"][0], "198.51.100.53");
}
