//! What is known of each mailbox, and what follows from it for its operations.
//!
//! One state per mailbox: the last reading, with what the run itself has done since. An operation
//! whose flag is so already makes no call; one after another on the same flag is judged by what the
//! one before left. Without I/O and without time.

use std::collections::HashMap;

use super::accounts::Called;
use super::guard::Changes;
use super::spec::{Fault, Foreseen, Unverified};
use crate::domain::{ErrorClass, Function, State, Status, Target};
use crate::job::{Job, MailboxId};

/// The states of a job's mailboxes.
pub struct States<'a> {
    job: &'a Job,
    now: Vec<State>,
    foreseen: Option<&'a dyn Fn(u32) -> Foreseen>,
}

/// What is to be done about an operation whose turn has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// A call.
    Call,
    /// Nothing: it is so already.
    Unchanged,
    /// Nothing: it was begun in an earlier session, and had its effect.
    Holds,
    /// Nothing: it was begun in an earlier session and had no effect, and must not be begun again;
    /// why, for people.
    Lacks(String),
    /// Nothing: it was begun in an earlier session, nobody can tell whether it had effect, and it must
    /// not be begun again; why, for people.
    Unclear(String),
    /// Nothing, and this is how it ends.
    End(Status, Option<ErrorClass>, String),
}

/// Under which circumstances an operation is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standpoint {
    /// Whether nothing can be called.
    pub looks_only: bool,
    /// Whether an earlier try of it may have had effect.
    pub open: bool,
}

/// What a reading after the calls says of the operations that were called.
#[derive(Debug, Default, PartialEq)]
pub struct Proof {
    /// Those that hold, ascending.
    pub holds: Vec<u32>,
    /// Those that do not.
    pub lacks: Vec<u32>,
    /// Those that end otherwise than they had.
    pub corrections: Vec<Correction>,
}

/// An operation that a reading shows to have ended otherwise than was thought.
#[derive(Debug, PartialEq)]
pub struct Correction {
    pub op: u32,
    /// How it had ended.
    pub was: Status,
    /// Whether that was in an earlier session.
    pub is_earlier: bool,
    /// How it ends.
    pub status: Status,
    /// Why, if not well.
    pub fault: Option<Fault>,
}

