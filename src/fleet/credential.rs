//! Where a token or password comes from. What is stored with a run is the place, never the secret.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::{Secret, command};
use crate::uapi::Credential;

/// The place that a secret is read from, each time a session begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialSource {
    /// A file whose one line is an API token.
    TokenFile(#[serde(with = "super::recorded_path")] PathBuf),
    /// A shell command that prints an API token.
    TokenCommand(String),
    /// An environment variable that holds an API token.
    TokenEnv(String),
    /// A file whose one line is the account's password.
    PasswordFile(#[serde(with = "super::recorded_path")] PathBuf),
    /// An environment variable that holds the account's password.
    PasswordEnv(String),
}

/// Why there is no secret. Never holds one.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("the {what} file {path} cannot be read: {fault}")]
    File {
        /// Token or password.
        what: &'static str,
        /// The file.
        path: String,
        /// Why.
        fault: std::io::Error,
    },
    /// Somebody else can read the file.
    #[error("the {what} file {path} {why}")]
    Open {
        /// Token or password.
        what: &'static str,
        /// The file.
        path: String,
        /// Who can, and what to type.
        why: String,
    },
    /// The variable is not set.
    #[error("the variable {0} is not set, or is not text")]
    Env(String),
    /// The command did not do its work.
    #[error("the token command `{command}` {why}")]
    Command {
        /// As it was given.
        command: String,
        /// What it did.
        why: String,
    },
    /// What was found there is not a secret.
    #[error("{place} {why}")]
    Shape {
        /// Where it was looked for.
        place: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// A secret is no longer than this, in bytes.
const MAX_SECRET: u64 = 4096;

/// A command that prints a token is waited for so long.
const COMMAND_TIME: Duration = Duration::from_secs(30);

impl CredentialSource {
    /// Reads the secret. A file with it may be open to its owner, and to the group of this number, if
    /// one is given.
    ///
    /// # Errors
    /// If there is none, it is not one line of printable text, or others can read its file.
    pub fn read(&self, group: Option<u32>) -> Result<Credential, CredentialError> {
        let (text, place) = match self {
            CredentialSource::TokenFile(path) => {
                (read_file("token", path, group)?, format!("the token file {}", path.display()))
            }
            CredentialSource::PasswordFile(path) => {
                (read_file("password", path, group)?, format!("the password file {}", path.display()))
            }
            CredentialSource::TokenEnv(name) | CredentialSource::PasswordEnv(name) => {
                let text = std::env::var(name).map_err(|_| CredentialError::Env(name.clone()))?;
                (text, format!("the variable {name}"))
            }
            CredentialSource::TokenCommand(command) => {
                (run(command, COMMAND_TIME)?, format!("what the token command `{command}` printed"))
            }
        };
        let secret = one_line(&text).map_err(|why| CredentialError::Shape { place, why })?;
        Ok(match self {
            CredentialSource::PasswordFile(_) | CredentialSource::PasswordEnv(_) => {
                Credential::Password(secret)
            }
            _ => Credential::Token(secret),
        })
    }
}

fn one_line(text: &str) -> Result<Secret, &'static str> {
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        Err("is empty")
    } else if text.len() as u64 > MAX_SECRET {
        Err("is too long to be a secret")
    } else if line.contains(['\r', '\n']) {
        Err("has more than one line; it must be the secret alone")
    } else if line.trim() != line || line.contains(|c: char| c.is_control()) {
        Err("has blanks around the secret, or control characters in it")
    } else {
        Ok(Secret::new(line.to_owned()))
    }
}

fn read_file(what: &'static str, path: &Path, group: Option<u32>) -> Result<String, CredentialError> {
    let fault = |fault| CredentialError::File { what, path: path.display().to_string(), fault };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    if let Some(why) = open_to_others(path, &file.metadata().map_err(fault)?, group) {
        return Err(CredentialError::Open { what, path: path.display().to_string(), why });
    }
    file.take(MAX_SECRET + 1).read_to_string(&mut text).map_err(fault)?;
    Ok(text)
}

/// Who beside its owner and the group can read a file or put something else into it, and what mends
/// that. What is no file, such as the pipe of a shell's `<(…)`, has a mode too.
fn open_to_others(path: &Path, found: &Metadata, group: Option<u32>) -> Option<String> {
    const OF_GROUP: u32 = 0o060;
    const OF_OTHERS: u32 = 0o006;
    let mode = found.mode() & 0o777;
    let is_the_teams = group == Some(found.gid());
    let (who, mended) = if mode & OF_OTHERS != 0 {
        ("everybody", if is_the_teams && mode & OF_GROUP != 0 { "640" } else { "600" })
    } else if mode & OF_GROUP != 0 && !is_the_teams {
        ("its group", "600")
    } else {
        return None;
    };
    let words = ["chmod".as_ref(), mended.as_ref(), path.as_os_str()];
    Some(format!("is open to {who} (mode {mode:03o}): {}", command(words)))
}

/// Runs a command in the shell and returns what it printed.
fn run(command: &str, patience: Duration) -> Result<String, CredentialError> {
    let failed = |why: String| CredentialError::Command { command: command.to_owned(), why };
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(format!("cannot be started: {e}")))?;
    let stdout = child.stdout.take();
    let (tell, printed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.map(|out| out.take(MAX_SECRET + 1).read_to_string(&mut text));
        let _ = tell.send(read.transpose().map(|_| text));
    });
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait().map_err(|e| failed(e.to_string()))? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("did not end within {} seconds", patience.as_secs_f32())));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if !status.success() {
        return Err(failed(format!("failed ({status})")));
    }
    // Something that it left behind may still hold the pipe open.
    match printed.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(_)) => Err(failed("printed what is not text".to_owned())),
        Err(_) => Err(failed("left something running that holds its output open".to_owned())),
    }
}

#[cfg(test)]
mod tests;
