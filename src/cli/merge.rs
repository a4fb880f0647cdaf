//! `mailsweep merge`: the shards of a job joined into one.

use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};

use super::Failure;
use super::args::{MergeArgs, OutputArgs};
use super::follow::Where;
use super::session::Closed;
use super::settings::Settings;
use super::shard::Shard;
use super::show::Live;
use crate::domain::{ErrorClass, Exit, Status};
use crate::job::{self, Job};
use crate::record::{DirError, Disk, Entry, Merge, Part, RunDir, RunFacts, Stamp};

/// Carries out the command.
pub fn merge(args: &MergeArgs, disk: &Disk) -> Result<Exit, Failure> {
    let place = Where::new(&args.config, disk)?;
    RunDir::check(Some(&args.output))?;
    let mut shards = Vec::new();
    for named in &args.run_dirs {
        shards.push(Opened::new(named, &place)?);
    }
    fit(&shards)?;
    shards.sort_by_key(|opened| opened.shard.number);
    let first = &shards[0];
    let input = first.dir.input()?;
    let altered = |fault| {
        let shown = first.dir.path().display();
        Failure::new(Exit::NotARun, anyhow!("{shown}: input.csv cannot be read again: {fault}"))
    };
    let job = job::read(&input, &first.facts.input.options).map_err(altered)?;
    let parts: Vec<Part> = shards.iter().map(|opened| opened.part(&job)).collect::<Result<_, _>>()?;
    let live = Live::start(&output(args));
    let names = first.servers();
    let homes = Shard::homes(first.shard.of, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let servers: Vec<(String, usize)> =
        names.into_iter().zip(homes).map(|(name, home)| (name, home as usize - 1)).collect();
    let merge = Merge {
        job: &job,
        input: &input,
        tolerated: first.settings.tolerate,
        parts: &parts,
        servers: &servers,
    };
    write(args, disk, live, &merge)
}

fn write(args: &MergeArgs, disk: &Disk, live: Live, merge: &Merge<'_>) -> Result<Exit, Failure> {
    let is_new = !args.output.exists();
    let dir = RunDir::create(disk, Some(&args.output), Path::new(""), "", Stamp::now())?;
    let merged = merge.write(&dir).inspect_err(|_| {
        if is_new {
            dir.take_away();
        }
    })?;
    for (number, what) in [
        (merged.unclaimed, "operations were taken by no shard, since not every server answered each of them"),
        (merged.called_twice, "operations were called by more than one shard; the worse result is told"),
    ] {
        if number > 0 {
            live.note(&format!("{number} {what}"));
        }
    }
    // A shard that left something is resumed by itself.
    let has_left = |part: &&Part| {
        let left = part.summary.counts.get(&Status::NotAttempted).copied().unwrap_or(0);
        let excluded = part.summary.error_classes.get(&ErrorClass::Excluded).copied().unwrap_or(0);
        left > excluded
    };
    let left = merge.parts.iter().find(has_left);
    let exit = Exit::of_code(merged.summary.exit_code);
    let closed = Closed {
        exit,
        elapsed: took(&merged.summary.started_at, &merged.summary.ended_at),
        summary: merged.summary,
        tally: merged.tally,
        left: 0,
        tolerated: merge.tolerated,
        stopped: None,
        again: Vec::new(),
        given: Vec::new(),
        refused: Vec::new(),
        later: &[],
    };
    live.close_merged(&dir, &output(args), &closed, left.map(|part| &part.dir));
    Ok(exit)
}

fn took(started: &str, ended: &str) -> std::time::Duration {
    let stamp = |text: &str| Stamp::try_from(text.to_owned()).unwrap_or_default();
    std::time::Duration::from_millis(stamp(ended).since(stamp(started)).into())
}

fn output(args: &MergeArgs) -> OutputArgs {
    let log_format = super::args::LogFormatArg::Text;
    OutputArgs { output: None, json: args.json, quiet: args.quiet, verbose: false, log_format }
}

/// A shard, as its facts have it.
struct Opened {
    dir: RunDir,
    facts: RunFacts,
    settings: Settings,
    shard: Shard,
}

impl Opened {
    fn new(named: &Path, place: &Where) -> Result<Opened, Failure> {
        let (dir, facts) = place.open(named)?;
        let shown = dir.path().display();
        let settings: Settings = serde_json::from_value(facts.settings.clone()).map_err(|fault| {
            Failure::new(Exit::NotARun, anyhow!("{shown}: run.json is not sound: {fault}"))
        })?;
        let Some(shard) = settings.shard else {
            return Err(anyhow!("{shown} is the whole of its job: it was run without --shard").into());
        };
        Ok(Opened { dir, facts, settings, shard })
    }

    fn shown(&self) -> std::path::Display<'_> {
        self.dir.path().display()
    }

    /// The names of its servers, in their order.
    fn servers(&self) -> Vec<String> {
        let servers = self.facts.servers.as_array().into_iter().flatten();
        servers.filter_map(|server| server["name"].as_str().map(str::to_owned)).collect()
    }

    /// What has to be alike in all shards: which servers, and what is done there. How fast, and where
    /// credentials come from, may differ.
    fn configuration(&self) -> (serde_json::Value, Settings) {
        let mut servers = self.facts.servers.clone();
        for server in servers.as_array_mut().into_iter().flatten().filter_map(|server| server.as_object_mut())
        {
            server.remove("limits");
            let logins = server.get_mut("logins").and_then(|logins| logins.as_array_mut());
            for login in logins.into_iter().flatten().filter_map(|login| login.as_object_mut()) {
                login.remove("credential");
            }
        }
        (servers, Settings { shard: None, aside: Vec::new(), ..self.settings.clone() })
    }

    /// Its results, and that they are what its journal speaks of.
    fn part(&self, job: &Job) -> Result<Part, Failure> {
        let unfinished = || {
            let shown = self.shown();
            Failure::from(anyhow!("{shown} has not ended: first let it end, with mailsweep resume {shown}"))
        };
        let mut results = None;
        if !self.facts.dry_run {
            let seen = self.dir.look_through(&self.facts, job, |entry| {
                if let Entry::Close { results: hash, .. } = entry {
                    results = Some(hash.clone());
                }
            })?;
            if seen.is_in_use {
                return Err(DirError::InUse(self.shown().to_string()).into());
            }
            if !seen.record.closed {
                return Err(unfinished());
            }
        }
        let summary = self.dir.last_summary().ok_or_else(unfinished)?;
        Ok(Part { dir: self.dir.clone(), summary, results })
    }
}

