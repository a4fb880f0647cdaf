//! A run that was made before, opened for a command that goes on from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};

use super::Failure;
use super::args::CredentialArgs;
use super::ground::{self, names};
use super::run::runs_dir;
use super::settings::Settings;
use crate::domain::Exit;
use crate::engine::SomeLimits;
use crate::fleet::{Config, Fleet, Server};
use crate::job::{self, Job, Source};
use crate::record::{Disk, RunDir, RunFacts};

/// What a command says of the servers of an earlier run.
pub struct ServerChoice<'a> {
    /// A configuration to take the servers from, instead of those that were recorded.
    pub config: Option<&'a Path>,
    pub credential: &'a CredentialArgs,
    pub limits: SomeLimits,
}

/// An earlier run, without its journal.
pub struct Recorded {
    pub dir: RunDir,
    /// Shared with the team that the configuration names.
    pub disk: Disk,
    pub facts: RunFacts,
    pub settings: Settings,
    pub fleet: Fleet,
    pub input: Source,
    pub job: Arc<Job>,
    pub config: Config,
}

impl Recorded {
    /// Opens the run that is named, for `what`.
    pub fn open(
        disk: &Disk,
        named: &Path,
        choice: &ServerChoice<'_>,
        what: &str,
    ) -> Result<Recorded, Failure> {
        let (config, _) = ground::config(choice.config, false)?;
        let disk = ground::disk(disk, &config)?;
        let found = RunDir::open(&disk, named, &runs_dir(&config))?;
        Recorded::from(found, disk, config, choice, what)
    }

    /// The same for a run that has been found already.
    pub fn from(
        (dir, facts): (RunDir, RunFacts),
        disk: Disk,
        config: Config,
        choice: &ServerChoice<'_>,
        what: &str,
    ) -> Result<Recorded, Failure> {
        let shown = dir.path().display();
        if facts.dry_run {
            let why = anyhow!("{shown} is a dry run: there is nothing to {what}; run the job itself");
            return Err(Failure::new(Exit::NotARun, why));
        }
        let unreadable = |fault: serde_json::Error| {
            Failure::new(Exit::NotARun, anyhow!("{shown}: run.json is not sound: {fault}"))
        };
        let settings: Settings = serde_json::from_value(facts.settings.clone()).map_err(unreadable)?;
        let servers: Vec<Server> = serde_json::from_value(facts.servers.clone()).map_err(unreadable)?;
        let fleet = choice.servers(&config, Fleet { servers, protect: settings.protect.clone() })?;
        let input = dir.input()?;
        let altered =
            |fault| Failure::new(Exit::NotARun, anyhow!("{shown}: input.csv cannot be read again: {fault}"));
        let job = Arc::new(job::read(&input, &facts.input.options).map_err(altered)?);
        Ok(Recorded { dir, disk, facts, settings, fleet, input, job, config })
    }

    /// Where the embedded server of the run keeps its state.
    pub fn sandbox_store(&self) -> PathBuf {
        self.settings.sandbox_in.clone().unwrap_or_else(|| self.dir.sandbox())
    }
}

impl ServerChoice<'_> {
    /// The servers of the run, or those of a configuration that was named, with what the flags say.
    fn servers(&self, config: &Config, recorded: Fleet) -> Result<Fleet> {
        let mut fleet = match self.config {
            None => recorded,
            Some(path) => {
                let anew = config.fleet(&self.limits);
                if anew.servers.is_empty() {
                    bail!("{} has no [[server]]", path.display());
                }
                let (before, now) = (names(&recorded), names(&anew));
                if let Some(missing) = before.iter().find(|name| !now.contains(name)) {
                    bail!("{} lacks {missing}, which is a server of this run: put it back", path.display());
                }
                anew
            }
        };
        for server in &mut fleet.servers {
            server.limits = self.limits.over(server.limits.clone());
        }
        if let Some(source) = self.credential.flag()? {
            match fleet.servers.as_mut_slice() {
                [server] if server.logins.len() == 1 => server.logins[0].credential = source,
                _ => bail!(
                    "a credential on the command line is for a run of one server; \
                     put the new one where the configuration says, or give --config FILE"
                ),
            }
        }
        Ok(fleet)
    }
}
