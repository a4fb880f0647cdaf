//! A new run, from what is found out before the question to its end: what `run` and `undo` do alike.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::afterwards::Afterwards;
use super::args::{OutputArgs, StateArgs};
use super::person::Who;
use super::reach::{self, Kept, Reach};
use super::route::Routed;
use super::run::{finish, state_failure};
use super::session::{self, Work};
use super::settings::{Aside, Settings};
use super::show::{self, Live, Previewed};
use super::survey::{self, Survey, Surveyor};
use super::{Failure, held, prepare};
use crate::domain::Exit;
use crate::fleet::Fleet;
use crate::job::{Job, Source};
use crate::record::{Disk, Estimate, Ledger, RunDir, RunFacts, StateDir};

/// What is to be started.
pub struct Start<'a> {
    /// What the run is, but for its name and its settings.
    pub facts: RunFacts,
    pub who: Who,
    pub disk: &'a Disk,
    pub settings: &'a Settings,
    pub input: &'a Source,
    pub job: &'a Arc<Job>,
    pub fleet: &'a Fleet,
    /// For each server whether it is left out.
    pub left_out: &'a [bool],
    /// For each server whether it is to be spoken to.
    pub needed: Vec<bool>,
    /// For each server whether it belongs to another shard of the job; empty where there are none.
    pub other_shards: Vec<bool>,
    pub runs_dir: &'a Path,
    /// The directory that was asked for.
    pub run_dir: Option<&'a Path>,
    pub others: &'a StateArgs,
    pub output: &'a OutputArgs,
    pub afterwards: &'a Afterwards,
    /// Whether nobody is asked.
    pub yes: bool,
    /// The job as it was named: `-` leaves the terminal to be asked at, not standard input.
    pub named: &'a Path,
    pub title: String,
}

impl Start<'_> {
    /// Carries it out. `route` says where everything goes, once the servers were asked; `before`
    /// is done before the run is recorded, so that there is none to be resumed without it.
    pub fn carry_out(
        self,
        mut live: Live,
        route: impl FnOnce(&Survey) -> Routed,
        before: impl FnOnce(&RunDir) -> Result<(), Failure>,
    ) -> Result<Exit, Failure> {
        let Start { facts, who, disk, settings, input, job, fleet, left_out, needed, .. } = self;
        // What could still go wrong before the first call goes wrong before the question.
        let is_out = |name: &str| {
            (0..left_out.len()).any(|n| fleet.servers[n].name == name && (left_out[n] || !needed[n]))
        };
        let credentials = match settings.sandbox {
            true => Vec::new(),
            false => reach::credentials(fleet, disk, |server| is_out(&server.name))?,
        };
        RunDir::check(self.run_dir)?;
        let room = Estimate::new(job, input, prepare::callable(job).count());
        RunDir::check_room(disk, self.run_dir.unwrap_or(self.runs_dir), room)?;
        let at = facts.started_at;
        let run_id = RunDir::name(self.run_dir, input.name(), at);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        let is_question_due = !self.yes && !job.operations.is_empty();
        let mut reach = None;
        let mut state = None;
        let mut survey = if settings.sandbox {
            if let Some(store) = &settings.sandbox_in {
                reach = Some(Reach::sandbox(&fleet.servers[0], disk, Kept::In(store.clone()), &run_id, job)?);
            }
            Survey::silent(fleet, left_out)
        } else {
            if is_question_due {
                show::can_ask(self.named)?;
            }
            let reach = reach.insert(Reach::servers(fleet, &credentials, &run_id)?);
            let state = state.insert(StateDir::from_environment(disk).map_err(state_failure)?);
            let surveyor = Surveyor {
                fleet,
                credentials: &credentials,
                reach,
                job,
                args: self.others,
                only_looks: false,
                others: self.other_shards.clone(),
                run_id: &run_id,
                operator: &who.to_string(),
                live: &live,
            };
            surveyor.survey(state, left_out, |number| needed[number], &runtime)?
        };
        let routed = route(&survey);
        let held = match &reach {
            Some(reach) => held::count(job, fleet, &routed, reach, &mut survey, &runtime, &live),
            None => Vec::new(),
        };
        let previewed = Previewed { title: &self.title, job, fleet, routed: &routed, settings };
        live.preview(previewed, held, self.run_dir);
        if is_question_due {
            show::may_go_on(self.named)?;
        }

        let dir = RunDir::create(disk, self.run_dir, self.runs_dir, input.name(), at)?;
        before(&dir)?;
        let settings = &Settings { aside: Aside::of(&routed.settled), ..settings.clone() };
        let kept = serde_json::to_value(settings).context("the settings cannot be written down")?;
        let facts = RunFacts { run_id: dir.run_id(), settings: kept, ..facts };
        dir.write_facts(&facts, input)?;
        let journal = dir.start_journal(&facts)?;
        let reach = match reach {
            None => Reach::sandbox(&fleet.servers[0], disk, Kept::In(dir.sandbox()), &dir.run_id(), job)?,
            Some(reach) if settings.sandbox || dir.run_id() == run_id => reach,
            // The name was taken; what reaches the servers' logs must be the run's own.
            Some(_) => Reach::servers(fleet, &credentials, &dir.run_id())?,
        };
        live.note(&format!("run {}", dir.path().display()));
        let to_do = prepare::placed(job, &routed);
        let closed = session::carry_out(
            Work {
                dir: &dir,
                facts: &facts,
                job,
                input: &dir.input()?,
                fleet,
                reach: &reach,
                runtime: &runtime,
                survey,
                routed,
                order: settings.channel_order,
                reading: &settings.reading,
                foreseen: Some(&|op| settings.foreseen(op)),
                who,
                journal,
                ledger: Ledger::new(job),
                sessions: Vec::new(),
                settled: Vec::new(),
                to_do,
                last: Default::default(),
                unverified: Vec::new(),
                tolerated: settings.tolerate,
                again: Vec::new(),
                given: Vec::new(),
            },
            &mut live,
        )?;
        if let Some(state) = &state {
            survey::note_refusals(state, fleet, &credentials, &dir.run_id(), &closed.refused, &live);
        }
        // Idle connections are not waited for.
        runtime.shutdown_background();
        finish(live, disk, &dir, &facts, self.output, self.afterwards, closed)
    }
}
