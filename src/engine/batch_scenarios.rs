//! Calls that go together, in virtual time: a server that has state and answers batches in every way
//! in, the same end as with single calls out.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Checks, LaneSpec, Limits, Session, run};
use crate::domain::{ErrorClass, Flag, Function, State, Status};
use crate::job::{InputOptions, Job, Source, read};
use crate::record::{Entry, Ledger, Remembered, SessionEntry, Stamp};
use crate::uapi::{Answer, Found, Item, Question, Reader, Reading, Together, Transport, Verdict};

/// How a server answers a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Each call, and goes on after a failure.
    Whole,
    /// In order up to the first failure, and names those.
    StopsShort,
    /// In order up to the first failure, and names none then.
    StopsSilent,
    /// Carries all out, and then the connection is lost.
    LostAfter,
    /// Time-out after half of them.
    TimesOutHalfway,
    /// Says of some calls nothing, though all were carried out.
    Gaps,
    /// Refuses batches as such.
    Refuses,
    /// Is too busy now and then.
    Throttles,
}

const MANNERS: [Manner; 8] = [
    Manner::Whole,
    Manner::StopsShort,
    Manner::StopsSilent,
    Manner::LostAfter,
    Manner::TimesOutHalfway,
    Manner::Gaps,
    Manner::Refuses,
    Manner::Throttles,
];

/// A server with a mailbox's flags; addresses that begin with `gone` it does not know.
struct World {
    manner: Manner,
    states: RefCell<HashMap<String, State>>,
    /// Calls that were under way at once, per mailbox.
    busy: RefCell<HashMap<String, u32>>,
    overlaps: Cell<u32>,
    batches: RefCell<Vec<usize>>,
    requests: Cell<u32>,
    calls: RefCell<Vec<Instant>>,
    order: RefCell<Vec<(String, Function)>>,
}

const PROCESS: Duration = Duration::from_millis(100);
const CALL: Duration = Duration::from_millis(5);

impl World {
    fn new(manner: Manner, job: &Job) -> World {
        let blank = State::read(|_| Some(false));
        let known = job.mailboxes.iter().filter(|(_, address)| !address.starts_with("gone"));
        World {
            manner,
            states: RefCell::new(known.map(|(_, address)| (address.to_owned(), blank)).collect()),
            busy: RefCell::default(),
            overlaps: Cell::new(0),
            batches: RefCell::default(),
            requests: Cell::new(0),
            calls: RefCell::default(),
            order: RefCell::default(),
        }
    }

    fn apply(&self, function: Function, mailbox: &str) -> Verdict {
        self.order.borrow_mut().push((mailbox.to_owned(), function));
        match self.states.borrow_mut().get_mut(mailbox) {
            Some(state) => {
                let target = function.target();
                *state = state.with(target.flag, Some(target.on));
                Verdict::Done
            }
            None => Verdict::Rejected { class: ErrorClass::NoSuchMailbox, error: "gone".into() },
        }
    }

    fn enter(&self, mailbox: &str) {
        self.calls.borrow_mut().push(Instant::now());
        let mut busy = self.busy.borrow_mut();
        let count = busy.entry(mailbox.to_owned()).or_default();
        *count += 1;
        if *count > 1 {
            self.overlaps.set(self.overlaps.get() + 1);
        }
    }

    fn leave(&self, mailbox: &str) {
        if let Some(count) = self.busy.borrow_mut().get_mut(mailbox) {
            *count -= 1;
        }
    }

