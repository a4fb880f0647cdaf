//! Scenarios in virtual time: a server's behaviour in, what the engine made of it out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Checks, LaneSpec, Limits, Session, SessionEnd, Signal, Stop, run};
use crate::domain::{ErrorClass, Function, Status};
use crate::job::{InputOptions, Job, Source, read};
use crate::record::{Entry, Ledger, Recorder, Remembered, Safe, Stamp, WriteFault};
use crate::uapi::{Answer, Question, Reader, Reading, Transport, Verdict};

/// One call as the server saw it.
#[derive(Clone, Debug)]
struct Seen {
    mailbox: String,
    from: Instant,
    until: Option<Instant>,
}

type Behaviour<'a> = Box<dyn FnMut(usize, &str) -> (Duration, Verdict) + 'a>;

/// A server that behaves as told: the number of the call and its mailbox in, how long it takes and
/// what comes of it out.
struct Server<'a> {
    behaviour: RefCell<Behaviour<'a>>,
    seen: RefCell<Vec<Seen>>,
}

impl<'a> Server<'a> {
    fn new(behaviour: impl FnMut(usize, &str) -> (Duration, Verdict) + 'a) -> Server<'a> {
        Server { behaviour: RefCell::new(Box::new(behaviour)), seen: RefCell::default() }
    }

    fn calls(&self) -> usize {
        self.seen.borrow().len()
    }

    /// The most calls that were under way at once.
    fn most_at_once(&self) -> usize {
        let seen = self.seen.borrow();
        let under_way = |at: Instant| {
            seen.iter().filter(|s| s.from <= at && s.until.is_none_or(|until| until > at)).count()
        };
        seen.iter().map(|s| under_way(s.from)).max().unwrap_or(0)
    }
}

impl Reader for Server<'_> {
    fn read<'b>(&'b self, question: Question<'b>) -> LocalBoxFuture<'b, Reading> {
        unreachable!("nobody asked for {question:?}")
    }
}

impl Transport for Server<'_> {
    fn call<'b>(&'b self, _: &'b str, _: Function, mailbox: &'b str) -> LocalBoxFuture<'b, Answer> {
        let number = self.calls();
        let (takes, verdict) = (self.behaviour.borrow_mut())(number, mailbox);
        self.seen.borrow_mut().push(Seen { mailbox: mailbox.to_owned(), from: Instant::now(), until: None });
        async move {
            tokio::time::sleep(takes).await;
            self.seen.borrow_mut()[number].until = Some(Instant::now());
            Answer { http_status: None, verdict }
        }
        .boxed_local()
    }

    fn end_sessions<'b>(&'b self, _: &'b str) -> LocalBoxFuture<'b, Answer> {
        unreachable!("nobody asked to end sessions")
    }
}

const QUICK: Duration = Duration::from_millis(80);

fn done() -> (Duration, Verdict) {
    (QUICK, Verdict::Done)
}

fn refused() -> (Duration, Verdict) {
    (QUICK, Verdict::Refused { error: "HTTP 401".into() })
}

fn no_connection() -> (Duration, Verdict) {
    (QUICK, Verdict::NotSent { class: ErrorClass::Connect, error: "refused".into(), lasting: false })
}

fn timed_out() -> (Duration, Verdict) {
    (Duration::from_secs(60), Verdict::Open { class: ErrorClass::Timeout, error: "no answer".into() })
}

fn throttled(after: Option<u64>) -> (Duration, Verdict) {
    (QUICK, Verdict::Throttled { after: after.map(Duration::from_secs), error: "slow down".into() })
}

fn login_page() -> (Duration, Verdict) {
    (QUICK, Verdict::Foreign { class: ErrorClass::BadAnswer, error: "a page".into(), open: false })
}

fn rejected(class: ErrorClass) -> (Duration, Verdict) {
    (QUICK, Verdict::Rejected { class, error: "no".into() })
}

