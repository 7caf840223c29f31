//! `happy draw`: a race that was stored, or two beside each other.

use crate::args::{DrawArguments, LookOptions};
use crate::chart::{self, Frame};
use crate::connect::conclusion;
use crate::exit;
use crate::look::{Look, Paint};
use crate::output;
use crate::record::{Record, VERSION};
use anyhow::{Context, Result, bail};
use console::Term;
use std::io::Read;
use std::path::Path;

pub fn run(arguments: &DrawArguments, look: &LookOptions) -> Result<u8> {
    let mut records = Vec::new();
    for path in std::iter::once(&arguments.trace).chain(&arguments.other) {
        records.push(read(path)?);
    }
    let written = arguments.pictures.svg.is_some() || arguments.pictures.png.is_some() || arguments.qlog.is_some();
    output::write(&arguments.pictures, arguments.qlog.as_deref(), &records)?;
    if !written {
        show(&records, look);
    }
    Ok(exit::FINE)
}

/// On the terminal, one below the other and on one scale.
fn show(records: &[Record], look: &LookOptions) {
    let term = Term::stdout();
    let look = Look::of(&term, look);
    let frame = Frame::around(records);
    for (number, record) in records.iter().enumerate() {
        let mut lines = Vec::new();
        if number > 0 {
            lines.push(String::new());
        }
        lines.push(look.paint(Paint::Strong, &record.title()));
        lines.extend(chart::lines_in(record, record.span_ms(), &frame, &look));
        lines.extend(conclusion(record, &look));
        for line in lines {
            let _ = term.write_line(&line);
        }
    }
}

/// The last race in a file: `happy connect --repeat --json` writes several.
fn read(path: &Path) -> Result<Record> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        text
    } else {
        std::fs::read_to_string(path).with_context(|| name.clone())?
    };
    let wanted = "what `happy connect --json` writes is wanted";
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    let last = values.by_ref().last().with_context(|| format!("{name}: it is empty; {wanted}"))?;
    let value = last.with_context(|| format!("{name}: it is no JSON; {wanted}"))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => bail!("{name}: it is of version {version}, and this program reads version {VERSION}"),
        None => bail!("{name}: it has no version; {wanted}"),
    }
    serde_json::from_value(value).with_context(|| format!("{name}: it is no race; {wanted}"))
}
