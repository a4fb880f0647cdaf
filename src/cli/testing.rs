//! A small run of every kind of operation, for tests that let something happen to it: what it leaves
//! in the end must be what an unbroken one leaves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::Parser;

use super::args::{Cli, Command};
use super::{Failure, resume, run};
use crate::domain::{ErrorClass, Exit, Flags, Status};
use crate::record::{Disk, Entry};
use crate::sandbox::World;

/// Rows of every kind: several channels, opposite operations, a hold and a release, a repetition,
/// one that is no operation, and a column that only passes through.
const JOB: &str = "email,action,channel,note\n\
    a@example.com,suspend,login+outgoing,one\n\
    b@example.com,hold,outgoing,\n\
    b@example.com,release,outgoing,=1+1\n\
    c@example.com,suspend,all,\n\
    c@example.com,unsuspend,incoming,\n\
    d@example.com,suspend,login,\n\
    d@example.com,suspend,login,again\n\
    e@example.com,suspned,login,\n";

/// The place of the release among the operations.
const RELEASE: u32 = 3;

/// The rows with two operations on one flag of a mailbox: what was read before the second, whether the
/// first was seen to hold, and whether anything was read after both, depends on whether an interruption
/// came between the two.
const TWICE: [&str; 4] = ["2", "3", "4", "5"];

/// A directory with the job in it.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Place {
        // In memory where that can be had: syncs cost nothing there.
        let memory = PathBuf::from("/dev/shm");
        let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
        std::fs::write(dir.path().join("job.csv"), JOB).unwrap();
        std::fs::write(dir.path().join("mailsweep.toml"), "").unwrap();
        Place(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let at = |word: &str| word.replace("./", &format!("{}/", self.0.path().display()));
        let words = ["mailsweep".to_owned()].into_iter().chain(words.split(' ').map(at));
        Cli::try_parse_from(words).unwrap().command
    }

    pub fn run(&self, disk: &Disk) -> Exit {
        let words = "run ./job.csv --config ./mailsweep.toml --sandbox --yes --rate none --jobs 2 -q \
                     --skip-invalid --allow-conflicts --run-dir ./run";
        let Command::Run(args) = self.command(words) else { panic!() };
        exit(run::run(&args, disk))
    }

    pub fn resume(&self, disk: &Disk) -> Exit {
        let Command::Resume(args) = self.command("resume ./run -q --rate none") else { panic!() };
        exit(resume::resume(&args, disk))
    }

    /// Goes on with what is there, be it a run already or not yet.
    pub fn go_on(&self, disk: &Disk) -> Exit {
        if self.path("run/run.json").exists() {
            return self.resume(disk);
        }
        let _ = std::fs::remove_dir_all(self.path("run"));
        self.run(disk)
    }

    /// What is left in the end: the servers' state, and the results without what an interruption may
    /// change, attempts, answers and times.
    pub fn left(&self) -> Left {
        let world = World::load(&self.path("run/sandbox.json")).unwrap();
        let world = world.mailboxes().map(|(address, _, state)| (address, state.flags)).collect();
        let mut reader = csv::Reader::from_path(self.path("run/results.csv")).unwrap();
        let mut results: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
        for row in &mut results {
            for column in ["http_status", "attempts", "started_at", "duration_ms"] {
                row.remove(column);
            }
            if TWICE.contains(&row["row"].as_str()) {
                row.remove("state_before");
                row.remove("verified");
                row.remove("state_after");
            }
        }
        Left { world, results }
    }

    /// How often the journal says that the release is about to be sent.
    fn releases(&self) -> usize {
        let text = std::fs::read_to_string(self.path("run/journal.jsonl")).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap());
        entries.filter(|entry| matches!(entry, Entry::Begin { ops, .. } if ops.contains(&RELEASE))).count()
    }
}

fn exit(done: Result<Exit, Failure>) -> Exit {
    done.unwrap_or_else(|failure| failure.exit)
}

/// What a run leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    world: BTreeMap<String, Flags<bool>>,
    results: Vec<BTreeMap<String, String>>,
}

impl Left {
    /// The same, where a release whose answer was not written down is settled by what is held then: it
    /// is never sent twice.
    fn but_for_the_release(mut self, seen: &Left) -> Left {
        let release = RELEASE as usize;
        let theirs = &seen.results[release];
        let is_held = seen.world["b@example.com"].held;
        let is_settled = match theirs["status"].as_str() {
            "failed" => is_held,
            "unknown" => true,
            _ => false,
        };
        if is_settled && theirs["error_class"] == ErrorClass::Interrupted.word() {
            self.results[release].clone_from(theirs);
            self.world.insert("b@example.com".to_owned(), seen.world["b@example.com"]);
        }
        self
    }
}

impl Left {
    /// The same, where what was done and then forgotten was found to be so already.
    fn but_for_what_was_forgotten(mut self, seen: &Left) -> Left {
        for (ours, theirs) in self.results.iter_mut().zip(&seen.results) {
            if ours["status"] == Status::Ok.word() && theirs["status"] == Status::Unchanged.word() {
                let now = ours.get("state_after").cloned();
                ours.insert("status".to_owned(), Status::Unchanged.word().to_owned());
                if let (Some(before), Some(now)) = (ours.get_mut("state_before"), now) {
                    *before = now;
                }
            }
        }
        self
    }
}

/// What an unbroken run leaves.
fn unbroken() -> Left {
    static ONCE: OnceLock<Left> = OnceLock::new();
    let left = ONCE.get_or_init(|| {
        let place = Place::new();
        assert_eq!(place.run(&Disk::default()), Exit::Incomplete, "one row is no operation");
        let left = place.left();
        let status: Vec<&str> = left.results.iter().map(|row| row["status"].as_str()).collect();
        assert_eq!(status.iter().filter(|status| **status == "ok").count(), 9, "{status:?}");
        left
    });
    left.clone()
}

/// Checks that nothing shows of what has happened to the run.
pub fn assert_as_unbroken(place: &Place, what: &str) {
    let left = place.left();
    assert_eq!(left, unbroken().but_for_the_release(&left), "{what}");
    assert!(place.releases() <= 1, "{what}: the release was sent twice");
}

/// The same, for a run whose journal has lost what it knew: what it did is then so already.
pub fn assert_as_if_forgotten(place: &Place, what: &str) {
    let left = place.left();
    let expected = unbroken().but_for_what_was_forgotten(&left).but_for_the_release(&left);
    assert_eq!(left, expected, "{what}");
    assert!(place.releases() <= 1, "{what}: the release was sent twice");
}
