//! A saved plan: what was foreseen for each operation of an input, sealed.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk;
use super::entry::{Stamp, rows_have};
use super::facts::InputFacts;
use crate::job::{InputOptions, Job};

/// What a plan has foreseen. Operations are named by their place among those of the job, from 0, in
/// rows: first and last of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The layout of the file.
    pub mailsweep_plan: u32,
    /// The program's version.
    pub version: String,
    /// When it was made.
    pub made_at: Stamp,
    /// By whom.
    pub operator: String,
    /// The input that it is of.
    pub input: InputFacts,
    /// How many operations that has.
    pub operations: u64,
    /// Those that would be called.
    pub planned: Vec<(u32, u32)>,
    /// Those whose mailbox was so already.
    pub unchanged: Vec<(u32, u32)>,
}

/// The file: the plan, and a hash of it.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    plan: Plan,
    seal: String,
}

/// The layout that this version writes and reads.
pub const PLAN_FORMAT: u32 = 1;

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It cannot be read.
    #[error("the plan {path} cannot be read: {source}")]
    Io {
        /// The file.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// It is no plan, or one of another version.
    #[error(
        "{path} is no plan that this version knows ({why}): make one with mailsweep plan JOB --save FILE"
    )]
    NotAPlan {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It is not what was written.
    #[error("the plan {0} was altered after it was made: make a new one with mailsweep plan JOB --save FILE")]
    Altered(String),
    /// It is of another input.
    #[error(
        "the plan {path} is of another input ({why}): make one of this with mailsweep plan JOB --save FILE"
    )]
    OtherInput {
        /// The file.
        path: String,
        /// What differs.
        why: &'static str,
    },
}

impl Plan {
    /// Writes it, sealed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let sealed = Sealed { plan: self.clone(), seal: self.seal() };
        disk::write_whole(path, |out| {
            serde_json::to_writer(&mut *out, &sealed)?;
            out.write_all(b"\n")
        })
    }

    /// Reads one that was made of this job.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn read(path: &Path, job: &Job, options: &InputOptions) -> Result<Plan, PlanError> {
        let shown = path.display().to_string();
        let text = std::fs::read(path).map_err(|source| PlanError::Io { path: shown.clone(), source })?;
        let no_plan = |why: String| PlanError::NotAPlan { path: shown.clone(), why };
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|fault| no_plan(fault.to_string()))?;
        let Sealed { plan, seal } = sealed;
        if plan.mailsweep_plan != PLAN_FORMAT {
            return Err(no_plan(format!("layout {}", plan.mailsweep_plan)));
        }
        if plan.seal() != seal {
            return Err(PlanError::Altered(shown));
        }
        let why = if plan.input.sha256 != job.sha256 {
            Some("its content differs")
        } else if plan.input.options != *options {
            Some("the flags or the configuration that say how to read it differ")
        } else if plan.operations != job.operations.len() as u64 {
            Some("it has another number of operations")
        } else {
            None
        };
        why.map_or(Ok(plan), |why| Err(PlanError::OtherInput { path: shown, why }))
    }

    fn seal(&self) -> String {
        // Plain members: it can be written into memory.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"mailsweep plan 1\n").update(&text);
        hasher.finalize().to_hex().to_string()
    }

    /// Whether an operation would be called.
    pub fn is_planned(&self, op: u32) -> bool {
        rows_have(&self.planned, op)
    }

    /// Whether an operation's mailbox was so already.
    pub fn is_unchanged(&self, op: u32) -> bool {
        rows_have(&self.unchanged, op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Source, read};

    fn job(rows: &str) -> Job {
        read(&Source::bytes(format!("email,action,channel\n{rows}")), &InputOptions::default()).unwrap()
    }

    const ROWS: &str = "a@example.com,suspend,all\nb@example.com,suspend,login\n";

    fn plan(job: &Job) -> Plan {
        Plan {
            mailsweep_plan: PLAN_FORMAT,
            version: "1".into(),
            made_at: Stamp(0),
            operator: "anna".into(),
            input: InputFacts {
                name: "job.csv".into(),
                sha256: job.sha256.clone(),
                options: InputOptions::default(),
            },
            operations: 4,
            planned: vec![(0, 1), (3, 3)],
            unchanged: vec![(2, 2)],
        }
    }

    #[test]
    fn a_plan_is_read_again_by_whom_it_is_for_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        let job = job(ROWS);
        plan(&job).save(&path).unwrap();
        let read = |job: &Job, options: &InputOptions| Plan::read(&path, job, options);
        let options = InputOptions::default();
        assert_eq!(read(&job, &options).unwrap(), plan(&job));
        let other = self::job("a@example.com,suspend,all\n");
        assert!(matches!(read(&other, &options), Err(PlanError::OtherInput { .. })));
        let flags = InputOptions { skip_invalid: true, ..options };
        assert!(matches!(read(&job, &flags), Err(PlanError::OtherInput { .. })));
    }

    #[test]
    fn every_change_of_what_it_says_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        let job = job(ROWS);
        plan(&job).save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (old, new) in [("[3,3]", "[2,3]"), ("anna", "ben"), ("[[2,2]]", "[]"), ("1970", "1971")] {
            assert!(text.contains(old), "{old} in {text}");
            std::fs::write(&path, text.replacen(old, new, 1)).unwrap();
            let read = Plan::read(&path, &job, &InputOptions::default());
            assert!(matches!(read, Err(PlanError::Altered(_))), "{old}: {read:?}");
        }
        for odd in ["", "{}", "[1", "\u{feff}"] {
            std::fs::write(&path, odd).unwrap();
            let read = Plan::read(&path, &job, &InputOptions::default());
            assert!(matches!(read, Err(PlanError::NotAPlan { .. })), "{odd}");
        }
    }
}