/// Whether these are the shards of one job, each of them once.
fn fit(shards: &[Opened]) -> Result<()> {
    let first = &shards[0];
    let of = first.shard.of;
    let mut found: Vec<Option<&Opened>> = vec![None; of as usize];
    for opened in shards {
        let (a, b) = (opened.shown(), first.shown());
        let Shard { number, of: its } = opened.shard;
        ensure!(
            its == of,
            "{a} is shard {number} of {its}, and {b} is one of {of}: these are of two divisions"
        );
        ensure!(
            opened.facts.input.sha256 == first.facts.input.sha256,
            "{a} had another input than {b}: their input.csv differ"
        );
        ensure!(
            opened.facts.dry_run == first.facts.dry_run,
            "one of {a} and {b} is a dry run, and the other is not"
        );
        ensure!(
            opened.configuration() == first.configuration(),
            "{a} was run with another configuration than {b}: their run.json name other servers or settings"
        );
        let options = |opened: &Opened| serde_json::to_value(&opened.facts.input.options).unwrap_or_default();
        ensure!(options(opened) == options(first), "{a} read its input in another way than {b}");
        if let Some(before) = found[number as usize - 1].replace(opened) {
            bail!("shard {number} of {of} is there twice: {} and {a}", before.shown());
        }
    }
    let missing: Vec<String> = (1..)
        .zip(&found)
        .filter(|(_, opened)| opened.is_none())
        .map(|(n, _): (u32, _)| n.to_string())
        .collect();
    let are = if missing.len() == 1 { "shard" } else { "shards" };
    ensure!(
        missing.is_empty(),
        "{are} {} of {of} missing: name the directories of all of them",
        missing.join(", ")
    );
    Ok(())
}
