//! Any bytes in a journal's place are a journal, one with a torn end, or refused; what was read adds up.
//! With an even first byte the bytes stand there as they are. With an odd one each line is given the
//! hash that belongs to it, so that what the lines say is reached.
#![no_main]

use std::cell::OnceCell;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use mailsweep::domain::Classes;
use mailsweep::job::{self, InputOptions, Job, Source};
use mailsweep::record::{Chain, Disk, Material, Outcomes, RunDir, RunFacts, Stamp};

const JOB: &str = "email,action,channel,note\n\
    a@example.com,suspend,login+outgoing,one\n\
    b@example.com,hold,outgoing,\n\
    c@example.com,release,outgoing,=1\n\
    a@example.com,suspend,login,again\n";

/// A run with nothing in its journal yet.
struct Run {
    home: tempfile::TempDir,
    facts: RunFacts,
    job: Job,
    seed: [u8; 16],
}

impl Run {
    fn new() -> Run {
        let memory = PathBuf::from("/dev/shm");
        let home = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).expect("no place");
        let input = Source::bytes(JOB);
        let job = job::read(&input, &InputOptions::default()).expect("a job");
        let path = home.path().join("run");
        let dir = RunDir::create(&Disk::default(), Some(&path), home.path(), "", Stamp(0)).expect("a run");
        let facts = RunFacts::new(&dir, &input, &job, InputOptions::default());
        dir.write_facts(&facts, &input).expect("its facts");
        let text = std::fs::read(path.join("run.json")).expect("its facts");
        let digits = Chain::seed(&text, &facts.input.sha256).to_string();
        let mut seed = [0; 16];
        for (byte, pair) in seed.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).expect("digits");
            *byte = u8::from_str_radix(pair, 16).expect("digits");
        }
        Run { home, facts, job, seed }
    }

    /// The lines, each with its hash.
    fn chained(&self, lines: &[u8]) -> Vec<u8> {
        let mut chain = self.seed;
        let mut out = Vec::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let content = line.strip_suffix(b"}").unwrap_or(line);
            let mut hasher = blake3::Hasher::new();
            hasher.update(&chain).update(content);
            chain.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            let digits: String = chain.iter().map(|byte| format!("{byte:02x}")).collect();
            out.extend_from_slice(content);
            out.extend_from_slice(format!(",\"h\":\"{digits}\"}}\n").as_bytes());
        }
        out
    }
}

thread_local! {
    static RUN: OnceCell<Run> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| RUN.with(|run| {
    let Some((first, rest)) = data.split_first() else { return };
    let run = run.get_or_init(Run::new);
    let journal = if first % 2 == 1 { run.chained(rest) } else { rest.to_vec() };
    let path = run.home.path().join("run");
    std::fs::write(path.join("journal.jsonl"), &journal).expect("written");
    let (dir, _) = RunDir::open(&Disk::default(), &path, run.home.path()).expect("a run");
    let opened = match dir.open_journal(&run.facts, &run.job) {
        Ok(opened) => opened,
        Err(refused) => {
            assert!(!refused.to_string().is_empty());
            return;
        }
    };
    let kept = std::fs::read(path.join("journal.jsonl")).expect("read");
    assert!(journal.starts_with(&kept), "only an end is cut");
    assert_eq!(kept.len() as u64 + opened.torn.map_or(0, |torn| torn.bytes), journal.len() as u64);
    let input = dir.input().expect("its input");
    let handle = opened.journal.handle().expect("a handle");
    let outcomes = Outcomes::Done { ledger: &opened.ledger, journal: &handle };
    let (options, tolerated) = (&run.facts.input.options, Classes::NONE);
    let material = Material { job: &run.job, input: &input, options, tolerated, outcomes };
    let tally = material.write_results(std::io::sink()).expect("results");
    assert_eq!(tally.operations(), run.job.operations.len() as u64);
}));
