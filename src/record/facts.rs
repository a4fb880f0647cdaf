//! `run.json`: what a run is, settled before it began and never changed.

use serde::{Deserialize, Serialize};

use super::entry::Stamp;
use super::rundir::RunDir;
use crate::domain::Classes;
use crate::job::{InputOptions, Job, Source};

/// `run.json`: what the run is. Written once; the journal is chained to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunFacts {
    /// The layout of the run directory that the program wrote.
    pub format: u32,
    /// The program's version.
    pub version: String,
    /// The run's name.
    pub run_id: String,
    /// When it was made.
    pub started_at: Stamp,
    /// Who started it.
    pub operator: String,
    /// The Unix user that the process belonged to.
    #[serde(default)]
    pub unix_user: String,
    /// On which machine.
    pub host: String,
    /// Why, if that was said.
    #[serde(default)]
    pub ticket: Option<String>,
    /// Whether nothing is ever sent.
    pub dry_run: bool,
    /// The input.
    pub input: InputFacts,
    /// Everything that was settled before it began, but for the servers.
    pub settings: serde_json::Value,
    /// The servers; no secret, but where each secret comes from.
    pub servers: serde_json::Value,
    /// The run that this one takes back.
    pub undo_of: Option<String>,
}

impl RunFacts {
    /// The facts of a run that nobody has typed: without settings, servers and operator. Set the
    /// fields that are known before writing it down.
    pub fn new(dir: &RunDir, input: &Source, job: &Job, options: InputOptions) -> RunFacts {
        RunFacts {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: dir.run_id(),
            started_at: Stamp::now(),
            operator: String::new(),
            unix_user: String::new(),
            host: String::new(),
            ticket: None,
            dry_run: false,
            input: InputFacts { name: input.name().to_owned(), sha256: job.sha256.clone(), options },
            settings: serde_json::Value::Null,
            servers: serde_json::Value::Null,
            undo_of: None,
        }
    }
}

impl RunFacts {
    /// The error classes that count for nothing, by the run's own settings.
    pub fn tolerated(&self) -> Classes {
        serde_json::from_value(self.settings["tolerate"].clone()).unwrap_or_default()
    }
}

/// A name with the Unix user behind it, where that says more: `anna (unix root)`.
pub fn who(operator: &str, unix_user: &str) -> String {
    match unix_user {
        "" => operator.to_owned(),
        same if same == operator => operator.to_owned(),
        other => format!("{operator} (unix {other})"),
    }
}

/// What is to be known of the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputFacts {
    /// The name it was read under.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// How it is to be read.
    pub options: InputOptions,
}

/// The layout that this version writes and reads.
pub const FORMAT: u32 = 2;
