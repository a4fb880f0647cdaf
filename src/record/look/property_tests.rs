use std::path::Path;

use proptest::prelude::*;

use super::super::disk::Disk;
use super::super::entry::Stamp;
use super::super::entry::{Asked, Attempt, Ended, Phase, Session, StateRead};
use super::super::results::{Material, Outcomes};
use super::*;
use crate::domain::{Classes, ErrorClass, State, Status};
use crate::job::{InputOptions, Source, read};

const JOB: &str = "email,action,channel,note\n\
    a@example.com,suspend,login+outgoing,one\n\
    b@example.com,hold,outgoing,\n\
    c@example.com,release,outgoing,=1\n\
    a@example.com,suspend,login,again\n";

/// Any entry, also one that speaks of operations, mailboxes and servers that there are none of.
fn entry() -> impl Strategy<Value = Entry> {
    let at = (0..2_000_000_000_000i64).prop_map(Stamp);
    let op = prop_oneof![20 => 0..5u32, 1 => any::<u32>()];
    let server = prop_oneof![20 => 0..2u16, 1 => any::<u16>()];
    let class = prop::sample::select(ErrorClass::ALL.to_vec());
    let status = prop::sample::select(Status::ALL.to_vec());
    let range = (prop_oneof![20 => 0..3u32, 1 => any::<u32>()], 0..3u32)
        .prop_map(|(first, more)| (first, first.saturating_add(more).min(first | 2)));
    let ranges = prop::collection::vec(range, 0..3);
    let text = "[a-z=\"\\\\{}\u{e9}]{0,12}";
    prop_oneof![
        (at.clone(), prop::collection::vec("web0[12]", 0..3)).prop_map(|(at, servers)| {
            let (version, operator, unix_user, ticket, host, limits) = Default::default();
            Entry::Session(Session {
                at,
                version,
                operator,
                unix_user,
                ticket,
                host,
                pid: 1,
                servers,
                limits,
            })
        }),
        (at.clone(), server.clone(), ranges.clone()).prop_map(|(at, server, mailboxes)| {
            Entry::Route { at, server, account: "anna".to_owned(), mailboxes }
        }),
        (at.clone(), prop::collection::vec(op.clone(), 0..4)).prop_map(|(at, ops)| Entry::Begin { at, ops }),
        (at.clone(), ranges.clone()).prop_map(|(at, ops)| Entry::Unchanged { at, ops }),
        (at.clone(), ranges.clone(), ranges.clone(), ranges.clone())
            .prop_map(|(at, holds, lacks, unclear)| Entry::Settled { at, holds, lacks, unclear }),
        (at.clone(), ranges.clone()).prop_map(|(at, ops)| {
            let (by, dir) = Default::default();
            Entry::Undone { at, by, dir, ops }
        }),
        (at.clone(), server.clone(), any::<bool>(), ranges.clone(), ranges.clone(), ranges).prop_map(
            |(at, server, is_before, rows, holds, lacks)| {
                let (phase, account) =
                    (if is_before { Phase::Before } else { Phase::After }, "anna".to_owned());
                let states = [(State::UNKNOWN, rows)].into();
                let (class, error) = (None, "".into());
                Entry::State(StateRead {
                    at,
                    server,
                    account,
                    phase,
                    requests: 1,
                    ms: 1,
                    states,
                    holds,
                    lacks,
                    class,
                    error,
                })
            }
        ),
        (at.clone(), op.clone(), server.clone(), class.clone(), any::<bool>(), text).prop_map(
            |(at, op, server, class, open, error)| {
                let (ms, http, error) = (u32::MAX, Some(504), error.into());
                Entry::Try(Attempt { at, op, server, ms, class, http, open, error })
            }
        ),
        (at.clone(), op, prop::option::of(server.clone()), status, prop::option::of(class.clone()), text)
            .prop_map(|(at, op, server, status, class, error)| {
                let (ms, http, error) = (server.map(u32::from), None, error.into());
                Entry::End(Ended { at, op, server, ms, status, class, http, error })
            }),
        (at.clone(), server.clone(), prop::option::of(class.clone())).prop_map(|(at, server, class)| {
            let error = "".into();
            Entry::Asked(Asked { at, server, requests: u32::MAX, ms: 1, domains: 2, class, error })
        }),
        (at.clone(), server, class.clone(), text).prop_map(|(at, server, class, reason)| Entry::Halt {
            at,
            server,
            class,
            reason
        }),
        (at.clone(), class, text).prop_map(|(at, class, reason)| Entry::Stop { at, class, reason }),
        (at, any::<u8>()).prop_map(|(at, code)| {
            Entry::Close { at, code, results: "ab".to_owned(), unfinished: None, report: None }
        }),
    ]
}

fn run(home: &Path) -> (RunDir, RunFacts, Job) {
    let input = Source::bytes(JOB);
    let job = read(&input, &InputOptions::default()).unwrap();
    let dir = RunDir::create(&Disk::default(), Some(&home.join("run")), home, "", Stamp(0)).unwrap();
    let facts = RunFacts::new(&dir, &input, &job, InputOptions::default());
    dir.write_facts(&facts, &input).unwrap();
    (dir, facts, job)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_lines_that_hang_together_add_up_or_are_refused(
        entries in prop::collection::vec(entry(), 0..12),
        cut in prop::option::of(0..2000usize),
    ) {
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (dir, facts, job) = run(home.path());
        let mut journal = dir.start_journal(&facts).unwrap();
        for entry in &entries {
            let synced = journal.offset();
            journal.append(entry, if journal.offset() % 2 == 0 { synced } else { 0 });
        }
        journal.flush().unwrap();
        drop(journal);
        let path = dir.file(JOURNAL);
        let whole = std::fs::read(&path).unwrap();
        if let Some(cut) = cut {
            std::fs::write(&path, &whole[..cut.min(whole.len())]).unwrap();
        }
        match dir.open_journal(&facts, &job) {
            Err(refused) => prop_assert!(matches!(refused, DirError::NotARun(_)), "{refused}"),
            Ok(opened) => {
                let (input, handle) = (dir.input().unwrap(), opened.journal.handle().unwrap());
                let options = &facts.input.options;
                let outcomes = Outcomes::Done { ledger: &opened.ledger, journal: &handle };
                let material = Material { job: &job, input: &input, options, tolerated: Classes::NONE, outcomes };
                let tally = material.write_results(io::sink()).unwrap();
                prop_assert_eq!(tally.operations(), job.operations.len() as u64);
                material.write_unfinished(io::sink()).unwrap();
                prop_assert!(opened.torn.is_none() || cut.is_some());
            }
        }
    }
}
