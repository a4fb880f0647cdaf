//! A session that only looks: what `plan` and `verify` do at the servers.
//!
//! It is the engine's own loop with the same limits, retries and halts, through ways by which
//! nothing can be changed. What happened is kept in a file without a name, for as long as the
//! command runs.

use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Failure;
use super::lanes::{self, Tasks};
use super::person::Who;
use super::reach::Reach;
use super::route::Routed;
use super::session::Opening;
use super::show::Live;
use super::survey::Survey;
use crate::domain::Exit;
use crate::engine::{self, ChannelOrder, Checks, SessionEnd, Signal};
use crate::fleet::Fleet;
use crate::job::Job;
use crate::record::{Disk, Journal, JournalRecorder, Ledger, Places, Stamp};

/// What is to be looked at.
pub struct Look<'a> {
    pub job: &'a Arc<Job>,
    pub fleet: &'a Fleet,
    pub disk: &'a Disk,
    pub reach: &'a Reach,
    pub runtime: &'a Runtime,
    pub survey: Survey,
    pub routed: &'a Routed,
    pub order: ChannelOrder,
    pub who: &'a Who,
    /// The operations, in file order; those that go nowhere are left out.
    pub to_do: &'a [u32],
    /// The command's, which may look more than once: none is lost between two looks.
    pub signals: &'a mut UnboundedReceiver<Signal>,
}

/// What was seen: an operation whose mailbox is as wanted is `unchanged`, one that would be called is
/// `planned`.
pub struct Looked {
    pub ledger: Ledger,
    /// For the reasons.
    pub journal: Journal,
    pub end: SessionEnd,
}

/// Looks.
pub fn look(look: Look<'_>, live: &mut Live) -> Result<Looked, Failure> {
    let Look { job, fleet, disk, reach, runtime, mut survey, routed, order, who, to_do, signals } = look;
    let unwritable = |fault: std::io::Error| Failure::new(Exit::Unwritable, fault);
    let mut journal = Journal::unnamed(disk).map_err(unwritable)?;
    let mut ledger = Ledger::new(job);
    let nowhere = Places::new(job.mailboxes.len());
    let asked = std::mem::take(&mut survey.asked);
    let opening = Opening { fleet, routed, recorded: &nowhere, who, asked };
    for entry in opening.entries()? {
        let at = journal.append(&entry, 0);
        ledger.apply(&entry, at);
    }
    journal.flush().map_err(unwritable)?;
    let lanes = lanes::lanes(Tasks {
        job,
        fleet,
        places: routed.places.list(),
        routed,
        ways: reach.ways_to_look(),
        heard: &survey.heard,
        known: std::mem::take(&mut survey.known),
        ledger: &ledger,
        to_do,
        last: &Default::default(),
        unverified: &[],
        end_sessions: false,
    });
    let clock = Stamp::now;
    let session = engine::Session {
        order,
        // Nothing is called, so there is nothing to be read afterwards.
        checks: Checks { after: false, ..Checks::default() },
        seed: fastrand::u64(..),
        ..engine::Session::new(job, lanes, &clock)
    };
    let mut recorder = JournalRecorder::start(journal, ledger).map_err(unwritable)?;
    let end = runtime.block_on(async {
        let (tell, told) = unbounded_channel();
        let mut looking = std::pin::pin!(engine::run(session, &mut recorder, live.observer(), told));
        loop {
            tokio::select! {
                biased;
                Some(signal) = signals.recv() => drop(tell.send(signal)),
                end = &mut looking => break end,
            }
        }
    });
    let (journal, ledger, written) = recorder.finish();
    written.context("what was seen cannot be kept").map_err(|fault| Failure::new(Exit::Unwritable, fault))?;
    Ok(Looked { ledger, journal, end })
}
