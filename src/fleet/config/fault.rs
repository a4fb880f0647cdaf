//! What is wrong with a configuration file: all of it at once, each fault with its line.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used. Names file, lines and keys and never repeats what the file
/// says, since a secret may have been written into it; but for servers' names, and for limits that
/// are little more than a number.
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    trouble: Trouble,
}

#[derive(Debug)]
enum Trouble {
    /// The file cannot be read at all.
    Unread(std::io::Error),
    /// It is no configuration.
    Faults {
        /// Line and what is wrong there, in the order of lines.
        listed: Vec<(usize, String)>,
        /// How many more there are.
        more: usize,
    },
}

/// So many faults are told; whoever has more will look again anyway.
const MOST: usize = 20;

impl ConfigError {
    pub(super) fn unread(path: &Path, fault: std::io::Error) -> ConfigError {
        ConfigError { path: path.to_owned(), trouble: Trouble::Unread(fault) }
    }

    pub(super) fn one(path: &Path, line: usize, text: String) -> ConfigError {
        ConfigError {
            path: path.to_owned(),
            trouble: Trouble::Faults { listed: vec![(line, text)], more: 0 },
        }
    }

    /// The lines that have a fault, in order; a line stands as often as it has one.
    pub fn lines(&self) -> Vec<usize> {
        match &self.trouble {
            Trouble::Unread(_) => Vec::new(),
            Trouble::Faults { listed, .. } => listed.iter().map(|(line, _)| *line).collect(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.trouble {
            Trouble::Unread(fault) => write!(f, "{path}: cannot be read: {fault}"),
            Trouble::Faults { listed, more } => {
                for (n, (line, text)) in listed.iter().enumerate() {
                    let end = if n == 0 { "" } else { "\n" };
                    write!(f, "{end}{path}:{line}: {text}")?;
                }
                if *more > 0 {
                    write!(f, "\n{path}: and {more} more")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Collects what is wrong while a file is read to its end.
pub(super) struct Faults {
    /// Where each line but the first begins, in bytes.
    starts: Vec<usize>,
    found: Vec<(usize, String)>,
}

impl Faults {
    pub(super) fn of(text: &str) -> Faults {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Faults { starts: starts.collect(), found: Vec::new() }
    }

    /// The line that a place, counted in bytes, is on.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at) + 1
    }

    pub(super) fn add(&mut self, at: usize, text: impl Into<String>) {
        self.found.push((self.line(at), text.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The error, if anything was found.
    ///
    /// # Errors
    /// With what was found.
    pub(super) fn end(mut self, path: &Path) -> Result<(), ConfigError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(line, _)| *line);
        let more = self.found.len().saturating_sub(MOST);
        self.found.truncate(MOST);
        Err(ConfigError { path: path.to_owned(), trouble: Trouble::Faults { listed: self.found, more } })
    }
}
