//! A journal that is cut or changed: what may be a kill's or a power cut's doing is cut off and the run
//! resumed, what cannot be is refused, and nothing is ever taken for what it is not.

use super::testing::{Place, assert_as_if_forgotten};
use crate::domain::Exit;
use crate::job::{self, Job};
use crate::record::{DirError, Disk, Entry, Ledger, RunDir, RunFacts, Standing, Torn};

/// A run that has ended, as its journal has it.
struct Run {
    place: Place,
    dir: RunDir,
    facts: RunFacts,
    job: Job,
    journal: Vec<u8>,
}

impl Run {
    fn new() -> Run {
        let place = Place::new();
        assert_eq!(place.run(&Disk::default()), Exit::Incomplete);
        let (dir, facts) = RunDir::open(&Disk::default(), &place.path("run"), &place.path("none")).unwrap();
        let job = job::read(&dir.input().unwrap(), &facts.input.options).unwrap();
        let journal = std::fs::read(place.path("run/journal.jsonl")).unwrap();
        Run { place, dir, facts, job, journal }
    }

    /// As a kill before its last record leaves it.
    fn killed() -> Run {
        let mut run = Run::new();
        let last = run.lines().pop().unwrap();
        assert!(last.starts_with(b"{\"t\":\"close\""));
        run.journal.truncate(run.journal.len() - last.len());
        run.forget_the_end();
        run
    }

    /// Takes away what is written when a session ends.
    fn forget_the_end(&self) {
        for name in ["results.csv", "summary.json"] {
            std::fs::remove_file(self.place.path("run").join(name)).unwrap();
        }
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        self.journal.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Where each line begins, and where the last one ends.
    fn ends(&self) -> Vec<usize> {
        let mut ends = vec![0];
        self.lines().iter().for_each(|line| ends.push(ends[ends.len() - 1] + line.len()));
        ends
    }

    /// The highest sync that a line notes.
    fn synced(&self) -> usize {
        let text = String::from_utf8(self.journal.clone()).unwrap();
        let notes = text.split("\"synced\":").skip(1).map(|rest| rest.split([',', '}']).next().unwrap());
        notes.map(|note| note.parse().unwrap()).max().unwrap()
    }

    /// Puts this in the journal's place and reads it.
    fn read(&self, journal: &[u8]) -> Result<(Vec<Standing>, Option<Torn>), DirError> {
        let path = self.place.path("run/journal.jsonl");
        std::fs::write(&path, journal).unwrap();
        let opened = self.dir.open_journal(&self.facts, &self.job)?;
        let kept = std::fs::read(&path).unwrap();
        assert!(journal.starts_with(&kept), "what was cut was not at the end");
        assert_eq!(kept.len() as u64 + opened.torn.map_or(0, |torn| torn.bytes), journal.len() as u64);
        Ok((self.standings(&opened.ledger), opened.torn))
    }

    fn standings(&self, ledger: &Ledger) -> Vec<Standing> {
        (0..ledger.len() as u32).map(|op| ledger.standing(&self.job, op)).collect()
    }

    /// What so many whole lines come to.
    fn known_after(&self, lines: usize) -> Vec<Standing> {
        let mut ledger = Ledger::new(&self.job);
        for (line, at) in self.lines()[..lines].iter().zip(self.ends()) {
            ledger.apply(&serde_json::from_slice::<Entry>(line).unwrap(), at as u64);
        }
        self.standings(&ledger)
    }
}

#[test]
fn a_journal_cut_at_any_byte_says_what_its_whole_lines_say() {
    let run = Run::killed();
    let ends = run.ends();
    for cut in 0..=run.journal.len() {
        let (known, torn) = run.read(&run.journal[..cut]).unwrap();
        let whole = ends.iter().rposition(|end| *end <= cut).unwrap();
        assert_eq!(known, run.known_after(whole), "cut at {cut}");
        let bytes = (cut - ends[whole]) as u64;
        assert_eq!(torn, (bytes > 0).then_some(Torn { lines: 1, bytes }), "cut at {cut}");
    }
}

#[test]
fn a_journal_that_lacks_the_end_its_summary_speaks_of_is_refused_wherever_it_was_cut() {
    let run = Run::new();
    for cut in 0..run.journal.len() {
        let refused = run.read(&run.journal[..cut]).unwrap_err();
        assert_eq!(refused.exit(), Exit::NotARun, "cut at {cut}: {refused}");
        assert_eq!(std::fs::read(run.place.path("run/journal.jsonl")).unwrap().len(), cut, "left as it was");
    }
    assert_eq!(run.read(&run.journal).unwrap().1, None);
}

#[test]
fn a_byte_that_was_changed_is_refused_before_the_last_noted_sync_and_cut_off_behind_it() {
    let run = Run::killed();
    let (ends, synced) = (run.ends(), run.synced());
    assert!(synced > ends[1] && synced < run.journal.len(), "syncs were noted, and not of all");
    let expected: Vec<_> = (0..ends.len()).map(|lines| run.known_after(lines)).collect();
    for (at, mask) in (0..run.journal.len()).flat_map(|at| [(at, 1), (at, 0x10), (at, 0x80)]) {
        let mut changed = run.journal.clone();
        changed[at] ^= mask;
        let what = format!("byte {at} of {}, {mask:#x}, synced up to {synced}", changed.len());
        match run.read(&changed) {
            Err(refused) => {
                assert!(at < synced, "{what}: {refused}");
                assert_eq!(refused.exit(), Exit::NotARun, "{what}");
                let left = std::fs::read(run.place.path("run/journal.jsonl")).unwrap();
                assert!(left == changed, "{what}: not left as it was");
            }
            Ok((known, torn)) => {
                assert!(at >= synced, "{what}");
                let whole = ends.iter().rposition(|end| *end <= at).unwrap();
                assert_eq!(known, expected[whole], "{what}");
                assert_eq!(torn.unwrap().bytes, (changed.len() - ends[whole]) as u64, "{what}");
            }
        }
    }
}

#[test]
fn a_run_whose_journal_was_cut_or_changed_resumes_to_the_same_end_or_not_at_all() {
    let (mut resumed, mut refused) = (0, 0);
    let lines = Run::killed().lines().len();
    for line in 0..lines {
        for damage in ["cut before", "cut within", "cut at its end", "changed"] {
            let run = Run::killed();
            // A run may take fewer turns than another.
            let Some(end) = run.ends().get(line + 1).copied() else { continue };
            let (begin, synced) = (run.ends()[line], run.synced());
            let middle = begin + (end - begin) * (line + 1) / (lines + 1);
            let mut journal = run.journal.clone();
            match damage {
                "cut before" => journal.truncate(begin),
                "cut within" => journal.truncate(middle),
                "cut at its end" => journal.truncate(end - 1),
                _ => journal[middle] ^= 4,
            }
            std::fs::write(run.place.path("run/journal.jsonl"), &journal).unwrap();
            let what = format!("line {line} {damage}");
            match run.place.resume(&Disk::default()) {
                Exit::Incomplete => {
                    assert!(damage != "changed" || middle >= synced, "{what}");
                    assert_as_if_forgotten(&run.place, &what);
                    resumed += 1;
                }
                Exit::NotARun => {
                    assert!(damage == "changed" && middle < synced, "{what}");
                    assert!(!run.place.path("run/results.csv").exists(), "{what}: it went on");
                    refused += 1;
                }
                other => panic!("{what}: {other:?}"),
            }
        }
    }
    println!("{resumed} resumed, {refused} refused");
    assert!(resumed > 20 && refused > 1, "{resumed} resumed, {refused} refused");
}
