//! `mailsweep report`: tell a run again, as a page and as a workbook.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::args::ReportArgs;
use super::run::runs_dir;
use super::{Failure, ground, session, show};
use crate::domain::Exit;
use crate::job;
use crate::record::{Disk, Material, Outcomes, RunDir, Stamp};
use crate::view;

/// Carries out the command.
pub fn report(args: &ReportArgs, disk: &Disk) -> Result<Exit, Failure> {
    if let Some(to) = &args.xlsx {
        check_place("--xlsx", to)?;
    }
    let (config, _) = ground::config(args.config.config.as_deref(), false)?;
    let disk = &ground::disk(disk, &config)?;
    let (dir, facts) = RunDir::open(disk, &args.run_dir, &runs_dir(&config))?;
    let shown = dir.path().display();
    if facts.dry_run {
        let why =
            anyhow!("{shown} is a dry run: it has the report that it wrote, and nothing to make another of");
        return Err(Failure::new(Exit::NotARun, why));
    }
    let input = dir.input()?;
    let altered =
        |fault| Failure::new(Exit::NotARun, anyhow!("{shown}: input.csv cannot be read again: {fault}"));
    let job = job::read(&input, &facts.input.options).map_err(altered)?;
    let seen = dir.look(&facts, &job)?;
    if seen.is_in_use && args.xlsx.is_none() {
        let why = anyhow!(
            "{shown} is at work: report.html is written when its session ends; \
             for the figures so far name a workbook with --xlsx FILE"
        );
        return Err(Failure::new(Exit::InUse, why));
    }
    let material = Material {
        job: &job,
        input: &input,
        options: &facts.input.options,
        tolerated: facts.tolerated(),
        outcomes: Outcomes::Done { ledger: &seen.record.ledger, journal: &seen.journal },
    };
    let tally = material.tell(|_| Ok(())).context("the results cannot be read")?;
    let last = seen.record.sessions.last().filter(|_| seen.record.closed);
    let exit = session::of_results(&tally);
    let ended = last.and_then(|session| Stamp::try_from(session.ended_at.clone()?).ok());
    let mut summary = dir.summarise(
        &material,
        &tally,
        seen.record.sessions.clone(),
        exit,
        ended.unwrap_or_else(Stamp::now),
    );
    if let Some(code) = last.and_then(|session| session.exit_code) {
        summary.exit_code = code;
    }
    let chain = seen.record.chain_of_work().to_string();
    let report = material.report(&facts, &summary, &tally, Some(&chain));

    let mut written: Vec<PathBuf> = Vec::new();
    if !seen.is_in_use {
        dir.write_report(&report, &view::report)?;
        written.push(dir.report());
    }
    if let Some(to) = &args.xlsx {
        let beside = parent(to);
        disk.write_whole(to, |out| view::workbook(&report, &material, beside, out))
            .with_context(|| format!("{} cannot be written", to.display()))?;
        written.push(to.clone());
    }
    if !args.quiet {
        let lines: Vec<String> = written.iter().map(|path| format!("wrote {}", path.display())).collect();
        show::say(&lines.join("\n"));
    }
    Ok(Exit::Ok)
}

/// Whether a flag names a place that a file can be put in: that it does not is better known before
/// the first call than after the last.
pub fn check_place(flag: &str, to: &Path) -> anyhow::Result<()> {
    let shown = to.display();
    anyhow::ensure!(parent(to).is_dir(), "{flag} {shown}: there is no directory {}", parent(to).display());
    anyhow::ensure!(!to.is_dir(), "{flag} {shown} is a directory: name a file in it");
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
