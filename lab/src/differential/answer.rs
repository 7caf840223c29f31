//! What an asker (lab/ask.c) was told, as it printed it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result};
use serde::Serialize;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// 0, or the error of the function that was asked.
    pub code: i32,
    /// errno with EAI_SYSTEM, else 0.
    pub errno: i32,
    /// Addresses, or all that an addrinfo says.
    pub items: Vec<String>,
}

/// The answers of one asker, by question.
pub type Answers = BTreeMap<String, Answer>;

/// Where the address stands in FLAGS/FAMILY/SOCKTYPE/PROTOCOL/ADDRESS/PORT/SCOPE/CANONNAME.
const ADDRESS_FIELD: usize = 4;

impl Answer {
    /// The addresses, whatever their order.
    pub fn addresses(&self) -> BTreeSet<&str> {
        self.items.iter().map(|item| item.split('/').nth(ADDRESS_FIELD).unwrap_or(item)).collect()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.code)?;
        if self.errno != 0 {
            write!(formatter, " (errno {})", self.errno)?;
        }
        self.items.iter().try_for_each(|item| write!(formatter, " {item}"))
    }
}

/// Reads the output of an asker.
pub fn parse(text: &str) -> Result<Answers> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next().with_context(|| format!("an answer is cut short: {line}"));
        let (question, code, errno) = (next()?.to_owned(), next()?.parse()?, next()?.parse()?);
        Ok((question, Answer { code, errno, items: words.map(str::to_owned).collect() }))
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_read() {
        let answers = parse("lookup 0 0 0x28/2/1/6/127.0.0.1/80/0/- 0x0/10/1/6/::1/80/0/-\nblocking -11 5\n").unwrap();
        assert_eq!(answers["lookup"].addresses(), ["127.0.0.1", "::1"].into());
        assert_eq!(answers["blocking"], Answer { code: -11, errno: 5, items: Vec::new() });
        assert!(parse("lookup 0\n").is_err());
        assert!(parse("lookup zero 0\n").is_err());
    }
}
