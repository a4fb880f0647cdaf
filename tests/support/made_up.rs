//! Runs that never happened, written down as if they had: for what needs a large one at once.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;

use mailsweep::Exit;
use mailsweep::domain::{ErrorClass, Status};
use mailsweep::job::{self, InputOptions, Source};
use mailsweep::record::{
    Ended, Entry, Ledger, Material, Outcomes, RunDir, RunFacts, SessionEntry, SessionFigures, Stamp,
};

/// Writes a run of so many operations, one to a mailbox, of which every `n`-th failed; in `dir`, which
/// must not be there. The fourth and last file of a session, its report, is written too.
pub fn run(dir: &Path, operations: u32, every: u32, error: &str) {
    const ACCOUNTS: u32 = 300;
    let rows: String = std::iter::once("email,action,channel,ticket\n".to_owned())
        .chain(
            (0..operations)
                .map(|i| format!("user{i:07}@domain{}.example,suspend,login,4711\n", i % ACCOUNTS)),
        )
        .collect();
    let options = InputOptions::default();
    let source = Source::bytes(rows);
    let job = job::read(&source, &options).unwrap();
    let start = Stamp(1_795_460_400_000);
    let at = |ms: u32| Stamp(start.0 + i64::from(ms));
    let dir = RunDir::create(Some(dir), dir.parent().unwrap(), "job", start).unwrap();
    let facts = RunFacts {
        started_at: start,
        operator: "anna".into(),
        ..RunFacts::new(&dir, &source, &job, options)
    };
    dir.write_facts(&facts, &source).unwrap();

    let session = SessionEntry {
        at: start,
        version: facts.version.clone(),
        operator: "anna".into(),
        host: "desk".into(),
        pid: 1,
        servers: vec!["web01".into(), "web02".into()],
        ..SessionEntry::default()
    };
    let sessions = vec![SessionFigures::begun(&session)];
    let mut journal = dir.start_journal(&facts).unwrap();
    let mut ledger = Ledger::new(&job);
    let mut note = |entry: Entry| {
        let line = journal.append(&entry, 0);
        ledger.apply(&entry, line);
        if line.is_multiple_of(997) {
            journal.flush().unwrap();
        }
    };
    note(Entry::Session(session));
    for account in 0..ACCOUNTS.min(operations) {
        let mailboxes =
            (0..operations).skip(account as usize).step_by(ACCOUNTS as usize).map(|id| (id, id)).collect();
        let server = u16::from(account % 3 == 0);
        note(Entry::Route { at: start, server, account: format!("account{account}"), mailboxes });
    }
    for op in 0..operations {
        let failed = op % every == 0;
        let status = if failed { Status::Failed } else { Status::Ok };
        let class = failed.then_some(ErrorClass::Api);
        let error = if failed { format!("{error} (case {op})") } else { String::new() };
        let server = Some(u16::from((op % ACCOUNTS).is_multiple_of(3)));
        let (ms, http) = (Some(40 + op % 90 + if op % 50 == 0 { 700 } else { 0 }), Some(200));
        note(Entry::End(Ended { at: at(op * 2), op, server, ms, status, class, http, error: error.into() }));
    }
    journal.flush_to_disk().unwrap();
    let file = journal.handle().unwrap();
    let kept = dir.input().unwrap();
    let outcomes = Outcomes::Done { ledger: &ledger, journal: &file };
    let material = Material {
        job: &job,
        input: &kept,
        options: &facts.input.options,
        tolerated: facts.tolerated(),
        outcomes,
    };
    dir.close(&facts, &material, &mut journal, sessions, |_| Exit::Incomplete, &mailsweep::view::report)
        .unwrap();
}
