//! `mailsweep stop`: ask the process that works on a run to end, and wait until it has.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::args::StopArgs;
use super::follow::{Followed, Where};
use super::process::{NotFound, Process};
use super::{Failure, person, show};
use crate::domain::Exit;
use crate::record::{Disk, RunDir, SessionEntry};
use crate::view::{self, Terminal};

/// Carries out the command.
pub fn stop(args: &StopArgs, disk: &Disk) -> Result<Exit, Failure> {
    let (place, dir, facts) = Where::of_named(&args.run_dir, &args.config, disk)?;
    let mut followed = Followed::new(&dir, &facts)?;
    if followed.seen().is_some_and(|seen| seen.is_in_use) {
        let session = followed.seen().and_then(|seen| seen.record.last_session.clone());
        let process = process(&dir, session)?;
        process
            .terminate()
            .map_err(|fault| unable(&dir, &format!("its process cannot be told to end: {fault}")))?;
        wait(&dir, &process)?;
        followed.catch_up()?;
    } else {
        show::say(&format!("no process works on {}: there is nothing to stop", dir.path().display()));
    }
    let terminal = Terminal::stdout();
    let width = terminal.interactive.then(|| terminal.width());
    let text = view::status(&followed.status(&place)?, terminal.style(), width);
    // Whoever reads it may have gone.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Ok)
}

/// The process that works on the run, if it can be reached from here.
fn process(dir: &RunDir, session: Option<SessionEntry>) -> Result<Process, Failure> {
    let Some(session) = session else {
        return Err(unable(
            dir,
            "its process has only just begun and is not named yet: try again in a moment",
        ));
    };
    let (pid, here) = (session.pid, person::host());
    if session.host != here {
        let host = session.host;
        return Err(unable(
            dir,
            &format!(
                "process {pid} on {host} works on it, and this is {here}: stop it there, with kill {pid}"
            ),
        ));
    }
    Process::that_has_open(pid, &dir.journal()).map_err(|why| match why {
        NotFound::NotShown => {
            unable(dir, &format!("process {pid} belongs to another user: stop it as that user, or with sudo"))
        }
        NotFound::NotThere => unable(
            dir,
            &format!(
                "a process works on it, but not process {pid}, which its last session names: \
                 it is just being taken up (try again in a moment), or by a process that is not seen from here"
            ),
        ),
    })
}

fn unable(dir: &RunDir, why: &str) -> Failure {
    Failure::new(Exit::Incomplete, anyhow!("{} could not be stopped: {why}", dir.path().display()))
}

/// Waits until the process has ended. It takes as long as the calls that are under way.
fn wait(dir: &RunDir, process: &Process) -> Result<(), Failure> {
    const STEP: Duration = Duration::from_millis(50);
    /// Longer than a call may take by default, and its retries' pauses.
    const PATIENCE: Duration = Duration::from_secs(90);
    const LIMIT: Duration = Duration::from_secs(60 * 60);
    let begun = Instant::now();
    let mut is_told = false;
    while !process.has_ended() {
        if !is_told && begun.elapsed() > PATIENCE {
            is_told = true;
            show::say("waiting for the calls that are under way; another mailsweep stop ends them at once");
        }
        if begun.elapsed() > LIMIT {
            return Err(unable(dir, "it was told to end an hour ago and has not"));
        }
        std::thread::sleep(STEP);
    }
    if dir.is_in_use() {
        return Err(unable(dir, "its process has ended, but another one works on it by now"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stamp;

    fn session(pid: u32, host: String) -> SessionEntry {
        SessionEntry { host, pid, ..SessionEntry::default() }
    }

    #[test]
    fn only_the_process_that_has_the_journal_open_here_is_told_to_end() {
        let place = tempfile::tempdir().unwrap();
        let dir =
            RunDir::create(&Disk::default(), Some(&place.path().join("run")), place.path(), "job", Stamp(0))
                .unwrap();
        let why = |session| process(&dir, session).map(|_| ()).unwrap_err().error.to_string();
        let this = std::process::id();
        assert!(why(None).contains("try again in a moment"));
        let elsewhere = why(Some(session(this, "web-admin".into())));
        assert!(
            elsewhere.contains("on web-admin") && elsewhere.contains(&format!("kill {this}")),
            "{elsewhere}"
        );
        let here = || Some(session(this, person::host()));
        assert!(why(here()).contains(&format!("not process {this}")), "there is no journal");
        let journal = std::fs::File::create(dir.journal()).unwrap();
        let found = process(&dir, here()).map_err(|failure| failure.error.to_string());
        assert!(!found.unwrap().has_ended());
        drop(journal);
        if cfg!(target_os = "linux") {
            assert!(why(here()).contains(&format!("not process {this}")), "it has closed it");
        }
    }
}
