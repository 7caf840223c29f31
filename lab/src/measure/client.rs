//! The programs under measurement.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

/// A program that connects to a host and a port, once.
#[derive(Clone, Debug, Serialize)]
pub struct Client {
    /// What tables and figures call it.
    pub name: String,
    /// The words of its command line, with `{host}` and `{port}` where those belong.
    pub words: Vec<String>,
    /// Whether it runs at real-time priority.
    pub real_time: bool,
}

impl Client {
    /// Reads a command template: words as a shell splits them, with `{host}` and `{port}`.
    pub fn parse(name: &str, template: &str) -> Result<Client> {
        let words = shlex::split(template).with_context(|| format!("the quotes of {template:?} do not match"))?;
        ensure!(!words.is_empty(), "the command of {name} is empty");
        for place in ["{host}", "{port}"] {
            ensure!(template.contains(place), "the command of {name} does not say where {place} goes: {template}");
        }
        Ok(Client { name: name.to_owned(), words, real_time: false })
    }

    /// The program and its arguments for one connect.
    pub fn command_line(&self, host: &str, port: u16) -> Vec<String> {
        let port = port.to_string();
        self.words.iter().map(|word| word.replace("{host}", host).replace("{port}", &port)).collect()
    }
}

/// The peers that are installed, each as a program connects by it today. `directory` receives what has to be
/// compiled.
pub fn installed_peers(directory: &Path) -> Result<Vec<Client>> {
    let mut peers = Vec::new();
    let mut add = |name: String, words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned()).chain(["{host}".to_owned(), "{port}".to_owned()]);
        peers.push(Client { name, words: words.collect(), real_time: false });
    };
    if let Some(version) = version_of("python3", &["--version"]) {
        add(format!("asyncio {version}"), &["python3", "-c", include_str!("../../peers/asyncio_connect.py")]);
    }
    if let Some(version) = version_of("node", &["--version"]) {
        add(format!("node {version}"), &["node", "-e", include_str!("../../peers/connect.js"), "--"]);
    }
    if let Some(version) = version_of("ruby", &["-e", "puts RUBY_VERSION"]) {
        add(format!("ruby {version}"), &["ruby", "-e", include_str!("../../peers/connect.rb"), "--"]);
    }
    if let Some(version) = version_of("go", &["env", "GOVERSION"]) {
        let program = compile_go(directory)?;
        add(format!("go {version}"), &[&program]);
    }
    if let Some(version) = version_of("curl", &["--version"]) {
        let words =
            ["curl", "-s", "-o", "/dev/null", "-w", r#"{"elapsed_s": %{time_connect}}"#, "http://{host}:{port}/"];
        peers.push(Client {
            name: format!("curl {version}"),
            words: words.map(str::to_owned).to_vec(),
            real_time: false,
        });
    }
    Ok(peers)
}

/// The first word of a program's output that looks like a version; None if it cannot be run.
fn version_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().map(|word| word.trim_start_matches(|letter: char| letter.is_alphabetic()));
    version.filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit())).map(str::to_owned).next()
}

fn compile_go(directory: &Path) -> Result<String> {
    let source = directory.join("connect.go");
    let program = std::path::absolute(directory.join("connect_go"))?;
    std::fs::write(&source, include_str!("../../peers/connect.go"))?;
    let output = Command::new("go").arg("build").arg("-o").arg(&program).arg(&source).output()?;
    if !output.status.success() {
        bail!("cannot compile the Go client: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(program.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_becomes_a_command_line() {
        let client = Client::parse("ours", "./connect '{host}' --port={port} 'two words'").unwrap();
        assert_eq!(client.command_line("a.test", 80), ["./connect", "a.test", "--port=80", "two words"]);
    }

    #[test]
    fn a_template_without_a_place_for_the_port_is_refused() {
        let error = Client::parse("ours", "connect {host}").unwrap_err().to_string();
        assert!(error.contains("{port}"), "{error}");
    }
}
