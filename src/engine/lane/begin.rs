//! What a lane takes up next, ahead of its sending: readings of accounts, operations, and what needs no
//! call at all.

use tokio::time::Instant;

use super::super::accounts::Access;
use super::super::order::Chains;
use super::super::retry::Tries;
use super::super::spec::Way;
use super::super::states::{Judged, Standpoint, States};
use super::{Active, Begun, Errand, Lane, Needs};
use crate::domain::{ErrorClass, Status};
use crate::record::Safe;

/// Operations are not begun further ahead: one record names them all.
const MOST_AHEAD: usize = 1000;

/// Operations that are settled without a call in one turn: there are signals to be heard too.
const MOST_SETTLED: usize = 2000;

impl Lane<'_> {
    /// Takes up what is to be begun now, so that its records are safe by the time a slot is free;
    /// `record` is the number that their record will have. An account that was not read is read
    /// first; what needs no call is settled.
    pub fn begin(
        &mut self,
        chains: &mut Chains,
        states: &States<'_>,
        record: u64,
        now: Instant,
        safe: Safe,
    ) -> Vec<Begun> {
        let mut begun = Vec::new();
        if self.halted.is_some() {
            return begun;
        }
        let needs = Needs { record, on_disk: false };
        for account in std::mem::take(&mut self.sessions_to_end) {
            self.begun.push_back((needs, Active::new(Errand::EndSessions, account)));
            begun.push(Begun::EndSessions(account));
        }
        let window = self.window();
        while self.begun.len() < window && begun.len() < MOST_SETTLED {
            let Some((next, account)) = self.whose_turn(now, safe) else { break };
            if self.accounts[account as usize].access(now, safe.on_disk) == Access::Unread {
                self.read_before(account);
                begun.push(Begun::Reading);
                continue;
            }
            let from = self.standpoint(next, account);
            let judged = match self.accounts[account as usize].left() {
                Some((class, error)) => no_state(class, error),
                None => states.judge(next, from),
            };
            if judged != Judged::Call {
                self.queue.take(account, chains);
                begun.push(Begun::Settled { op: next, account, judged });
                continue;
            }
            let errand = Errand::Call(next);
            let is_repeatable = errand.is_repeatable(states);
            // A release that was begun is never sent again, so none is begun while it could not go
            // out, but for the rate.
            let is_its_turn = self.begun.is_empty() && self.has_room(now, account);
            if !is_its_turn && !is_repeatable {
                break;
            }
            self.queue.take(account, chains);
            self.try_door(account);
            let tries = Tries::begun(from.open);
            // And what cannot be taken back must not be forgotten even if the power fails.
            let needs = Needs { on_disk: !is_repeatable, ..needs };
            self.begun.push_back((needs, Active { errand, account, tries, alone: false }));
            begun.push(Begun::Call(next));
        }
        begun
    }

    /// Reads all accounts that have operations and were not read in this session, as far as there is
    /// room. Says whether it began to read one.
    pub fn survey(&mut self) -> bool {
        let (window, before) = (self.window(), self.begun.len());
        for account in 0..u32::try_from(self.accounts.len()).unwrap_or(u32::MAX) {
            if self.halted.is_some() || self.begun.len() >= window {
                break;
            }
            let is_unread =
                !self.queue.is_account_done(account) && self.accounts[account as usize].is_to_be_surveyed();
            let door = self.door(account);
            if is_unread && (door.is_proven || !door.is_tried) {
                self.read_before(account);
            }
        }
        self.begun.len() > before
    }

    /// The operations that may be called, in file order, and from where each is judged: all but those
    /// of accounts that are left.
    pub fn to_judge(&self) -> Vec<(u32, Standpoint)> {
        let accounts = (0u32..).zip(&self.accounts).filter(|(_, account)| account.left().is_none());
        let ops = accounts.flat_map(|(number, _)| {
            let ops = self.queue.account_ops(number).iter();
            ops.map(move |op| (*op, self.standpoint(*op, number)))
        });
        let mut ops: Vec<_> = ops.collect();
        ops.sort_unstable_by_key(|(op, _)| *op);
        ops
    }

    /// Whether each account that has operations was read, or cannot be.
    pub fn is_surveyed(&self) -> bool {
        let mut accounts = (0u32..).zip(&self.accounts);
        self.halted.is_some()
            || accounts.all(|(number, account)| self.queue.is_account_done(number) || account.is_surveyed())
    }

    /// The operation whose turn it is, and its account: of those that can be called, or whose
    /// account can be read now.
    fn whose_turn(&mut self, now: Instant, safe: Safe) -> Option<(u32, u32)> {
        let Lane { accounts, doors, queue, .. } = self;
        queue.peek(|number, under_way| {
            let account = &mut accounts[number as usize];
            let door = &doors[account.door];
            (door.is_proven || !door.is_tried)
                && match account.access(now, safe.on_disk) {
                    Access::Open => true,
                    // A reading among calls could miss what they do.
                    Access::Unread => under_way == 0,
                    Access::Closed => false,
                }
        })
    }

    fn read_before(&mut self, account: u32) {
        self.try_door(account);
        self.accounts[account as usize].begin_reading();
        self.begun.push_back((Needs { record: 0, on_disk: false }, Active::new(Errand::ReadBefore, account)));
    }

    fn try_door(&mut self, account: u32) {
        let door = self.accounts[account as usize].door;
        self.doors[door].is_tried = true;
    }

    fn standpoint(&self, op: u32, account: u32) -> Standpoint {
        let looks_only = matches!(self.door(account).way, Way::Look(_));
        Standpoint { looks_only, open: self.open.contains(&op) }
    }

    fn has_room(&self, now: Instant, account: u32) -> bool {
        let busy = self.busy();
        let most = if self.door(account).is_proven { usize::MAX } else { 1 };
        !self.is_alone && self.most_at_once(now).is_ok_and(|room| busy < room.min(most))
    }

    /// How many operations may be begun ahead: what a tenth of a second may need.
    fn window(&self) -> usize {
        if !self.is_proven() {
            return usize::from(self.in_flight == 0 && self.retries.is_empty());
        }
        // What goes together is begun together.
        let jobs = self.concurrency.limit() * self.sizer.size();
        match self.limits.rate.calls_per_second() {
            None => jobs.min(MOST_AHEAD),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(rate) => ((rate / 10.0) as usize).clamp(self.sizer.size(), jobs.min(MOST_AHEAD)),
        }
    }
}

/// How an operation ends whose account's state is required and could not be read.
fn no_state(class: ErrorClass, error: &str) -> Judged {
    let why =
        format!("the account's state could not be read ({class}: {error}), and --require-state wants it");
    Judged::End(Status::NotAttempted, Some(ErrorClass::NoState), why)
}