impl<'a> States<'a> {
    /// Nothing is known yet.
    pub fn new(job: &'a Job, foreseen: Option<&'a dyn Fn(u32) -> Foreseen>) -> States<'a> {
        States { job, now: vec![State::NEVER; job.mailboxes.len()], foreseen }
    }

    /// What an operation calls.
    pub fn function(&self, op: u32) -> Function {
        // Lanes are given operations that can be called; see `AccountSpec::ops`.
        self.job.operations[op as usize].function().expect("an invalid row has no call")
    }

    /// The mailbox of an operation.
    pub fn mailbox(&self, op: u32) -> MailboxId {
        self.job.operations[op as usize].mailbox
    }

    /// Finds the states of an account's mailboxes in a list of the server; what is not in it is
    /// absent. Neighbours are passed over, and of a mailbox that is listed twice only that is known
    /// on which both agree.
    pub fn find(
        &self,
        mailboxes: &[MailboxId],
        list: impl Iterator<Item = (String, State)>,
    ) -> Vec<(MailboxId, State)> {
        // Where each address stands, and for each place the one before it of the same address:
        // rows may name one with a server and without.
        let mut last = hashbrown::HashMap::<&str, usize>::with_capacity(mailboxes.len());
        let mut before = vec![None; mailboxes.len()];
        for (place, mailbox) in mailboxes.iter().enumerate() {
            before[place] = last.insert(self.job.mailboxes.get(*mailbox), place);
        }
        let mut found: Vec<_> = mailboxes.iter().map(|mailbox| (*mailbox, State::ABSENT)).collect();
        for (address, state) in list {
            let mut at = last.get(address.as_str()).copied();
            while let Some(place) = at {
                let known = &mut found[place].1;
                *known = if *known == State::ABSENT { state } else { agreed(*known, state) };
                at = before[place];
            }
        }
        found
    }

    /// Takes a reading in.
    pub fn note_reading(&mut self, found: &[(MailboxId, State)]) {
        for (mailbox, state) in found {
            self.now[mailbox.index()] = *state;
        }
    }

    /// What is to be done about an operation.
    pub fn judge(&self, op: u32, from: Standpoint) -> Judged {
        self.judge_by(self.now[self.mailbox(op).index()], op, from)
    }

    fn judge_by(&self, state: State, op: u32, from: Standpoint) -> Judged {
        let function = self.function(op);
        let is_so = state.is(function.target());
        if from.looks_only {
            return match is_so {
                Some(true) => Judged::Unchanged,
                _ => Judged::End(Status::Planned, None, note(state, function.target()).to_owned()),
            };
        }
        if from.open && !function.is_repeatable() {
            return settle_release(is_so);
        }
        match is_so {
            Some(true) if from.open => Judged::Holds,
            Some(true) => Judged::Unchanged,
            _ => self.drift(op, function, state).unwrap_or(Judged::Call),
        }
    }

    /// What is to be said of an operation that is to be called, and that a plan has otherwise.
    fn drift(&self, op: u32, function: Function, state: State) -> Option<Judged> {
        let channel = function.channel();
        let now = match state.of(channel) {
            "" => format!("the state of {channel} is not known now"),
            word => format!("{channel} is {word} now"),
        };
        let why = match (self.foreseen?)(op) {
            Foreseen::Planned => return None,
            Foreseen::Unchanged => format!("the plan has it as unchanged, and {now}"),
            Foreseen::Otherwise => "the plan does not have it as something that can be done".to_owned(),
        };
        Some(Judged::End(Status::Blocked, Some(ErrorClass::Drifted), why))
    }

    /// Notes how an operation ended; `open` says whether it may have had effect all the same.
    pub fn ended(&mut self, op: u32, status: Status, open: bool) {
        let operation = &self.job.operations[op as usize];
        let Some(function) = operation.function() else { return };
        let target = function.target();
        let value = match status {
            Status::Ok | Status::Planned => Some(target.on),
            _ if open => None,
            _ => return,
        };
        let state = &mut self.now[operation.mailbox.index()];
        // Whether it is there at all only a call tells, and none was made.
        if status != Status::Planned || *state != State::ABSENT {
            *state = state.with(target.flag, value);
        }
    }

    /// How much these operations, each mailbox's in their order, would change; an unknown state
    /// counts as a change. What was begun before and had its effect is a change of the run's.
    pub fn count(&self, ops: impl Iterator<Item = (u32, Standpoint)>, changes: &mut Changes) {
        let mut later: HashMap<MailboxId, State> = HashMap::new();
        for (op, from) in ops {
            let mailbox = self.mailbox(op);
            let known = later.get(&mailbox).copied();
            let state = known.unwrap_or(self.now[mailbox.index()]);
            match self.judge_by(state, op, from) {
                Judged::Unchanged => changes.unchanged += 1,
                Judged::Holds => changes.changed += 1,
                Judged::Call => {
                    changes.changed += 1;
                    let target = self.function(op).target();
                    later.insert(mailbox, state.with(target.flag, Some(target.on)));
                }
                Judged::Lacks(_) | Judged::Unclear(_) | Judged::End(..) => {}
            }
        }
    }

    /// What a reading says of operations that were called before it. Of several on the same flag of
    /// a mailbox only the last one shows, and none if a later one ended without a call.
    pub fn prove(&self, called: Called, found: &[(MailboxId, State)]) -> Proof {
        let mut last: HashMap<(MailboxId, u8), (Unverified, bool)> = HashMap::new();
        let key = |op: u32| (self.mailbox(op), self.function(op).target().flag as u8);
        let earlier = called.earlier.into_iter().map(|unverified| (unverified, true));
        for (unverified, is_earlier) in earlier.chain(called.now.into_iter().map(|now| (now, false))) {
            let key = key(unverified.op);
            let is_behind = last.get(&key).is_some_and(|(known, _)| known.op > unverified.op);
            if !is_behind {
                last.insert(key, (unverified, is_earlier));
            }
        }
        for op in called.uncalled {
            if last.get(&key(op)).is_some_and(|(known, _)| known.op < op) {
                last.remove(&key(op));
            }
        }
        let states: HashMap<MailboxId, State> = found.iter().copied().collect();
        let mut last: Vec<_> = last.into_values().collect();
        last.sort_unstable_by_key(|(unverified, _)| unverified.op);
        let mut proof = Proof::default();
        for (unverified, is_earlier) in last {
            let Some(state) = states.get(&self.mailbox(unverified.op)) else { continue };
            self.prove_one(unverified, is_earlier, *state, &mut proof);
        }
        proof
    }

    fn prove_one(&self, unverified: Unverified, is_earlier: bool, state: State, proof: &mut Proof) {
        let Unverified { op, ended: was, fault } = unverified;
        let function = self.function(op);
        let Some(holds) = state.is(function.target()) else { return };
        if holds {
            proof.holds.push(op)
        } else {
            proof.lacks.push(op)
        };
        let (status, fault) = match (holds, fault) {
            (true, None) => return,
            (true, Some(_)) => (Status::Ok, None),
            // It had ended so.
            (false, _) if was == Status::Failed => return,
            (false, fault) => {
                let (channel, word) = (function.channel(), state.of(function.channel()));
                let still = if word.is_empty() { "not as wanted" } else { word };
                let read = format!("read afterwards: {channel} is {still}");
                let fault = match fault {
                    Some(fault) => Fault { error: format!("{}; {read}", fault.error), ..fault },
                    None => Fault {
                        class: ErrorClass::NotApplied,
                        http: None,
                        error: format!("the server accepted the call, and it had no effect; {read}"),
                    },
                };
                (Status::Failed, Some(fault))
            }
        };
        proof.corrections.push(Correction { op, was, is_earlier, status, fault });
    }
}

