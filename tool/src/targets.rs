//! What is to be checked: targets from arguments or a list.

use crate::exit::Usage;
use anyhow::{Context, Result};
use std::io::{IsTerminal, Read};
use std::net::{IpAddr, Ipv6Addr};

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was given.
    pub text: String,
    pub host: String,
    pub port: u16,
}

impl Target {
    /// HOST, HOST:PORT, an address, or [ADDRESS]:PORT.
    pub fn parse(text: &str, default_port: u16) -> Result<Target, String> {
        let (host, port) = split(text)?;
        if host.is_empty() {
            return Err("the host is missing".to_owned());
        }
        let port = match port {
            None => default_port,
            Some(port) => {
                let number = port.parse::<u16>().ok().filter(|number| *number > 0);
                number.ok_or_else(|| format!("\"{port}\" is no port: a number from 1 to 65535 is wanted"))?
            }
        };
        Ok(Target { text: text.to_owned(), host: host.to_owned(), port })
    }

    /// The address, where the host is one: then there is only its family to check.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// The host and, if there is one, the port.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the closing bracket is missing")?;
        return match (rest.is_empty(), rest.strip_prefix(':')) {
            (true, _) => Ok((host, None)),
            (false, Some(port)) => Ok((host, Some(port))),
            (false, None) => Err("a colon and a port may follow the bracket, nothing else".to_owned()),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err("an IPv6 address with a port has brackets around it: [2001:db8::1]:443".to_owned())
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

/// The targets of the arguments; of standard input for "-", or where there are none.
pub fn read(arguments: &[String], default_port: u16) -> Result<Vec<Target>> {
    let parse = |place: &str, text: &str| {
        Target::parse(text, default_port).map_err(|reason| Usage(format!("{place} \"{text}\": {reason}")))
    };
    let mut targets = Vec::new();
    for argument in arguments.iter().filter(|argument| *argument != "-") {
        targets.push(parse("TARGET", argument)?);
    }
    if arguments.is_empty() || arguments.iter().any(|argument| argument == "-") {
        if arguments.is_empty() && std::io::stdin().is_terminal() {
            return Err(Usage("TARGET: none is given, here or on standard input".to_owned()).into());
        }
        let mut list = String::new();
        std::io::stdin().read_to_string(&mut list).context("standard input")?;
        for (number, line) in list.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split_whitespace() {
                targets.push(parse(&format!("line {}:", number + 1), word)?);
            }
        }
    }
    if targets.is_empty() {
        return Err(Usage("TARGET: there is none in the list".to_owned()).into());
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_as_people_write_it() {
        for (text, host, port) in [
            ("example.org", "example.org", 443),
            ("example.org:80", "example.org", 80),
            ("192.0.2.1", "192.0.2.1", 443),
            ("192.0.2.1:8080", "192.0.2.1", 8080),
            ("2001:db8::1", "2001:db8::1", 443),
            ("[2001:db8::1]", "2001:db8::1", 443),
            ("[2001:db8::1]:22", "2001:db8::1", 22),
        ] {
            let target = Target::parse(text, 443).expect(text);
            assert_eq!((target.host.as_str(), target.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_would_be_right() {
        for (text, told) in [
            ("", "host is missing"),
            (":80", "host is missing"),
            ("example.org:0", "from 1 to 65535"),
            ("example.org:http", "from 1 to 65535"),
            ("example.org:65536", "from 1 to 65535"),
            ("[::1", "closing bracket"),
            ("[::1]80", "a colon and a port"),
            ("2001:db8::1:443:x", "brackets around it"),
        ] {
            let reason = Target::parse(text, 443).expect_err(text);
            assert!(reason.contains(told), "{text}: {reason}");
        }
    }
}
