//! `mailsweep runs`: all runs, the newest first, one line each.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::Failure;
use super::args::RunsArgs;
use super::follow::{Followed, Where, about};
use super::status::JsonOverview;
use crate::domain::Exit;
use crate::record::{Overview, RunDir, RunFacts, Stamp};
use crate::view::{self, RunAbout, RunLine, Terminal};

/// Carries out the command.
pub fn runs(args: &RunsArgs) -> Result<Exit, Failure> {
    let place = Where::new(&args.config)?;
    let mut found: Vec<(Option<Stamp>, RunLine)> =
        RunDir::list(&place.runs_dir).iter().map(|path| line(path, &place.runs_dir)).collect();
    // Stable, so that those that cannot be read keep the order of their names.
    found.sort_by_key(|(began, _)| std::cmp::Reverse(*began));
    let lines: Vec<RunLine> = found.into_iter().map(|(_, line)| line).collect();
    let terminal = Terminal::stdout();
    let text = if args.json {
        let list: Vec<_> = lines.iter().map(JsonRun::new).collect();
        serde_json::to_string_pretty(&list).map(|text| text + "\n").unwrap_or_default()
    } else if lines.is_empty() {
        format!("no run in {}\n", place.runs_dir.display())
    } else {
        view::runs(&lines, terminal.style(), terminal.interactive.then(|| terminal.width()))
    };
    // Whoever reads it may have gone.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Ok)
}

fn line(path: &Path, runs_dir: &Path) -> (Option<Stamp>, RunLine) {
    let (dir, facts) = match RunDir::open(path, runs_dir) {
        Ok(opened) => opened,
        Err(fault) => {
            let run_id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let about = RunAbout { run_id, path: path.to_owned(), ..RunAbout::default() };
            return (None, RunLine { about, overview: None, fault: Some(fault.to_string()) });
        }
    };
    let began = Some(facts.started_at);
    let line = match far(&dir, &facts) {
        Ok((about, overview)) => RunLine { about, overview: Some(overview), fault: None },
        Err(failure) => {
            let fault = Some(format!("{:#}", failure.error));
            RunLine { about: about(&dir, &facts, None), overview: None, fault }
        }
    };
    (began, line)
}

/// How far a run is. Of one that has ended its summary tells, which is short; of others, and where
/// that leaves something open, the journal.
fn far(dir: &RunDir, facts: &RunFacts) -> Result<(RunAbout, Overview), Failure> {
    let is_ended = facts.dry_run || (dir.looks_closed() && !dir.is_in_use());
    if let Some(summary) = dir.last_summary().filter(|_| is_ended)
        && let Some(overview) = Overview::of_summary(&summary, facts.dry_run)
    {
        return Ok((about(dir, facts, summary.sessions.last()), overview));
    }
    let followed = Followed::new(dir, facts)?;
    let last = followed.seen().and_then(|seen| seen.record.sessions.last());
    Ok((about(dir, facts, last), followed.overview()?))
}

#[derive(Serialize)]
struct JsonRun<'a> {
    #[serde(flatten)]
    about: &'a RunAbout,
    #[serde(flatten)]
    overview: Option<JsonOverview<'a>>,
    /// Why it cannot be read.
    error: Option<&'a str>,
}

impl<'a> JsonRun<'a> {
    fn new(line: &'a RunLine) -> JsonRun<'a> {
        let RunLine { about, overview, fault } = line;
        JsonRun { about, overview: overview.as_ref().map(JsonOverview::new), error: fault.as_deref() }
    }
}
