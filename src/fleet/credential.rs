//! Where a token or password comes from. What is stored with a run is the place, never the secret.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::Secret;
use crate::uapi::Credential;

/// The place that a secret is read from, each time a session begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialSource {
    /// A file whose one line is an API token.
    TokenFile(PathBuf),
    /// A shell command that prints an API token.
    TokenCommand(String),
    /// An environment variable that holds an API token.
    TokenEnv(String),
    /// A file whose one line is the account's password.
    PasswordFile(PathBuf),
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
    /// Reads the secret.
    ///
    /// # Errors
    /// If there is none, or it is not one line of printable text.
    pub fn read(&self) -> Result<Credential, CredentialError> {
        let (text, place) = match self {
            CredentialSource::TokenFile(path) => {
                (read_file("token", path)?, format!("the token file {}", path.display()))
            }
            CredentialSource::PasswordFile(path) => {
                (read_file("password", path)?, format!("the password file {}", path.display()))
            }
            CredentialSource::TokenEnv(name) | CredentialSource::PasswordEnv(name) => {
                let text = std::env::var(name).map_err(|_| CredentialError::Env(name.clone()))?;
                (text, format!("the variable {name}"))
            }
            CredentialSource::TokenCommand(command) => {
                (run(command)?, format!("what the token command `{command}` printed"))
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

fn read_file(what: &'static str, path: &Path) -> Result<String, CredentialError> {
    let fault = |fault| CredentialError::File { what, path: path.display().to_string(), fault };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(MAX_SECRET + 1).read_to_string(&mut text).map_err(fault)?;
    Ok(text)
}

/// Runs a command in the shell and returns what it printed.
fn run(command: &str) -> Result<String, CredentialError> {
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
    let deadline = Instant::now() + COMMAND_TIME;
    let status = loop {
        match child.try_wait().map_err(|e| failed(e.to_string()))? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("did not end within {} seconds", COMMAND_TIME.as_secs())));
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
mod tests {
    use super::*;

    fn token(source: &CredentialSource) -> Result<String, String> {
        match source.read() {
            Ok(Credential::Token(secret) | Credential::Password(secret)) => Ok(secret.expose().to_owned()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn a_file_holds_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (text, expected) in [("T0KEN\n", Ok("T0KEN")), ("T0KEN\r\n", Ok("T0KEN")), ("T0KEN", Ok("T0KEN"))]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(token(&CredentialSource::TokenFile(path.clone())), expected.map(str::to_owned));
        }
        for text in ["", "\n", "T0KEN\nT0KEN2\n", " T0KEN", "T0\u{1b}KEN", &"T0KEN".repeat(2000)] {
            std::fs::write(&path, text).unwrap();
            let error = token(&CredentialSource::TokenFile(path.clone())).unwrap_err();
            assert!(!error.contains("T0") && error.contains("token file"), "{error}");
        }
        let error = token(&CredentialSource::PasswordFile(dir.path().join("none"))).unwrap_err();
        assert!(error.contains("password file") && error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn a_command_prints_the_token_or_says_why_not() {
        assert_eq!(token(&CredentialSource::TokenCommand("echo T0KEN".into())), Ok("T0KEN".into()));
        for (command, why) in
            [("exit 3", "failed"), ("printf 'a\\nb\\n'", "more than one line"), ("true", "is empty")]
        {
            let error = token(&CredentialSource::TokenCommand(command.into())).unwrap_err();
            assert!(error.contains(why) && error.contains(command), "{error}");
        }
    }
}
