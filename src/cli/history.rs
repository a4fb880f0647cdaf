//! `mailsweep history`: everything that runs have done to one mailbox.

use std::io::Write;

use serde::Serialize;

use super::args::HistoryArgs;
use super::show::{Live, Voice};
use super::{Failure, ground, run};
use crate::domain::Exit;
use crate::record::{Deed, Disk, RunDir};
use crate::view;

/// What was found, as it is printed for machines.
#[derive(Serialize)]
struct History {
    mailbox: String,
    /// How many runs were looked through.
    runs: usize,
    operations: Vec<Deed>,
    unreadable: Vec<Unreadable>,
}

/// A run that could not be read.
#[derive(Serialize)]
struct Unreadable {
    run_dir: String,
    reason: String,
}

/// Carries out the command.
pub fn history(args: &HistoryArgs, disk: &Disk) -> Result<Exit, Failure> {
    let (config, _) = ground::config(args.config.as_deref(), false)?;
    let disk = &ground::disk(disk, &config)?;
    let runs_dir = run::runs_dir(&config);
    let mut history = History {
        mailbox: args.address.to_string(),
        runs: 0,
        operations: Vec::new(),
        unreadable: Vec::new(),
    };
    for path in RunDir::list_all(&runs_dir).map_err(anyhow::Error::from)? {
        history.runs += 1;
        let deeds = RunDir::at(disk, &path).and_then(|(dir, facts)| dir.deeds(&facts, &args.address));
        match deeds {
            Ok(deeds) => history.operations.extend(deeds),
            Err(fault) => history
                .unreadable
                .push(Unreadable { run_dir: path.display().to_string(), reason: fault.to_string() }),
        }
    }
    // The order of the runs, and of their inputs, where the time is the same.
    history.operations.sort_by(|a, b| a.at.cmp(&b.at));
    let live = Live::start(Voice::default());
    if history.operations.is_empty() {
        let History { mailbox, runs, .. } = &history;
        let runs = if *runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
        live.note(&format!("nothing about {mailbox} in {runs} of {}", runs_dir.display()));
    }
    for Unreadable { reason, .. } in &history.unreadable {
        live.say(&format!("not read: {reason}"));
    }
    live.flush();
    let text = match args.json {
        true => serde_json::to_string_pretty(&history).map(|text| text + "\n").unwrap_or_default(),
        false => view::history(&history.operations),
    };
    // Whoever reads it may have gone.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    live.say_and_end("");
    Ok(if history.unreadable.is_empty() { Exit::Ok } else { Exit::Incomplete })
}
