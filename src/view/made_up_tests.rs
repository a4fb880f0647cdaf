//! A run made up for tests of what is told of one: nothing of it ever happened.

use std::fs::File;
use std::io::Write;

use crate::domain::{ErrorClass, Status};
use crate::job::{InputOptions, Job, Source, read};
use crate::record::{
    Attempt, Ended, Entry, InputFacts, Ledger, Material, Outcomes, Report, RunDir, RunFacts, SessionEntry,
    SessionFigures, Stamp, Summary, Tally,
};

/// Monday, 2026-11-23, 19:00 UTC.
pub const START: i64 = 1_795_460_400_000;

/// A run of these rows at two servers, `web01` and `web02`, to one account each.
pub struct MadeUp {
    pub source: Source,
    pub options: InputOptions,
    pub job: Job,
    pub ledger: Ledger,
    journal: File,
    at: u64,
    pub facts: RunFacts,
    pub sessions: Vec<SessionFigures>,
}

/// All of it, added up.
pub struct Told {
    pub tally: Tally,
    pub summary: Summary,
}

impl MadeUp {
    /// A run of these rows, under a header; its one session has ended.
    pub fn new(rows: &str) -> MadeUp {
        let source = Source::bytes(format!("email,action,channel,ticket\n{rows}"));
        let options = InputOptions { skip_invalid: true, ..InputOptions::default() };
        let job = read(&source, &options).unwrap();
        let ledger = Ledger::new(&job);
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(Some(&place.path().join("run")), place.path(), "job", Stamp(START)).unwrap();
        let facts = RunFacts {
            operator: "anna".into(),
            ticket: Some("INC-4711".into()),
            input: InputFacts {
                name: "breach.csv".into(),
                sha256: "ab".repeat(32),
                options: options.clone(),
            },
            ..RunFacts::new(&dir, &source, &job, options.clone())
        };
        let journal = tempfile::tempfile().unwrap();
        let mut run = MadeUp { source, options, job, ledger, journal, at: 0, facts, sessions: Vec::new() };
        run.session(0);
        run
    }

    /// A session begins; the mailboxes are spread over the two servers.
    pub fn session(&mut self, at_ms: i64) {
        let session = SessionEntry {
            at: Stamp(START + at_ms),
            operator: "anna".into(),
            host: "desk".into(),
            pid: 1,
            servers: vec!["web01".into(), "web02".into()],
            ..SessionEntry::default()
        };
        self.sessions.push(SessionFigures {
            ended_at: Some(Stamp(START + 3_600_000).to_string()),
            exit_code: Some(1),
            chain: Some("c0ffee".into()),
            ..SessionFigures::begun(&session)
        });
        self.note(Entry::Session(session));
        let last = u32::try_from(self.job.mailboxes.len()).unwrap();
        for server in 0..2u16 {
            let mailboxes = (0..last).filter(|id| id % 2 == u32::from(server)).map(|id| (id, id)).collect();
            let account = ["alfa", "beta"][usize::from(server)].to_owned();
            self.note(Entry::Route { at: Stamp(START), server, account, mailboxes });
        }
    }

    /// Takes an entry in, as if it stood in the journal.
    pub fn note(&mut self, entry: Entry) {
        let mut line = serde_json::to_string(&entry).unwrap();
        line.pop();
        line.push_str(&format!(",\"h\":\"{}\"}}\n", "0".repeat(32)));
        self.journal.write_all(line.as_bytes()).unwrap();
        self.ledger.apply(&entry, self.at);
        self.at += line.len() as u64;
    }

    /// An operation ends by a call of 50 ms that began so long after the start.
    pub fn ends(&mut self, op: u32, at_ms: i64, status: Status, class: Option<ErrorClass>, error: &str) {
        let server = Some((self.job.operations[op as usize].mailbox.0 % 2) as u16);
        let (at, ms, http) = (Stamp(START + at_ms), Some(50), Some(200));
        self.note(Entry::End(Ended { at, op, server, ms, status, class, http, error: error.into() }));
    }

    /// An operation is tried in vain.
    pub fn tried(&mut self, op: u32, at_ms: i64, class: ErrorClass) {
        let at = Stamp(START + at_ms);
        let error = "in vain".into();
        self.note(Entry::Try(Attempt { at, op, server: 0, ms: 900, class, http: None, open: false, error }));
    }

    pub fn material(&self) -> Material<'_> {
        Material {
            job: &self.job,
            input: &self.source,
            options: &self.options,
            tolerated: Default::default(),
            outcomes: Outcomes::Done { ledger: &self.ledger, journal: &self.journal },
        }
    }

    /// Adds it up.
    pub fn told(&self) -> Told {
        let material = self.material();
        let tally = material.tell(|_| Ok(())).unwrap();
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(Some(&place.path().join("run")), place.path(), "job", Stamp(START)).unwrap();
        let ended = Stamp(START + 3_600_000);
        let exit =
            if tally.counts.keys().all(|s| s.is_good()) { crate::Exit::Ok } else { crate::Exit::Incomplete };
        let summary = dir.summarise(&material, &tally, self.sessions.clone(), exit, ended);
        Told { tally, summary }
    }
}

impl Told {
    pub fn report<'a>(&'a self, run: &'a MadeUp) -> Report<'a> {
        Report {
            facts: &run.facts,
            summary: &self.summary,
            tally: &self.tally,
            mailboxes: &run.job.mailboxes,
            servers: run.ledger.servers(),
            chain: Some("0123456789abcdef0123456789abcdef"),
        }
    }
}