    async fn together(&self, items: &[Item<'_>]) -> Together {
        let number = self.batches.borrow().len();
        self.batches.borrow_mut().push(items.len());
        self.requests.set(self.requests.get() + 1);
        items.iter().for_each(|item| self.enter(item.mailbox));
        tokio::time::sleep(PROCESS + CALL * items.len() as u32).await;
        let answer = self.answer(items, number).await;
        items.iter().for_each(|item| self.leave(item.mailbox));
        answer
    }

    async fn answer(&self, items: &[Item<'_>], number: usize) -> Together {
        let all = |items: &[Item<'_>]| -> Vec<Option<Verdict>> {
            items.iter().map(|item| Some(self.apply(item.function, item.mailbox))).collect()
        };
        let whole = |verdict| Together { verdict, reached: None, ..Together::unanswered(items.len()) };
        match self.manner {
            Manner::Whole => {
                Together { verdicts: all(items), reached: Some(items.len()), ..Together::unanswered(0) }
            }
            Manner::StopsShort | Manner::StopsSilent => {
                let mut verdicts = Vec::new();
                for item in items {
                    let verdict = self.apply(item.function, item.mailbox);
                    let is_failure = verdict != Verdict::Done;
                    verdicts.push(Some(verdict));
                    if is_failure {
                        break;
                    }
                }
                let failed = verdicts.last().is_some_and(|last| *last != Some(Verdict::Done));
                if failed && self.manner == Manner::StopsSilent {
                    return Together { refusal: Some("gone".into()), ..whole(Verdict::Done) };
                }
                let reached = Some(verdicts.len());
                verdicts.resize(items.len(), None);
                Together { verdicts, reached, ..Together::unanswered(0) }
            }
            Manner::LostAfter if number.is_multiple_of(2) => {
                all(items);
                whole(Verdict::Open { class: ErrorClass::Connect, error: "lost".into() })
            }
            Manner::TimesOutHalfway if number.is_multiple_of(2) => {
                all(&items[..items.len() / 2]);
                tokio::time::sleep(Duration::from_secs(60)).await;
                whole(Verdict::Open { class: ErrorClass::Timeout, error: "no answer".into() })
            }
            Manner::Gaps => {
                let mut verdicts = all(items);
                verdicts.iter_mut().step_by(3).for_each(|verdict| *verdict = None);
                Together { verdicts, reached: Some(items.len()), ..Together::unanswered(0) }
            }
            Manner::Refuses => Together { refusal: Some("no batches here".into()), ..whole(Verdict::Done) },
            Manner::Throttles if number.is_multiple_of(3) => {
                whole(Verdict::Throttled { after: None, error: "busy".into() })
            }
            Manner::LostAfter | Manner::TimesOutHalfway | Manner::Throttles => {
                Together { verdicts: all(items), reached: Some(items.len()), ..Together::unanswered(0) }
            }
        }
    }
}

impl Reader for World {
    fn read<'a>(&'a self, _: Question<'a>) -> LocalBoxFuture<'a, Reading> {
        self.requests.set(self.requests.get() + 1);
        async {
            tokio::time::sleep(PROCESS).await;
            let list = self.states.borrow().iter().map(|(name, state)| (name.clone(), *state)).collect();
            Reading {
                http_status: Some(200),
                verdict: Verdict::Done,
                found: Found::States(list),
                certificate: None,
            }
        }
        .boxed_local()
    }
}

impl Transport for World {
    fn call<'a>(&'a self, _: &'a str, function: Function, mailbox: &'a str) -> LocalBoxFuture<'a, Answer> {
        self.requests.set(self.requests.get() + 1);
        self.enter(mailbox);
        async move {
            tokio::time::sleep(PROCESS + CALL).await;
            let verdict = self.apply(function, mailbox);
            self.leave(mailbox);
            Answer { http_status: Some(200), verdict }
        }
        .boxed_local()
    }

    fn call_together<'a>(&'a self, items: &'a [Item<'a>]) -> LocalBoxFuture<'a, Together> {
        self.together(items).boxed_local()
    }

    fn end_sessions<'a>(&'a self, _: &'a str) -> LocalBoxFuture<'a, Answer> {
        unreachable!("nobody asked to end sessions")
    }
}

fn job(mailboxes: usize) -> Job {
    let mut rows = String::from("email,action,channel\n");
    for i in 0..mailboxes {
        let name = if i % 13 == 7 { "gone" } else { "user" };
        rows.push_str(&format!("{name}{i}@example.com,suspend,login+outgoing\n"));
        if i % 5 == 0 {
            rows.push_str(&format!("{name}{i}@example.com,unsuspend,login\n"));
        }
        if i % 17 == 0 {
            rows.push_str(&format!("{name}{i}@example.com,hold,outgoing\n"));
            rows.push_str(&format!("{name}{i}@example.com,release,outgoing\n"));
        }
    }
    let options = InputOptions { allow_conflicts: true, ..InputOptions::default() };
    read(&Source::bytes(rows), &options).unwrap()
}

struct Played {
    /// Status and class of each operation.
    standing: Vec<(Status, Option<ErrorClass>)>,
    states: Vec<(String, String)>,
    took: Duration,
}

