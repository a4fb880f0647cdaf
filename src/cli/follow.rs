//! A run that is looked at from elsewhere: found, read, and how far it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;

use super::args::ConfigArgs;
use super::run::runs_dir;
use super::settings::Settings;
use super::to_do::to_do;
use super::{Failure, ground, show};
use crate::domain::Exit;
use crate::fleet::{Config, Server};
use crate::job::{self, Job};
use crate::record::{
    DirError, Disk, Overview, Pulse, RunDir, RunFacts, RunState, Seen, SessionFigures, Stamp,
};
use crate::view::{RunAbout, RunStatus};

/// Where runs are looked for.
pub struct Where {
    pub runs_dir: PathBuf,
    /// The configuration that was found.
    pub config: Option<PathBuf>,
    /// Shared with the team that it names.
    disk: Disk,
}

impl Where {
    /// What the flags and the configuration say.
    pub fn new(args: &ConfigArgs, disk: &Disk) -> Result<Where, Failure> {
        let (config, path) = ground::config(args.config.as_deref(), false)?;
        let disk = ground::disk(disk, &config)?;
        Ok(Where { runs_dir: runs_dir(&config), config: path, disk })
    }

    /// The run that was named. A path that is one needs no configuration, and so none that is sound.
    pub fn of_named(
        named: &Path,
        args: &ConfigArgs,
        disk: &Disk,
    ) -> Result<(Where, RunDir, RunFacts), Failure> {
        let place = match Where::new(args, disk) {
            Ok(place) => place,
            Err(_) if named.join("run.json").exists() => {
                Where { runs_dir: runs_dir(&Config::default()), config: None, disk: disk.clone() }
            }
            Err(fault) => return Err(fault),
        };
        let (dir, facts) = place.open(named)?;
        Ok((place, dir, facts))
    }

    /// A run, as it is named there.
    pub fn open(&self, named: &Path) -> Result<(RunDir, RunFacts), DirError> {
        RunDir::open(&self.disk, named, &self.runs_dir)
    }

    /// The newest run there is.
    pub fn newest(&self) -> Result<(RunDir, RunFacts), Failure> {
        let mut runs: Vec<_> =
            RunDir::list(&self.runs_dir).into_iter().filter_map(|path| self.open(&path).ok()).collect();
        runs.sort_by_key(|(_, facts)| facts.started_at);
        runs.pop().ok_or_else(|| {
            let shown = self.runs_dir.display();
            let why = anyhow!("there is no run in {shown}; name one if it is elsewhere");
            Failure::new(Exit::NotARun, why)
        })
    }
}

/// What cannot be read is no run to who looks at it, whatever the reason.
pub fn unreadable(fault: DirError) -> Failure {
    Failure::new(Exit::NotARun, fault)
}

/// A run that is read again and again.
pub struct Followed<'a> {
    dir: &'a RunDir,
    facts: &'a RunFacts,
    read: Option<Read>,
}

/// What is read of one that is more than a dry run.
struct Read {
    job: Arc<Job>,
    seen: Seen,
    pulse: Pulse,
}

impl<'a> Followed<'a> {
    /// Reads it for the first time.
    pub fn new(dir: &'a RunDir, facts: &'a RunFacts) -> Result<Followed<'a>, Failure> {
        if facts.dry_run {
            return Ok(Followed { dir, facts, read: None });
        }
        let input = dir.input().map_err(unreadable)?;
        let altered = |fault| {
            let shown = dir.path().display();
            Failure::new(Exit::NotARun, anyhow!("{shown}: input.csv cannot be read again: {fault}"))
        };
        let job = Arc::new(job::read(&input, &facts.input.options).map_err(altered)?);
        let mut pulse = Pulse::default();
        let seen = dir.look_through(facts, &job, |entry| pulse.note(entry)).map_err(unreadable)?;
        Ok(Followed { dir, facts, read: Some(Read { job, seen, pulse }) })
    }

    /// Reads what is new.
    pub fn catch_up(&mut self) -> Result<(), Failure> {
        let Some(Read { job, seen, pulse }) = &mut self.read else { return Ok(()) };
        seen.catch_up(self.facts, job, |entry| pulse.note(entry)).map_err(unreadable)
    }

    /// What the journal says; `None` of a dry run, which has none.
    pub fn seen(&self) -> Option<&Seen> {
        self.read.as_ref().map(|read| &read.seen)
    }

    /// How far it is.
    pub fn overview(&self) -> Result<Overview, Failure> {
        if let Some(Read { job, seen, pulse }) = &self.read {
            return Ok(Overview::new(job, seen, pulse, Stamp::now()));
        }
        let summary = self.dir.last_summary();
        summary.and_then(|summary| Overview::of_summary(&summary, true)).ok_or_else(|| {
            let shown = self.dir.path().display();
            Failure::new(Exit::NotARun, anyhow!("{shown} is a dry run that was broken off: run it again"))
        })
    }

    /// All that `status` says.
    pub fn status(&self, place: &Where) -> Result<RunStatus, Failure> {
        let overview = self.overview()?;
        let servers: Vec<Server> = serde_json::from_value(self.facts.servers.clone()).unwrap_or_default();
        let to_do = match overview.state {
            RunState::Rehearsed => Vec::new(),
            _ => {
                let settings = serde_json::from_value::<Settings>(self.facts.settings.clone());
                let tolerated = settings.map(|settings| settings.tolerate).unwrap_or_default();
                let undo_of = self.facts.undo_of.as_deref().map(|run| {
                    let beside = self.dir.path().with_file_name(run);
                    show::named(run, &beside, &place.runs_dir)
                });
                let undo_of = undo_of.as_deref();
                to_do(self.dir, &overview, &servers, tolerated, place.config.as_deref(), undo_of)
            }
        };
        let record = self.seen().map(|seen| &seen.record);
        let last = record.and_then(|record| record.sessions.last());
        let mut about = about(self.dir, self.facts, last);
        let session = record.and_then(|record| record.last_session.as_ref());
        if let Some(session) = session.filter(|_| about.ended_at.is_none()) {
            about.pid = Some(session.pid);
        }
        let undos = record.map(|record| record.ledger.undos()).unwrap_or_default();
        let named = |by: &String| {
            let place_of = undos.iter().find(|undo| undo.by == *by).map(|undo| Path::new(&undo.dir));
            show::named(by, place_of.unwrap_or(Path::new("")), &place.runs_dir)
        };
        let undos = overview.undone.iter().map(|undo| named(&undo.by)).collect();
        Ok(RunStatus { about, overview, undos, to_do })
    }
}

/// Which run it is, with what its last session says.
pub fn about(dir: &RunDir, facts: &RunFacts, last: Option<&SessionFigures>) -> RunAbout {
    RunAbout {
        run_id: dir.run_id(),
        path: dir.path().to_owned(),
        operator: last.map_or(&facts.operator, |last| &last.operator).clone(),
        ticket: facts.ticket.clone(),
        undo_of: facts.undo_of.clone(),
        started_at: facts.started_at.to_string(),
        ended_at: last.and_then(|last| last.ended_at.clone()),
        exit_code: last.and_then(|last| last.exit_code),
        host: last.map_or(&facts.host, |last| &last.host).clone(),
        pid: None,
    }
}