/// A job of `n` mailboxes, one operation each.
fn job(n: usize) -> Job {
    let rows: Vec<String> = (0..n).map(|i| format!("m{i}@example.com,suspend,login\n")).collect();
    job_of(&rows.concat())
}

fn job_of(rows: &str) -> Job {
    let csv = format!("email,action,channel\n{rows}");
    let options = InputOptions { allow_conflicts: true, ..InputOptions::default() };
    read(&Source::bytes(csv.into_bytes()), &options).unwrap()
}

fn limits(rate: &str, jobs: u32) -> Limits {
    Limits { rate: rate.parse().unwrap(), jobs: jobs.try_into().unwrap(), ..Limits::default() }
}

fn lane<'a>(
    name: &str,
    transport: &'a dyn Transport,
    ops: std::ops::Range<u32>,
    limits: Limits,
) -> LaneSpec<'a> {
    LaneSpec::new(name, transport, ops.collect(), limits)
}

struct Outcome {
    end: SessionEnd,
    entries: Vec<Entry>,
    /// Status and class of each operation.
    standing: Vec<(Status, Option<ErrorClass>)>,
    took: Duration,
}

impl Outcome {
    fn count(&self, status: Status, class: Option<ErrorClass>) -> usize {
        self.standing.iter().filter(|s| **s == (status, class)).count()
    }

    fn halted(&self) -> Option<ErrorClass> {
        self.end.servers[0].halted.as_ref().map(|(class, _)| *class)
    }
}

async fn play(
    job: &Job,
    lanes: Vec<LaneSpec<'_>>,
    seed: u64,
    signals: mpsc::UnboundedReceiver<Signal>,
) -> Outcome {
    let mut recorder = Remembered::default();
    let names: Vec<String> = lanes.iter().map(|lane| lane.name.clone()).collect();
    let homes: Vec<Vec<u32>> =
        lanes.iter().map(|lane| lane.accounts.iter().flat_map(|a| a.ops.clone()).collect()).collect();
    let start = Instant::now();
    let clock = move || Stamp(i64::try_from(start.elapsed().as_millis()).unwrap());
    let session = Session { checks: Checks::blind(), seed, ..Session::new(job, lanes, &clock) };
    let end = run(session, &mut recorder, &mut (), signals).await;
    let mut ledger = Ledger::new(job);
    let opening = crate::record::SessionEntry { servers: names, ..Default::default() };
    ledger.apply(&Entry::Session(opening), 0);
    for (server, ops) in (0..).zip(homes) {
        let mailboxes = ops.iter().map(|op| job.operations[*op as usize].mailbox.0);
        let mailboxes = mailboxes.map(|mailbox| (mailbox, mailbox)).collect();
        ledger.apply(&Entry::Route { at: Stamp(0), server, account: String::new(), mailboxes }, 0);
    }
    for entry in &recorder.entries {
        ledger.apply(entry, 0);
    }
    let standing = (0..job.operations.len() as u32)
        .map(|op| {
            let standing = ledger.standing(job, op);
            (standing.status, standing.class)
        })
        .collect();
    Outcome { end, entries: recorder.entries, standing, took: start.elapsed() }
}

