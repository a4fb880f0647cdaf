//! `mailsweep audit`: hold a run's files against its journal, and say what does not fit.
//!
//! Nothing is sent. Nothing is written either, but for results that are to be written again, and
//! never the journal.

use std::io::Write;

use anyhow::anyhow;

use super::args::AuditArgs;
use super::show::{self, Live};
use super::{Failure, ground, run};
use crate::domain::Exit;
use crate::record::{Audit, Disk, RunDir};
use crate::view::{self, AuditCommands, Terminal};

/// Carries out the command.
pub fn audit(args: &AuditArgs, disk: &Disk) -> Result<Exit, Failure> {
    let (config, _) = ground::config(args.config.as_deref(), false)?;
    let (dir, facts) = RunDir::open(&ground::disk(disk, &config)?, &args.run_dir, &run::runs_dir(&config))?;
    if facts.dry_run {
        let why =
            anyhow!("{} is a dry run: it sent nothing, and has no journal to audit", dir.path().display());
        return Err(Failure::new(Exit::NotARun, why));
    }
    let live = Live::start(args);
    let mut found = dir.audit(&facts, args.expect);
    if args.rewrite_results && found.can_rewrite {
        for name in dir.rewrite_results(&facts)? {
            live.note(&format!("{name} is written again, as the journal has it"));
        }
        found = dir.audit(&facts, args.expect);
    }
    let exit = if found.is_well() { Exit::Ok } else { Exit::Incomplete };
    tell(args, live, &dir, &found);
    Ok(exit)
}

fn tell(args: &AuditArgs, live: Live, dir: &RunDir, found: &Audit) {
    if args.json
        && let Ok(text) = serde_json::to_string_pretty(found)
    {
        // Whoever reads it may have gone.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
    let commands = AuditCommands {
        rewrite: show::command(dir, "audit", &["--rewrite-results"]),
        resume: show::command(dir, "resume", &[]),
    };
    let terminal = Terminal::stderr();
    live.say_and_end(&if args.quiet {
        view::audit_quiet(found, &commands)
    } else {
        view::audit(found, &commands, terminal.style(), terminal.width())
    });
}
