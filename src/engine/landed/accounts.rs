//! What follows from an answer that is about an account as a whole: its state was read, or its
//! mailboxes' sessions were ended.

use std::collections::BTreeMap;

use super::super::event::Event;
use super::super::lane::counts_as_error;
use super::super::run::{Outcome, Run, number};
use super::super::states::Correction;
use super::Landing;
use crate::domain::{ErrorClass, State};
use crate::job::MailboxId;
use crate::record::{Ended, Entry, Phase, SessionsEnded, StateRead, in_rows};
use crate::uapi::Found;

impl Run<'_, '_> {
    /// The state of an account's mailboxes has come, or has not.
    pub(super) fn reading_landed(&mut self, phase: Phase, mut landing: Landing) {
        let (index, account) = (landing.index, landing.active.account);
        if let Some(due) = landing.again {
            self.lanes[index].try_again(due, landing.active);
            return;
        }
        let list = match std::mem::take(&mut landing.found) {
            Found::States(list) if landing.class.is_none() => Some(list),
            _ => None,
        };
        let mailboxes = self.lanes[index].mailboxes(account, phase, &self.states);
        let until = landing.sent + self.checks.max_age;
        let found: Vec<(MailboxId, State)> = match list {
            Some(list) => self.states.find(&mailboxes, list.into_iter()),
            // The server or the run takes nothing more: nothing follows for the mailboxes.
            None if landing.outcome.is_none() => Vec::new(),
            None => mailboxes.into_iter().map(|mailbox| (mailbox, State::UNKNOWN)).collect(),
        };
        if landing.class.is_some() && landing.outcome.is_some() {
            let account = &mut self.lanes[index].accounts[account as usize];
            match phase {
                Phase::Before if account.tell_unread() => {
                    self.notice(&landing, "the state of its mailboxes before cannot be read");
                }
                Phase::Before => {}
                Phase::After => self.notice(&landing, "what the calls came to cannot be read"),
            }
        }
        self.states.note_reading(&found);
        match phase {
            Phase::Before => {
                self.record_reading(&landing, phase, &found, Vec::new(), Vec::new());
                let record = self.next_record() - 1;
                self.needs_on_disk();
                let account = &mut self.lanes[index].accounts[account as usize];
                match (landing.class, landing.outcome) {
                    (Some(class), Some(_)) if self.checks.required => account.is_left(class, landing.error),
                    // That it cannot be read is the state before the calls, and has to be on the disk
                    // like any other.
                    (None, _) | (_, Some(_)) => account.was_read(record, until),
                    (Some(_), None) => {}
                }
            }
            Phase::After if landing.outcome.is_some() => self.prove(&landing, &found),
            Phase::After => self.record_reading(&landing, phase, &found, Vec::new(), Vec::new()),
        }
    }

    /// What the reading after the calls says of them.
    fn prove(&mut self, landing: &Landing, found: &[(MailboxId, State)]) {
        let index = landing.index;
        let called = self.lanes[index].accounts[landing.active.account as usize].take_called();
        let proof = self.states.prove(called, found);
        for Correction { op, was, is_earlier, status, fault } in proof.corrections {
            let (class, http, error) =
                fault.map_or((None, None, String::new()), |f| (Some(f.class), f.http, f.error));
            self.batch.push(Entry::End(Ended {
                at: landing.sent_at,
                op,
                server: Some(number(index)),
                ms: None,
                status,
                class,
                http,
                error: error.as_str().into(),
            }));
            self.tell_when_written(Outcome {
                lane: index,
                op,
                status,
                class,
                http_status: http,
                error,
                attempts: 0,
                instead_of: Some(was),
            });
            // A session counts from zero: what an earlier one left open was no error of this one.
            let (lane, aside) = (&mut self.lanes[index], self.left_aside);
            let too_many = if is_earlier {
                lane.count(status, class, aside)
            } else {
                self.errors = self.errors.saturating_sub(u64::from(counts_as_error(was, None, aside)));
                lane.recount(was, status, class, aside)
            };
            self.errors += u64::from(counts_as_error(status, class, aside));
            self.judge_errors(index, too_many);
        }
        // Behind the ends: it says of them that they are proved.
        self.record_reading(landing, Phase::After, found, proof.holds, proof.lacks);
    }

    /// Records a reading.
    fn record_reading(
        &mut self,
        landing: &Landing,
        phase: Phase,
        found: &[(MailboxId, State)],
        holds: Vec<u32>,
        lacks: Vec<u32>,
    ) {
        let account = self.lanes[landing.index].accounts[landing.active.account as usize].name.to_owned();
        let mut states: BTreeMap<State, Vec<u32>> = BTreeMap::new();
        for (mailbox, state) in found {
            states.entry(*state).or_default().push(mailbox.0);
        }
        self.batch.push(Entry::State(StateRead {
            at: landing.sent_at,
            server: number(landing.index),
            account,
            phase,
            requests: landing.active.tries.made,
            ms: landing.ms,
            states: states.into_iter().map(|(state, ids)| (state, in_rows(ids))).collect(),
            holds: in_rows(holds),
            lacks: in_rows(lacks),
            class: landing.class,
            error: landing.error.as_str().into(),
        }));
    }

    /// The sessions of an account's mailboxes have been ended, or have not.
    pub(super) fn sessions_landed(&mut self, landing: Landing) {
        let (index, account) = (landing.index, landing.active.account);
        if let Some(due) = landing.again {
            self.lanes[index].try_again(due, landing.active);
            return;
        }
        self.batch.push(Entry::SessionsEnded(SessionsEnded {
            at: landing.sent_at,
            server: number(index),
            account: self.lanes[index].accounts[account as usize].name.to_owned(),
            requests: landing.active.tries.made,
            ms: landing.ms,
            class: landing.class,
            error: landing.error.as_str().into(),
        }));
        if landing.outcome.is_none() {
            return;
        }
        if landing.class.is_some() {
            self.notice(&landing, "the open sessions of its mailboxes could not be ended");
        }
        self.lanes[index].look_after(account);
    }

    fn notice(&mut self, landing: &Landing, what: &str) {
        let lane = &self.lanes[landing.index];
        self.observer.on(&Event::Unread {
            server: &lane.name,
            account: lane.accounts[landing.active.account as usize].name,
            what,
            class: landing.class.unwrap_or(ErrorClass::Api),
            error: &landing.error,
        });
    }
}