async fn play(job: &Job, world: &World, batch: &str, rate: &str) -> Played {
    let limits = Limits {
        rate: rate.parse().unwrap(),
        jobs: 8.try_into().unwrap(),
        batch: batch.parse().unwrap(),
        max_errors: "100%".parse().unwrap(),
        ..Limits::default()
    };
    let ops = 0..job.operations.len() as u32;
    let lanes = vec![LaneSpec::new("s", world, ops.collect(), limits)];
    let begun = Instant::now();
    let clock = move || Stamp(i64::try_from(begun.elapsed().as_millis()).unwrap());
    let session = Session { checks: Checks::default(), seed: 3, ..Session::new(job, lanes, &clock) };
    let mut recorder = Remembered::default();
    let (_keep, signals) = mpsc::unbounded_channel();
    run(session, &mut recorder, &mut (), signals).await;
    let mut ledger = Ledger::new(job);
    let opening = SessionEntry { servers: vec!["s".into()], ..SessionEntry::default() };
    ledger.apply(&Entry::Session(opening), 0);
    recorder.entries.iter().for_each(|entry| ledger.apply(entry, 0));
    let standing = (0..job.operations.len() as u32).map(|op| {
        let standing = ledger.standing(job, op);
        (standing.status, standing.class)
    });
    let mut states: Vec<_> =
        world.states.borrow().iter().map(|(name, state)| (name.clone(), state.to_string())).collect();
    states.sort();
    Played { standing: standing.collect(), states, took: begun.elapsed() }
}

#[tokio::test(start_paused = true)]
async fn a_batch_under_each_fault_leaves_the_same_state_and_results_as_single_calls() {
    let job = job(120);
    let single = World::new(Manner::Whole, &job);
    let expected = play(&job, &single, "1", "none").await;
    assert!(single.batches.borrow().is_empty());
    for manner in MANNERS {
        for batch in ["2", "7", "20", "auto"] {
            let world = World::new(manner, &job);
            let played = play(&job, &world, batch, "none").await;
            assert_eq!(played.states, expected.states, "{manner:?} {batch}");
            assert_eq!(played.standing, expected.standing, "{manner:?} {batch}");
            assert!(!world.batches.borrow().is_empty(), "{manner:?} {batch}");
            assert_eq!(world.overlaps.get(), 0, "{manner:?} {batch}: two calls of a mailbox at once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn operations_of_a_mailbox_keep_their_order_inside_and_across_batches_and_a_release_goes_alone() {
    let job = job(120);
    let world = World::new(Manner::Whole, &job);
    play(&job, &world, "20", "none").await;
    let mut calls: HashMap<String, Vec<Function>> = HashMap::new();
    for (mailbox, function) in world.order.borrow().iter() {
        calls.entry(mailbox.clone()).or_default().push(*function);
    }
    let place = |calls: &[Function], function| calls.iter().position(|called| *called == function);
    for calls in calls.values() {
        let (shut, open) = (place(calls, Function::SuspendLogin), place(calls, Function::UnsuspendLogin));
        assert!(open.is_none() || shut < open, "{calls:?}");
        let (hold, release) = (place(calls, Function::HoldOutgoing), place(calls, Function::ReleaseOutgoing));
        assert!(release.is_none() || hold < release, "{calls:?}");
    }
    assert!(calls.values().any(|calls| place(calls, Function::ReleaseOutgoing).is_some()));
    assert_eq!(world.states.borrow()["user0@example.com"].get(Flag::Held), Some(false));
}

#[tokio::test(start_paused = true)]
async fn calls_that_go_together_are_counted_one_by_one_for_the_rate() {
    let job = job(120);
    let world = World::new(Manner::Whole, &job);
    let played = play(&job, &world, "10", "20/s").await;
    let times: Vec<f64> = {
        let calls = world.calls.borrow();
        calls.iter().map(|at| (*at - calls[0]).as_secs_f64()).collect()
    };
    for first in 0..times.len() {
        for last in first..times.len() {
            let most = 20.0 * (times[last] - times[first]) + 10.0;
            assert!((last - first + 1) as f64 <= most + 1e-6, "from {} to {}", times[first], times[last]);
        }
    }
    assert!(played.took.as_secs_f64() >= (times.len() as f64 - 10.0) / 20.0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_batches_is_called_one_by_one_after_two_of_them() {
    let job = job(120);
    let world = World::new(Manner::Refuses, &job);
    play(&job, &world, "20", "none").await;
    // Those that were on their way already come back too.
    assert!((2..=8).contains(&world.batches.borrow().len()), "{:?}", world.batches.borrow());
}

#[tokio::test(start_paused = true)]
async fn batches_take_less_than_an_eighth_of_the_time_where_a_request_is_what_costs() {
    let rows: String = (0..2000).map(|i| format!("user{i}@example.com,suspend,login\n")).collect();
    let job =
        read(&Source::bytes(format!("email,action,channel\n{rows}")), &InputOptions::default()).unwrap();
    let (one, many) = (World::new(Manner::Whole, &job), World::new(Manner::Whole, &job));
    let single = play(&job, &one, "1", "none").await.took;
    let together = play(&job, &many, "20", "none").await.took;
    assert!(together * 8 < single, "{together:?} against {single:?}");
    assert!(one.requests.get() > 15 * many.requests.get());
}