/// Plays a job against one server, without signals.
async fn play_one(job: &Job, server: &Server<'_>, limits: Limits) -> Outcome {
    let (_keep, signals) = mpsc::unbounded_channel();
    let ops = 0..job.operations.len() as u32;
    play(job, vec![lane("s", server, ops, limits)], 1, signals).await
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_called_once_and_ends_ok() {
    let job = job(50);
    let server = Server::new(|_, _| done());
    let outcome = play_one(&job, &server, limits("10/s", 4)).await;
    assert_eq!(outcome.count(Status::Ok, None), 50);
    assert_eq!(server.calls(), 50);
    assert_eq!(outcome.halted(), None);
    assert!((4.7..5.1).contains(&outcome.took.as_secs_f64()), "50 at 10/s: {:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_mailboxs_operations_never_overlap_and_keep_file_order() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut rows = String::new();
    for i in 0..200 {
        let action = ["suspend", "unsuspend"][i % 2];
        let channel = ["login", "incoming", "outgoing"][i % 3];
        rows.push_str(&format!("m{}@example.com,{action},{channel}\n", random.u8(0..12)));
    }
    let job = job_of(&rows);
    let called = RefCell::new(HashMap::<String, Vec<u32>>::new());
    let mut chance = fastrand::Rng::with_seed(9);
    let server = Server::new(|_, _| {
        let takes = Duration::from_millis(chance.u64(1..400));
        match chance.u8(0..10) {
            0 => (takes, timed_out().1),
            1 => (takes, throttled(None).1),
            _ => (takes, Verdict::Done),
        }
    });
    let outcome = play_one(&job, &server, limits("none", 16)).await;
    for entry in &outcome.entries {
        if let Entry::End(ended) = entry {
            let mailbox = job.mailboxes.get(job.operations[ended.op as usize].mailbox).to_owned();
            called.borrow_mut().entry(mailbox).or_default().push(ended.op);
        }
    }
    assert!(called.borrow().values().all(|ops| ops.is_sorted()), "{called:?}");
    let mut last: HashMap<String, Instant> = HashMap::new();
    for seen in server.seen.borrow().iter() {
        let until = seen.until.expect("ended");
        if let Some(before) = last.insert(seen.mailbox.clone(), until) {
            assert!(before <= seen.from, "two calls of {} overlapped", seen.mailbox);
        }
    }
    assert!(server.most_at_once() > 4, "and yet mailboxes run side by side");
}

#[tokio::test(start_paused = true)]
async fn until_the_first_good_answer_one_request_is_on_its_way() {
    let job = job(40);
    let server = Server::new(|n, _| if n < 3 { throttled(None) } else { done() });
    let outcome = play_one(&job, &server, limits("none", 8)).await;
    assert_eq!(outcome.count(Status::Ok, None), 40);
    let seen = server.seen.borrow();
    assert!(seen[..4].iter().all(|s| s.mailbox == "m0@example.com"), "{seen:?}");
    assert!(seen[..3].windows(2).all(|pair| pair[0].until.unwrap() <= pair[1].from));
    assert!(seen[4].from >= seen[3].until.unwrap());
    drop(seen);
    assert_eq!(server.most_at_once(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_halts_the_server_at_once_and_costs_nothing_else() {
    let job = job(100);
    let server = Server::new(|_, _| refused());
    let outcome = play_one(&job, &server, limits("none", 8)).await;
    assert_eq!(server.calls(), 1);
    assert_eq!(outcome.halted(), Some(ErrorClass::Auth));
    assert_eq!(outcome.count(Status::NotAttempted, Some(ErrorClass::Auth)), 100);

    let server = Server::new(|n, _| if n == 30 { refused() } else { done() });
    let outcome = play_one(&job, &server, limits("none", 8)).await;
    let end_of_refused = server.seen.borrow()[30].until.unwrap();
    assert!(server.seen.borrow().iter().all(|s| s.from <= end_of_refused), "nothing after the refusal");
    let ok = outcome.count(Status::Ok, None);
    assert_eq!(ok, server.calls() - 1, "what was on its way ended");
    assert_eq!(outcome.count(Status::NotAttempted, Some(ErrorClass::Auth)), 100 - ok);
    assert!(outcome.end.servers[0].halted.as_ref().unwrap().1.contains("one account or a firewall"));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_stays_open_is_unknown_after_five_tries() {
    let job = job(3);
    let server = Server::new(|_, mailbox| if mailbox.starts_with("m1") { timed_out() } else { done() });
    let outcome = play_one(&job, &server, limits("none", 4)).await;
    assert_eq!(outcome.standing[1], (Status::Unknown, Some(ErrorClass::Timeout)));
    assert_eq!(outcome.count(Status::Ok, None), 2);
    assert_eq!(server.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn retry_after_pauses_the_whole_server_but_not_for_more_than_five_minutes() {
    for (asked, pause) in [(7, 7), (3600, 300)] {
        let job = job(30);
        let server = Server::new(|n, _| if n == 10 { throttled(Some(asked)) } else { done() });
        let outcome = play_one(&job, &server, limits("none", 2)).await;
        assert_eq!(outcome.count(Status::Ok, None), 30);
        let seen = server.seen.borrow();
        let asked_at = seen[10].until.unwrap();
        let next = seen.iter().map(|s| s.from).filter(|from| *from > asked_at).min().unwrap();
        let waited = (next - asked_at).as_secs_f64();
        assert!((f64::from(pause)..f64::from(pause) + 0.2).contains(&waited), "{waited} for {asked}");
        assert_eq!(outcome.halted(), None, "a pause is no outage");
    }
}

#[tokio::test(start_paused = true)]
async fn three_answers_in_a_row_that_are_not_the_apis_halt_the_server() {
    let job = job(50);
    let server = Server::new(|n, _| if n < 20 { done() } else { login_page() });
    let outcome = play_one(&job, &server, limits("none", 1)).await;
    assert_eq!(server.calls(), 23);
    assert_eq!(outcome.halted(), Some(ErrorClass::BadAnswer));

    let server = Server::new(|n, _| if n % 3 == 2 { done() } else { login_page() });
    let outcome = play_one(&job, &server, limits("none", 1)).await;
    assert_eq!(outcome.halted(), Some(ErrorClass::BadAnswer), "two tries of the first call are all it gets");
    assert_eq!(server.calls(), 2);

    let server = Server::new(|n, _| if n % 3 == 0 { done() } else { login_page() });
    let outcome = play_one(&job, &server, limits("none", 1)).await;
    assert_eq!(outcome.halted(), None, "a good answer between starts the count anew");
    let failed = outcome.count(Status::Failed, Some(ErrorClass::BadAnswer));
    assert!(failed > 0 && failed + outcome.count(Status::Ok, None) == 50, "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_halted_when_its_first_calls_tries_are_used_up() {
    let job = job(1000);
    let server = Server::new(|_, _| no_connection());
    let outcome = play_one(&job, &server, limits("10/s", 8)).await;
    assert_eq!(server.calls(), 5);
    assert_eq!(outcome.halted(), Some(ErrorClass::Connect));
    assert_eq!(outcome.count(Status::NotAttempted, Some(ErrorClass::Connect)), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_is_asked_ever_less_often_until_it_is_back() {
    let job = job(200);
    let start = Instant::now();
    let away = |from: u64, until: u64| {
        move |_: usize, _: &str| {
            let second = start.elapsed().as_secs();
            if (from..until).contains(&second) { no_connection() } else { done() }
        }
    };
    let server = Server::new(away(5, 125));
    let outcome = play_one(&job, &server, limits("10/s", 4)).await;
    assert_eq!(outcome.count(Status::Ok, None), 200, "nothing is lost and no retries are used up");
    let asked = server.calls() - 200;
    assert!((5..30).contains(&asked), "asked {asked} times in two minutes");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_is_halted_after_max_outage() {
    let job = job(200);
    let start = Instant::now();
    let server = Server::new(|_, _| if start.elapsed().as_secs() < 5 { done() } else { no_connection() });
    let outcome = play_one(&job, &server, limits("10/s", 4)).await;
    assert_eq!(outcome.halted(), Some(ErrorClass::Connect));
    let took = outcome.took.as_secs();
    assert!((300..350).contains(&took), "{took} s");
    let ok = outcome.count(Status::Ok, None);
    assert_eq!(outcome.count(Status::NotAttempted, Some(ErrorClass::Connect)), 200 - ok);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_an_outage_is_no_part_of_it() {
    let job = job(30);
    let server = Server::new(|n, _| match n {
        10 => throttled(Some(300)),
        11 | 12 => no_connection(),
        _ => done(),
    });
    let outcome = play_one(&job, &server, limits("none", 1)).await;
    assert_eq!(outcome.halted(), None);
    assert_eq!(outcome.count(Status::Ok, None), 30);
}

#[tokio::test(start_paused = true)]
async fn a_halt_that_leaves_nothing_undone_is_none() {
    for (operations, is_halted) in [(100, false), (101, true)] {
        let job = job(operations);
        let server = Server::new(|n, _| if n % 10 < 6 { rejected(ErrorClass::Api) } else { done() });
        let outcome = play_one(&job, &server, limits("none", 1)).await;
        assert_eq!(outcome.halted().is_some(), is_halted, "{operations}");
        assert_eq!(server.calls(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_rate_is_no_outage() {
    let job = job(4);
    let server = Server::new(|n, _| if (1..4).contains(&n) { timed_out() } else { done() });
    let outcome = play_one(&job, &server, limits("6/h", 1)).await;
    assert_eq!(outcome.halted(), None);
    assert_eq!(outcome.count(Status::Ok, None), 4);
}

#[tokio::test(start_paused = true)]
async fn more_errors_than_allowed_stop_the_run_and_missing_mailboxes_do_not_count() {
    let failing = |_: usize, mailbox: &str| match mailbox.as_bytes()[1] {
        b'1' => rejected(ErrorClass::Api),
        b'2' => rejected(ErrorClass::NoSuchMailbox),
        _ => done(),
    };
    let job = job(300);
    let stop_at = |max: &str| Limits { max_errors: max.parse().unwrap(), ..limits("none", 1) };
    let server = Server::new(failing);
    let outcome = play_one(&job, &server, stop_at("0")).await;
    assert_eq!(outcome.end.stop, Some(Stop::ErrorBudget));
    assert_eq!(server.calls(), 2, "m0 and the first that failed, m1");
    assert_eq!(outcome.count(Status::NotAttempted, Some(ErrorClass::ErrorBudget)), 298);

    let server = Server::new(failing);
    let outcome = play_one(&job, &server, stop_at("111")).await;
    assert_eq!((outcome.end.stop, server.calls()), (None, 300), "111 of them begin with m1");
}

#[tokio::test(start_paused = true)]
async fn too_large_a_share_of_errors_halts_the_server_after_a_hundred() {
    let job = job(400);
    let server = Server::new(|n, _| if n % 10 < 6 { rejected(ErrorClass::Api) } else { done() });
    let outcome = play_one(&job, &server, limits("none", 1)).await;
    assert_eq!(outcome.halted(), Some(ErrorClass::ErrorBudget));
    assert_eq!(server.calls(), 100);
    let server = Server::new(|n, _| if n % 2 == 1 { rejected(ErrorClass::Api) } else { done() });
    let outcome = play_one(&job, &server, limits("none", 1)).await;
    assert_eq!(outcome.halted(), None, "half is not more than half");
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_lets_what_is_in_flight_end() {
    let job = job(100);
    let (signal, signals) = mpsc::unbounded_channel();
    let server = Server::new(|n, _| {
        if n == 20 {
            signal.send(Signal::Terminate).unwrap();
        }
        done()
    });
    let outcome = play(&job, vec![lane("s", &server, 0..100, limits("none", 4))], 1, signals).await;
    assert_eq!(outcome.end.stop, Some(Stop::Signal(Signal::Terminate)));
    let ok = outcome.count(Status::Ok, None);
    assert_eq!(ok, server.calls());
    assert!((21..=25).contains(&ok), "{ok}");
    assert_eq!(outcome.count(Status::NotAttempted, Some(ErrorClass::Interrupted)), 100 - ok);
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_waits_for_nothing_and_says_what_is_open() {
    let job = job(100);
    let (signal, signals) = mpsc::unbounded_channel();
    let server = Server::new(|n, _| {
        if n == 20 {
            signal.send(Signal::Interrupt).unwrap();
            signal.send(Signal::Interrupt).unwrap();
        }
        if n >= 20 { timed_out() } else { done() }
    });
    let outcome = play(&job, vec![lane("s", &server, 0..100, limits("none", 4))], 1, signals).await;
    assert!(outcome.took < Duration::from_secs(10), "{:?}", outcome.took);
    let open = outcome.count(Status::Unknown, Some(ErrorClass::Interrupted));
    assert!((1..=4).contains(&open), "{open}");
    assert_eq!(outcome.count(Status::Ok, None) + open, server.calls());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_may_have_gone_out_is_not_sent_again() {
    let job = job_of("a@example.com,suspend,login\nb@example.com,release,outgoing\n");
    let server = Server::new(|_, mailbox| if mailbox.starts_with('b') { timed_out() } else { done() });
    let outcome = play_one(&job, &server, limits("none", 4)).await;
    assert_eq!(outcome.standing[1], (Status::Unknown, Some(ErrorClass::Timeout)));
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn bad_servers_cost_nine_good_ones_nothing() {
    const GOOD: usize = 9;
    let job = job(1300);
    let ops = |n: usize| 100 * n as u32..100 * (n as u32 + 1);
    let limits = || limits("10/s", 4);
    let alone = {
        let server = Server::new(|_, _| done());
        let (_keep, signals) = mpsc::unbounded_channel();
        play(&job, vec![lane("good", &server, ops(0), limits())], 1, signals).await.took
    };
    let good: Vec<Server<'_>> = (0..GOOD).map(|_| Server::new(|_, _| done())).collect();
    let expired = Verdict::NotSent { class: ErrorClass::Tls, error: "expired".into(), lasting: true };
    let bad = [
        Server::new(|_, _| no_connection()),
        Server::new(|_, _| timed_out()),
        Server::new(|_, _| refused()),
        Server::new(move |_, _| (QUICK, expired.clone())),
    ];
    // The bad ones first: then they would come before the others wherever it matters.
    let lanes = bad.iter().chain(&good).enumerate();
    let lanes = lanes.map(|(n, server)| lane(&format!("s{n}"), server, ops(n), limits()));
    let (_keep, signals) = mpsc::unbounded_channel();
    let outcome = play(&job, lanes.collect(), 1, signals).await;
    for server in &good {
        let seen = server.seen.borrow();
        let took = seen.iter().filter_map(|s| s.until).max().unwrap() - seen[0].from;
        assert!(took <= alone + Duration::from_millis(1), "{took:?} against {alone:?}");
    }
    assert_eq!(outcome.count(Status::Ok, None), 100 * GOOD);
    let halts: Vec<_> =
        outcome.end.servers.iter().map(|server| server.halted.as_ref().map(|(class, _)| *class)).collect();
    let classes = [ErrorClass::Connect, ErrorClass::Timeout, ErrorClass::Auth, ErrorClass::Tls];
    assert_eq!(halts[..4], classes.map(Some));
    assert_eq!(halts[4..], [None; GOOD]);
    // Of what was sent to the one that is silent nobody knows.
    for (class, left) in classes.into_iter().zip([100, 99, 100, 100]) {
        assert_eq!(outcome.count(Status::NotAttempted, Some(class)), left);
    }
}

/// A record that takes its time, and breaks after so many entries.
struct SlowRecord {
    entries: Vec<Entry>,
    written: u64,
    breaks_after: u64,
}

impl Recorder for SlowRecord {
    fn submit(&mut self, batch: Vec<Entry>, _: bool) -> u64 {
        self.entries.extend(batch);
        self.entries.len() as u64
    }

    async fn progress(&mut self, seen: Safe) -> Result<Safe, WriteFault> {
        tokio::time::sleep(Duration::from_millis(30)).await;
        if seen.written >= self.breaks_after {
            return Err(WriteFault::from(std::io::Error::other("no room")));
        }
        self.written = self.entries.len() as u64;
        Ok(Safe { written: self.written, on_disk: self.written })
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_its_record_is_written_and_nothing_at_all_once_none_can_be() {
    let job = job(60);
    let server = Server::new(|_, _| done());
    let mut recorder = SlowRecord { entries: Vec::new(), written: 0, breaks_after: 20 };
    let (_keep, signals) = mpsc::unbounded_channel();
    let start = Instant::now();
    let clock = move || Stamp(i64::try_from(start.elapsed().as_millis()).unwrap());
    let lanes = vec![lane("s", &server, 0..60, limits("none", 4))];
    let end = run(
        Session { checks: Checks::blind(), ..Session::new(&job, lanes, &clock) },
        &mut recorder,
        &mut (),
        signals,
    )
    .await;
    assert_eq!(end.stop, Some(Stop::Unwritable));
    assert!(end.fault.is_some());
    let mut begun_at = HashMap::new();
    for entry in &recorder.entries {
        if let Entry::Begin { at, ops } = entry {
            begun_at.extend(ops.iter().map(|op| (format!("m{op}@example.com"), at.0)));
        }
    }
    for seen in server.seen.borrow().iter() {
        let sent = i64::try_from((seen.from - start).as_millis()).unwrap();
        assert!(begun_at[&seen.mailbox] + 30 <= sent, "{} was sent before its record", seen.mailbox);
    }
    let calls = server.calls();
    assert!((4..40).contains(&calls), "{calls}");
}

/// The rate, over many random servers, jobs, limits and faults.
#[test]
fn no_window_ever_holds_more_than_rate_times_window_plus_burst_and_the_rate_is_reached() {
    const RUNS: u64 = 2000;
    let mut reached = 0;
    for seed in 0..RUNS {
        let mut random = fastrand::Rng::with_seed(seed);
        let per_second = [1, 3, 10, 47, 200, 1000][random.usize(0..6)];
        let burst = [None, Some(1), Some(2), Some(7)][random.usize(0..4)];
        let faulty = random.bool();
        let slowest = random.u64(1..300);
        let n = random.usize(20..90);
        let limits = Limits {
            burst: burst.and_then(std::num::NonZeroU32::new),
            ..limits(&format!("{per_second}/s"), random.u32(1..64))
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut chance = random.fork();
        let server = Server::new(move |_, _| {
            let takes = Duration::from_millis(chance.u64(0..slowest));
            match chance.u8(0..100) {
                0..5 if faulty => (takes, timed_out().1),
                5..10 if faulty => throttled(Some(chance.u64(0..3))),
                10..15 if faulty => no_connection(),
                15..17 if faulty => login_page(),
                _ => (takes, Verdict::Done),
            }
        });
        let job = job(n);
        let allowed = f64::from(limits.effective_burst().get());
        runtime.block_on(play_one(&job, &server, limits));
        let mut times: Vec<Instant> = server.seen.borrow().iter().map(|s| s.from).collect();
        times.sort();
        let rate = f64::from(per_second);
        for (i, from) in times.iter().enumerate() {
            for (j, until) in times.iter().enumerate().skip(i) {
                let window = (*until - *from).as_secs_f64();
                let held = (j - i + 1) as f64;
                assert!(
                    held <= rate * window + allowed + 1e-6,
                    "seed {seed}: {held} in {window} s at {rate}/s"
                );
            }
        }
        // With work all the time, and calls so quick that even one at a time would do, the rate is
        // what bounds the run.
        if !faulty && 1000.0 / slowest as f64 > rate && allowed > 1.0 {
            reached += 1;
            let span = (times[n - 1] - times[1]).as_secs_f64();
            let at_rate = (n as f64 - allowed) / rate;
            // The first request is alone, and the runtime's clock counts milliseconds.
            let slack = slowest as f64 / 1000.0 + 0.002;
            assert!(
                span <= at_rate / 0.99 + slack,
                "seed {seed}: {span} s for what takes {at_rate} s at {rate}/s"
            );
        }
    }
    assert!(reached > RUNS / 20, "only {reached} runs were bounded by the rate");
}
