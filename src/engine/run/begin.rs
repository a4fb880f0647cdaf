//! What is begun, and what ends without a call, with the records that say so; and the guard that stands
//! before all of it.

use tokio::time::Instant;

use super::super::guard::Changes;
use super::super::lane::{Begun, Lane};
use super::super::session::Stop;
use super::super::states::Judged;
use super::{Outcome, Run, number};
use crate::domain::{ErrorClass, Status};
use crate::record::{Ended, Entry, in_rows};

/// An operation that a reading has settled.
pub(super) struct Settled {
    outcome: Outcome,
    /// Whether it was begun in an earlier session.
    was_begun: bool,
}

impl Run<'_, '_> {
    /// Takes up what a lane may begin now; says whether there may be more at once.
    pub(super) fn begin(&mut self, index: usize, now: Instant) -> bool {
        let lane = &mut self.lanes[index];
        if !self.is_guard_passed {
            return lane.survey();
        }
        // Settled operations are in no record of their own, or in one before this one.
        let record = |batch: &Vec<Entry>| self.submitted + batch.len() as u64 + 1;
        let begun = lane.begin(&mut self.chains, &self.states, record(&self.batch), now, self.safe);
        let at = (self.clock)();
        let mut calls = Vec::new();
        for begun in &begun {
            match begun {
                Begun::Call(op) => calls.push(*op),
                Begun::EndSessions(account) => {
                    let account = self.lanes[index].accounts[*account as usize].name.to_owned();
                    self.batch.push(Entry::EndSessions { at, server: number(index), account });
                }
                Begun::Reading | Begun::Settled { .. } => {}
            }
        }
        if !calls.is_empty() {
            let is_unrepeatable = calls.iter().any(|op| !self.states.function(*op).is_repeatable());
            self.batch.push(Entry::Begin { at, ops: calls });
            if is_unrepeatable {
                self.needed_on_disk = record(&self.batch) - 1;
            }
        }
        // What waits for no record is looked at again at once.
        let is_more = begun.iter().any(|begun| matches!(begun, Begun::Reading | Begun::Settled { .. }));
        for begun in begun {
            if let Begun::Settled { op, account, judged } = begun {
                self.settle(index, op, account, judged);
            }
        }
        is_more
    }

    /// An operation ends without a call.
    fn settle(&mut self, index: usize, op: u32, account: u32, judged: Judged) {
        let (status, class, error, was_begun) = match judged {
            Judged::Call => return,
            Judged::Unchanged => (Status::Unchanged, None, String::new(), false),
            Judged::Holds => (Status::Ok, None, String::new(), true),
            Judged::Lacks(why) => (Status::Failed, Some(ErrorClass::Interrupted), why, true),
            Judged::Unclear(why) => (Status::Unknown, Some(ErrorClass::Interrupted), why, true),
            Judged::End(status, class, error) => (status, class, error, false),
        };
        if !matches!(status, Status::Unchanged | Status::Ok) {
            self.batch.push(Entry::End(Ended {
                at: (self.clock)(),
                op,
                server: Some(number(index)),
                ms: None,
                status,
                class,
                http: None,
                error: error.as_str().into(),
            }));
        }
        self.states.ended(op, status, false);
        if matches!(status, Status::Unchanged | Status::Ok | Status::Unknown) {
            self.lanes[index].accounts[account as usize].note_uncalled(op);
        }
        if status == Status::Ok {
            self.note_shut(index, account, op);
        }
        self.lanes[index].ended(op, account, &mut self.chains);
        let (http_status, attempts, instead_of) = (None, 0, None);
        let outcome = Outcome { lane: index, op, status, class, http_status, error, attempts, instead_of };
        if was_begun || status == Status::Unchanged {
            self.settled.push(Settled { outcome, was_begun });
        } else {
            self.tell_when_written(outcome);
        }
    }

    /// Records what readings have settled in this turn.
    pub(super) fn note_settled(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        let settled = std::mem::take(&mut self.settled);
        let rows = |wanted: &dyn Fn(&Settled) -> bool| {
            let ops = settled.iter().filter(|settled| wanted(settled)).map(|settled| settled.outcome.op);
            let mut ops: Vec<u32> = ops.collect();
            ops.sort_unstable();
            in_rows(ops)
        };
        let at = (self.clock)();
        let ops = rows(&|settled| !settled.was_begun);
        let holds = rows(&|settled| settled.was_begun && settled.outcome.status == Status::Ok);
        let lacks = rows(&|settled| settled.was_begun && settled.outcome.status == Status::Failed);
        let unclear = rows(&|settled| settled.was_begun && settled.outcome.status == Status::Unknown);
        if !ops.is_empty() {
            self.batch.push(Entry::Unchanged { at, ops });
        }
        if settled.iter().any(|settled| settled.was_begun) {
            self.batch.push(Entry::Settled { at, holds, lacks, unclear });
        }
        settled.into_iter().for_each(|settled| self.tell_when_written(settled.outcome));
    }

    /// Lets calls be made once all state was read, unless too much would change.
    pub(super) fn pass_guard(&mut self) {
        if self.is_guard_passed || self.stop.is_some() || !self.lanes.iter().all(Lane::is_surveyed) {
            return;
        }
        self.is_guard_passed = true;
        let Some(most) = self.checks.max_changes else { return };
        let mut changes: Changes = self.checks.changed_before;
        for lane in self.lanes.iter().filter(|lane| lane.halted.is_none()) {
            self.states.count(lane.to_judge().into_iter(), &mut changes);
        }
        if let Err(reason) = most.judge(changes) {
            self.take_no_more(Stop::MaxChanges, ErrorClass::MaxChanges, reason);
        }
    }
}
