//! What is written besides what is shown: JSON, qlog, pictures.

use crate::args::PictureOptions;
use crate::picture;
use crate::qlog;
use crate::record::Record;
use anyhow::{Context, Result};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// One object on a line of its own.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&line).and_then(|()| output.flush()).context("standard output")
}

/// Writes the files that were asked for.
pub fn write(pictures: &PictureOptions, qlog: Option<&Path>, records: &[Record]) -> Result<()> {
    if let Some(path) = &pictures.svg {
        write_file(path, picture::svg(records)?.as_bytes())?;
    }
    if let Some(path) = &pictures.png {
        write_file(path, &picture::png(records)?)?;
    }
    if let Some(path) = qlog {
        write_file(path, &qlog::text(records)?)?;
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| path.display().to_string())
}
