//! A run that tests can make of entries, without an engine.

use super::entry::{Entry, Session, Stamp};
use super::facts::RunFacts;
use super::journal::Journal;
use super::rundir::RunDir;
use crate::job::{InputOptions, Job, Source, read};

pub struct Run {
    _place: tempfile::TempDir,
    pub dir: RunDir,
    pub facts: RunFacts,
    pub job: Job,
}

impl Run {
    /// A run of these rows that has not begun.
    pub fn of(rows: &str) -> Run {
        let place = tempfile::tempdir().unwrap();
        let (source, options) = (Source::bytes(rows), InputOptions::default());
        let job = read(&source, &options).unwrap();
        let dir = RunDir::create(Some(&place.path().join("run")), place.path(), "job", Stamp(0)).unwrap();
        let facts = RunFacts::new(&dir, &source, &job, options);
        dir.write_facts(&facts, &source).unwrap();
        Run { _place: place, dir, facts, job }
    }

    /// Every byte of the run's directory.
    pub fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> =
            files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect();
        all.sort();
        all
    }
}

/// A session at two servers begins.
pub fn session(pid: u32) -> Entry {
    Entry::Session(Session {
        at: Stamp(5),
        operator: "anna".into(),
        host: "desk".into(),
        pid,
        servers: vec!["web01".into(), "web02".into()],
        ..Session::default()
    })
}

pub fn begin(op: u32) -> Entry {
    Entry::Begin { at: Stamp(6), ops: vec![op] }
}

pub fn close(code: u8) -> Entry {
    Entry::Close { at: Stamp(9), code, results: String::new(), unfinished: None, report: None }
}

pub fn write(journal: &mut Journal, entries: &[Entry]) {
    for entry in entries {
        journal.append(entry, journal.synced());
    }
    journal.flush_to_disk().unwrap();
}