/// A release that may have been sent is settled by what is held, and never sent again.
fn settle_release(is_so: Option<bool>) -> Judged {
    match is_so {
        Some(true) => Judged::Holds,
        Some(false) => {
            Judged::Lacks("this release was begun in an earlier session, and mail is still held".to_owned())
        }
        None => Judged::Unclear(
            "this release may have been sent in an earlier session; it is not sent again".to_owned(),
        ),
    }
}

/// What a plan says of an operation that it cannot foresee.
fn note(state: State, target: Target) -> &'static str {
    match state.is(target) {
        _ if state == State::ABSENT => "the server does not list this mailbox; the call will tell",
        None => "its state is not known; the call is made all the same",
        Some(_) => "",
    }
}

/// What two readings say together.
fn agreed(one: State, other: State) -> State {
    State::read(|flag| one.get(flag).filter(|value| other.get(flag) == Some(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{InputOptions, Source, read};

    const ACTING: Standpoint = Standpoint { looks_only: false, open: false };
    const LOOKING: Standpoint = Standpoint { looks_only: true, open: false };
    const OPEN: Standpoint = Standpoint { looks_only: false, open: true };

    fn job(rows: &str) -> Job {
        let options = InputOptions { allow_conflicts: true, ..InputOptions::default() };
        read(&Source::bytes(format!("email,action,channel\n{rows}")), &options).unwrap()
    }

    fn known<'a>(job: &'a Job, list: &[(&str, &str)]) -> States<'a> {
        let mut states = States::new(job, None);
        let found = found(&states, list);
        states.note_reading(&found);
        states
    }

    fn found(states: &States<'_>, list: &[(&str, &str)]) -> Vec<(MailboxId, State)> {
        let mailboxes: Vec<MailboxId> = states.job.mailboxes.iter().map(|(id, _)| id).collect();
        states.find(&mailboxes, list.iter().map(|(name, state)| ((*name).to_owned(), state.parse().unwrap())))
    }

    const A: &str = "a@example.com";

    #[test]
    fn what_is_so_already_needs_no_call_and_what_is_not_known_does() {
        let job = job("a@example.com,suspend,login\n");
        for (state, judged) in [
            ("ynnn", Judged::Unchanged),
            ("nyyy", Judged::Call),
            ("?nnn", Judged::Call),
            ("----", Judged::Call),
        ] {
            assert_eq!(known(&job, &[(A, state)]).judge(0, ACTING), judged, "{state}");
        }
        assert_eq!(known(&job, &[]).judge(0, ACTING), Judged::Call, "not in the list");
        assert_eq!(States::new(&job, None).judge(0, ACTING), Judged::Call, "not read");
    }

    #[test]
    fn one_after_another_is_judged_by_what_the_one_before_left() {
        let job = job("a@example.com,suspend,login\na@example.com,unsuspend,login\n");
        let mut states = known(&job, &[(A, "ynnn")]);
        assert_eq!(states.judge(0, ACTING), Judged::Unchanged);
        assert_eq!(states.judge(1, ACTING), Judged::Call);
        states.ended(1, Status::Ok, false);
        assert_eq!(states.judge(0, ACTING), Judged::Call);
        states.ended(0, Status::Unknown, true);
        assert_eq!(states.judge(1, ACTING), Judged::Call, "nobody knows");
        states.ended(1, Status::Failed, false);
        assert_eq!(states.now[0].to_string(), "?nnn");
    }

    #[test]
    fn changes_are_counted_as_the_operations_will_be_judged() {
        let job = job("a@example.com,suspend,login\na@example.com,unsuspend,login\n\
             b@example.com,release,outgoing\n");
        let count = |state: &str, from: Standpoint| {
            let mut changes = Changes::default();
            let states = known(&job, &[(A, state), ("b@example.com", state)]);
            states.count([0, 1, 2].into_iter().map(|op| (op, from)), &mut changes);
            (changes.changed, changes.unchanged)
        };
        assert_eq!(count("ynnn", ACTING), (1, 2));
        assert_eq!(count("nnny", ACTING), (3, 0));
        assert_eq!(count("????", ACTING), (3, 0), "what is not known counts");
        // The first had its effect in an earlier session; the release is not sent again.
        assert_eq!(count("ynny", OPEN), (2, 0));
        assert_eq!(count("ynn?", OPEN), (2, 0));
    }

    #[test]
    fn neighbours_are_passed_over_and_of_a_mailbox_listed_twice_the_agreement_counts() {
        let job = job("a@example.com,suspend,login\nb@example.com,suspend,login\n");
        let states = States::new(&job, None);
        let list = [(A, "ynnn"), ("aa@example.com", "yyyy"), (A, "yynn")];
        let words: Vec<String> = found(&states, &list).iter().map(|(_, state)| state.to_string()).collect();
        assert_eq!(words, ["y?nn", "----"]);
    }

    #[test]
    fn what_may_have_been_done_by_us_is_not_taken_for_somebody_elses_doing() {
        let job = job("a@example.com,suspend,login\nb@example.com,release,outgoing\n");
        let open = |state: &str, op| known(&job, &[(A, state), ("b@example.com", state)]).judge(op, OPEN);
        assert_eq!(open("ynnn", 0), Judged::Holds);
        assert_eq!(open("nnnn", 0), Judged::Call);
        assert_eq!(open("nnnn", 1), Judged::Holds);
        assert!(matches!(open("nnny", 1), Judged::Lacks(_)));
        assert!(matches!(open("nnn?", 1), Judged::Unclear(_)));
    }

    #[test]
    fn who_only_looks_calls_nothing_and_goes_on_as_if_it_had() {
        let job = job("a@example.com,suspend,login\na@example.com,unsuspend,login\n");
        let mut states = known(&job, &[(A, "nnnn")]);
        assert_eq!(states.judge(0, LOOKING), Judged::End(Status::Planned, None, String::new()));
        states.ended(0, Status::Planned, false);
        assert_eq!(states.judge(1, LOOKING), Judged::End(Status::Planned, None, String::new()));
        let mut absent = known(&job, &[]);
        for op in [0, 1] {
            let judged = absent.judge(op, LOOKING);
            assert!(
                matches!(judged, Judged::End(Status::Planned, None, note) if note.contains("does not list"))
            );
            absent.ended(op, Status::Planned, false);
        }
        for state in ["????", "?nnn"] {
            let judged = known(&job, &[(A, state)]).judge(0, LOOKING);
            assert!(matches!(judged, Judged::End(Status::Planned, None, note) if note.contains("not known")));
        }
    }

    #[test]
    fn what_a_plan_has_otherwise_has_drifted() {
        let job = job("a@example.com,suspend,login\n");
        let judge = |foreseen: Foreseen, state: &str| {
            let foreseen = move |_| foreseen;
            let mut states = States::new(&job, Some(&foreseen));
            let list = found(&states, &[(A, state)]);
            states.note_reading(&list);
            states.judge(0, ACTING)
        };
        assert_eq!(judge(Foreseen::Planned, "nnnn"), Judged::Call);
        assert_eq!(judge(Foreseen::Planned, "ynnn"), Judged::Unchanged);
        assert_eq!(judge(Foreseen::Unchanged, "ynnn"), Judged::Unchanged);
        let drifted = |judged: Judged| match judged {
            Judged::End(Status::Blocked, Some(ErrorClass::Drifted), why) => why,
            other => panic!("{other:?}"),
        };
        let why = drifted(judge(Foreseen::Unchanged, "nnnn"));
        assert_eq!(why, "the plan has it as unchanged, and login is active now");
        drifted(judge(Foreseen::Otherwise, "nnnn"));
    }

    #[test]
    fn a_reading_afterwards_proves_settles_or_refutes_the_last_call_on_a_flag() {
        let job =
            job("a@example.com,suspend,login\nb@example.com,suspend,login\nc@example.com,suspend,login\n\
             d@example.com,suspend,login\ne@example.com,suspend,login\ne@example.com,unsuspend,login\n");
        let states = States::new(&job, None);
        let list = found(
            &states,
            &[(A, "ynnn"), ("b@example.com", "nnnn"), ("c@example.com", "ynnn"), ("e@example.com", "nnnn")],
        );
        let fault = || Some(Fault { class: ErrorClass::Timeout, http: None, error: "no answer".into() });
        let called = |op: u32| match op {
            2 => Unverified { op, ended: Status::Unknown, fault: fault() },
            _ => Unverified { op, ended: Status::Ok, fault: None },
        };
        let all =
            Called { earlier: vec![called(0)], now: (1..6).map(called).collect(), uncalled: Vec::new() };
        let proof = states.prove(all, &list);
        assert_eq!((proof.holds, proof.lacks), (vec![0, 2, 5], vec![1]), "3 is not listed, 4 is behind 5");
        let ends: Vec<_> = proof
            .corrections
            .iter()
            .map(|end| (end.op, end.was, end.status, end.fault.as_ref().map(|f| f.class)))
            .collect();
        let not_applied = Some(ErrorClass::NotApplied);
        assert_eq!(
            ends,
            [(1, Status::Ok, Status::Failed, not_applied), (2, Status::Unknown, Status::Ok, None)]
        );
        let late = |ended| {
            let unverified = Unverified { op: 1, ended, fault: fault() };
            states.prove(Called { earlier: vec![unverified], now: Vec::new(), uncalled: vec![0] }, &list)
        };
        let end = late(Status::Unknown).corrections.swap_remove(0);
        let why = end.fault.unwrap();
        assert_eq!((end.status, why.class, end.is_earlier), (Status::Failed, ErrorClass::Timeout, true));
        assert_eq!(why.error, "no answer; read afterwards: login is active");
        let failed = late(Status::Failed);
        assert_eq!((failed.lacks, failed.corrections), (vec![1], vec![]), "it had ended so");
        let behind = Called { earlier: vec![called(4)], now: Vec::new(), uncalled: vec![5] };
        assert_eq!(states.prove(behind, &list), Proof::default(), "it was taken back before the reading");
    }
}
