//! The manual page and the completions, from the definition that the parser uses.

use crate::args::Arguments;
use crate::exit;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Writes `happy.1`, one more page for each command, and the completions of bash, zsh and fish.
pub fn run(directory: &Path) -> Result<u8> {
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let command = Arguments::command();
    clap_mangen::generate_to(command.clone(), directory).with_context(|| directory.display().to_string())?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), "happy", directory)
            .with_context(|| directory.display().to_string())?;
    }
    Ok(exit::FINE)
}
