//! Any bytes are a job or an error. What was read as a job can be written as results that add up, and
//! what is unfinished can be run as it is. The first byte chooses the flags.
#![no_main]

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use libfuzzer_sys::fuzz_target;
use mailsweep::domain::{Action, Channel, Classes};
use mailsweep::job::{self, InputOptions, Job, Source, What};
use mailsweep::record::{Ledger, Material, Outcomes};

fuzz_target!(|data: &[u8]| {
    let Some((flags, text)) = data.split_first() else { return };
    let is_set = |bit: u8| flags >> bit & 1 == 1;
    let options = InputOptions {
        action: is_set(0).then_some(Action::Suspend),
        channels: if is_set(1) { Channel::ALL.to_vec() } else { Vec::new() },
        no_header: is_set(2),
        delimiter: is_set(3).then_some(b';'),
        skip_invalid: is_set(4),
        allow_empty: is_set(5),
        allow_conflicts: is_set(6),
        servers: is_set(7).then(|| vec!["web01".to_owned()]),
    };
    let input = Source::bytes(text);
    let job = match job::read(&input, &options) {
        Ok(job) => job,
        Err(refused) => {
            let told = refused.to_string();
            assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told:?}");
            return;
        }
    };
    let ledger = Ledger::new(&job);
    let journal = File::open("/dev/null").expect("no journal");
    let outcomes = Outcomes::Done { ledger: &ledger, journal: &journal };
    let tolerated = Classes::NONE;
    let material = Material { job: &job, input: &input, options: &options, tolerated, outcomes };
    let tally = material.write_results(io::sink()).expect("what was read can be read again");
    assert_eq!(tally.operations(), job.operations.len() as u64);

    let mut unfinished = Vec::new();
    material.write_unfinished(&mut unfinished).expect("what was read can be written");
    if tally.has_unfinished {
        let as_it_is = InputOptions { allow_conflicts: true, servers: options.servers, ..Default::default() };
        let again = job::read(&Source::bytes(unfinished), &as_it_is).expect("it can be run as it is");
        assert_eq!(calls(&again), calls(&job));
    }
});

/// What is to be called, whatever its order.
fn calls(job: &Job) -> BTreeSet<(String, String)> {
    let calls = job.operations.iter().filter_map(|operation| match operation.what {
        What::Call(function) => {
            Some((job.mailboxes.get(operation.mailbox).to_owned(), format!("{function:?}")))
        }
        _ => None,
    });
    calls.collect()
}
