//! The limit against simulated servers: capacity in, throughput out.
//!
//! Time is virtual: a loop over events, fast enough for a grid of some hundred servers. Work is
//! endless, so that no figure contains the last calls' waits.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::concurrency::Concurrency;

/// A server of so many workers, with a queue of bounded length and a 503 beyond it.
#[derive(Clone, Copy, Debug)]
struct Model {
    workers: usize,
    /// Milliseconds a request, give or take `jitter`.
    takes: f64,
    jitter: f64,
    queue: usize,
    most: usize,
    /// The share of calls that take ten times as long: another function.
    slow: f64,
    /// The share of calls whose answer is a fault of the server.
    faults: f64,
    /// Calls a second that are sent at most.
    rate: f64,
}

const MODEL: Model = Model {
    workers: 8,
    takes: 100.0,
    jitter: 0.3,
    queue: HUGE,
    most: 64,
    slow: 0.0,
    faults: 0.0,
    rate: f64::INFINITY,
};

const HUGE: usize = 1_000_000;

impl Model {
    /// What it can answer in a second, given how many may be in flight.
    fn capacity(&self) -> f64 {
        self.workers.min(self.most) as f64 / (self.takes * (1.0 + 9.0 * self.slow)) * 1000.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A call is done that was sent then.
    Done { sent: u64 },
    /// A call was rejected so many times now.
    Rejected { sent: u64, times: u32 },
    /// It may be sent again.
    Again { times: u32 },
    /// The rate allows it.
    Resumed,
}

struct Sim {
    start: Instant,
    /// Microseconds since.
    now: u64,
    model: Model,
    not_before: u64,
    policy: Concurrency,
    random: fastrand::Rng,
    events: BinaryHeap<Reverse<(u64, u64, What)>>,
    number: u64,
    busy: usize,
    waiting: VecDeque<u64>,
    in_flight: usize,
    to_retry: Vec<u32>,
    good: usize,
    rejected: usize,
    most_rejections: u32,
    /// Integrals over time, in microseconds.
    limit_us: f64,
}

/// A rejection comes back so soon.
const REJECTION: u64 = 1000;

impl Sim {
    fn new(model: Model, seed: u64) -> Sim {
        Sim {
            start: Instant::now(),
            now: 0,
            model,
            not_before: 0,
            policy: Concurrency::new(model.most),
            random: fastrand::Rng::with_seed(seed),
            events: BinaryHeap::new(),
            number: 0,
            busy: 0,
            waiting: VecDeque::new(),
            in_flight: 0,
            to_retry: Vec::new(),
            good: 0,
            rejected: 0,
            most_rejections: 0,
            limit_us: 0.0,
        }
    }

    fn at(&self, when: u64) -> Instant {
        self.start + Duration::from_micros(when)
    }

    fn plan(&mut self, after: u64, what: What) {
        self.number += 1;
        self.events.push(Reverse((self.now + after, self.number, what)));
    }

    fn work(&mut self, sent: u64) {
        self.busy += 1;
        let scatter = 1.0 + self.model.jitter * (2.0 * self.random.f64() - 1.0);
        let function = if self.random.f64() < self.model.slow { 10.0 } else { 1.0 };
        self.plan((self.model.takes * 1000.0 * scatter * function) as u64, What::Done { sent });
    }

    fn send(&mut self) {
        while self.in_flight < self.policy.limit() && self.not_before <= self.now {
            let times = self.to_retry.pop().unwrap_or(0);
            self.in_flight += 1;
            self.policy.sent(self.in_flight);
            if self.model.rate.is_finite() {
                self.hold((1e6 / self.model.rate) as u64);
            }
            if self.busy < self.model.workers {
                self.work(self.now);
            } else if self.waiting.len() < self.model.queue {
                self.waiting.push_back(self.now);
            } else {
                self.plan(REJECTION, What::Rejected { sent: self.now, times: times + 1 });
            }
        }
    }

    fn hold(&mut self, wait: u64) {
        self.not_before = self.not_before.max(self.now + wait);
        self.plan(wait, What::Resumed);
    }

    fn turn(&mut self) {
        self.send();
        let Some(Reverse((when, _, what))) = self.events.pop() else { panic!("nothing happens") };
        self.limit_us += (when - self.now) as f64 * self.policy.limit() as f64;
        self.now = when;
        match what {
            What::Done { sent } => {
                let rtt = Duration::from_micros(when - sent);
                if self.random.f64() < self.model.faults {
                    self.policy.pushed_back(self.at(when), rtt);
                } else {
                    self.policy.answered(self.at(when), rtt, self.in_flight);
                    self.good += 1;
                }
                self.in_flight -= 1;
                self.busy -= 1;
                while self.busy < self.model.workers
                    && let Some(sent) = self.waiting.pop_front()
                {
                    self.work(sent);
                }
            }
            What::Rejected { sent, times } => {
                self.policy.pushed_back(self.at(when), Duration::from_micros(when - sent));
                self.in_flight -= 1;
                self.rejected += 1;
                self.most_rejections = self.most_rejections.max(times);
                let longest = 500_000 << (times - 1).min(6);
                let wait = (self.random.f64() * longest as f64) as u64;
                self.plan(wait, What::Again { times });
            }
            What::Again { times } => self.to_retry.push(times),
            What::Resumed => {}
        }
    }

    /// Good answers a second until so many are there.
    fn answers(&mut self, n: usize) -> f64 {
        let (from, until) = (self.now, self.good + n);
        while self.good < until {
            self.turn();
        }
        n as f64 / ((self.now - from) as f64 / 1e6)
    }

    /// Lets time pass.
    fn seconds(&mut self, seconds: f64) -> Seen {
        let (from, good, rejected, limit_us) = (self.now, self.good, self.rejected, self.limit_us);
        let until = from + (seconds * 1e6) as u64;
        let mut highest = 0;
        while self.now < until {
            self.turn();
            highest = highest.max(self.policy.limit());
        }
        let took = (self.now - from) as f64;
        let good = (self.good - good) as f64;
        let rejected = (self.rejected - rejected) as f64;
        Seen {
            of_capacity: good / took * 1e6 / self.model.capacity(),
            rejected: rejected / (good + rejected),
            limit: (self.limit_us - limit_us) / took,
            highest,
        }
    }
}

/// What was seen in a stretch of time.
#[derive(Debug)]
struct Seen {
    /// Good answers, as a share of what the server could give.
    of_capacity: f64,
    /// The share of rejections among all answers.
    rejected: f64,
    /// The mean limit.
    limit: f64,
    highest: usize,
}

/// Servers from one worker to 32, from 20 ms a call to a second, with short queues and endless ones.
fn grid(takes: &[f64]) -> Vec<Model> {
    let mut models = Vec::new();
    for workers in [1, 2, 4, 8, 16, 32] {
        for &takes in takes {
            for queue in [workers / 2, 2 * workers, 10 * workers, HUGE] {
                for most in [4, 16, 64] {
                    for jitter in [0.0, 0.3] {
                        models.push(Model { workers, takes, jitter, queue, most, ..MODEL });
                    }
                }
            }
        }
    }
    models
}

/// The middle one; all of it is printed for whoever asks with `--nocapture`.
fn median(name: &str, mut shares: Vec<f64>) -> f64 {
    shares.sort_by(f64::total_cmp);
    let n = shares.len();
    let (least, middle, most) = (shares[0], shares[n / 2], shares[n - 1]);
    println!("{name}: {n} runs, least {least:.3}, median {middle:.3}, most {most:.3}");
    middle
}

#[test]
fn nine_tenths_of_what_a_server_can_do_are_reached_in_2000_calls_with_the_warm_up() {
    let (mut shares, mut rejections) = (Vec::new(), Vec::new());
    for (i, model) in grid(&[20.0, 80.0, 300.0, 1000.0]).into_iter().enumerate() {
        let mut sim = Sim::new(model, i as u64);
        let share = sim.answers(2000) / model.capacity();
        assert!(share >= 0.9, "{share:.3} of {model:?}");
        assert!(sim.rejected <= 100, "{} rejections by {model:?}", sim.rejected);
        // A call has five tries.
        assert!(sim.most_rejections < 5, "a call of {model:?} was lost");
        shares.push(share);
        rejections.push(sim.rejected as f64 / 2000.0);
    }
    let middle = median("2,000 calls", shares);
    assert!(middle > 0.97, "{middle}");
    median("2,000 calls, rejections", rejections);
}

/// Plays a change in mid-run over the grid, and looks from ten seconds after it on, or from twenty
/// calls' time where that is longer.
fn change(name: &str, least: f64, apply: impl Fn(&mut Model)) {
    let (mut shares, mut rejections) = (Vec::new(), Vec::new());
    for (i, mut model) in grid(&[20.0, 300.0, 1000.0]).into_iter().enumerate() {
        let mut sim = Sim::new(model, i as u64);
        sim.seconds((model.takes * 0.06).max(2.0));
        let before = model;
        apply(&mut model);
        if model.workers == 0 {
            continue;
        }
        sim.model = model;
        sim.seconds((model.takes * 0.02).max(10.0));
        let seen = sim.seconds((model.takes * 0.2).max(3.0));
        assert!(seen.of_capacity >= least, "{name}: {seen:?} of {model:?}");
        assert!(seen.rejected <= 0.1, "{name}: {seen:?} of {model:?}");
        // What waits in the mean is little more than what is worked on.
        let most = 2.0 * model.workers as f64 + 5.0;
        let is_faster = sim.model.takes < before.takes;
        assert!(seen.limit <= most || is_faster, "{name}: {seen:?} of {model:?}");
        shares.push(seen.of_capacity);
        rejections.push(seen.rejected);
    }
    let middle = median(name, shares);
    assert!(middle > 0.97, "{name}: {middle}");
    median(&format!("{name}, rejections"), rejections);
}

#[test]
fn a_capacity_that_halves_for_good_is_followed_within_ten_seconds() {
    change("half the workers", 0.9, |model| {
        model.workers /= 2;
        model.queue = if model.queue == HUGE { HUGE } else { model.queue / 2 };
    });
    change("twice as slow", 0.9, |model| model.takes *= 2.0);
}

#[test]
fn a_capacity_that_doubles_for_good_is_found_within_ten_seconds() {
    change("twice the workers", 0.9, |model| model.workers *= 2);
    change("twice as fast", 0.9, |model| model.takes /= 2.0);
}

#[test]
fn a_server_five_times_as_slow_is_no_queue_and_does_not_keep_the_limit_down() {
    change("five times as slow", 0.88, |model| model.takes *= 5.0);
}

#[test]
fn neither_noise_nor_functions_of_different_length_make_it_collapse() {
    // How much the time of a call scatters, and how many are ten times as long.
    for (jitter, slow, least) in
        [(0.5, 0.0, 0.95), (0.9, 0.0, 0.93), (0.3, 0.1, 0.9), (0.3, 0.3, 0.88), (0.3, 0.5, 0.93)]
    {
        let mut shares = Vec::new();
        for (workers, seed) in [1, 4, 16, 32].into_iter().flat_map(|w| (0..5).map(move |s| (w, s))) {
            let mut sim = Sim::new(Model { workers, jitter, slow, ..MODEL }, seed);
            sim.seconds(20.0);
            let seen = sim.seconds(200.0);
            assert!(seen.of_capacity >= least, "{workers} workers, {jitter}, {slow}: {seen:?}");
            shares.push(seen.of_capacity);
        }
        let middle = median(&format!("jitter {jitter}, slow {slow}"), shares);
        assert!(middle > 0.93, "{jitter}, {slow}: {middle}");
    }
}

#[test]
fn a_fault_in_a_hundred_costs_little() {
    for seed in 0..5 {
        let mut sim = Sim::new(Model { workers: 16, faults: 0.01, ..MODEL }, seed);
        sim.seconds(10.0);
        let seen = sim.seconds(100.0);
        assert!(seen.of_capacity > 0.93, "{seen:?}");
    }
}

#[test]
fn a_queue_that_grows_slowly_is_found() {
    for seed in 0..5 {
        let mut sim = Sim::new(Model { workers: 32, ..MODEL }, seed);
        sim.seconds(10.0);
        for workers in (4..32).rev() {
            sim.model.workers = workers;
            let seen = sim.seconds(10.0);
            assert!(seen.of_capacity > 0.9, "{workers} workers: {seen:?}");
            assert!(seen.limit < 1.7 * workers as f64 + 6.0, "{workers} workers: {seen:?}");
        }
        let seen = sim.seconds(1000.0);
        assert!(seen.of_capacity > 0.95 && seen.limit < 9.0 && seen.highest < 24, "{seen:?}");
    }
}

#[test]
fn a_queue_that_was_taken_for_the_servers_own_time_is_found_out() {
    for (seed, most) in (0..10).flat_map(|seed| [(seed, 16), (seed, 64)]) {
        // Twice as fast, so that half of what it took before is now its queue.
        let mut sim = Sim::new(Model { workers: 4, takes: 200.0, most, ..MODEL }, seed);
        sim.seconds(10.0);
        sim.model.takes = 100.0;
        sim.seconds(60.0);
        let seen = sim.seconds(200.0);
        assert!(seen.of_capacity > 0.93 && seen.limit < 10.0, "up to {most}: {seen:?}");
    }
}

#[test]
fn after_an_outage_it_is_back_in_ten_seconds() {
    let mut sim = Sim::new(Model { workers: 16, takes: 300.0, ..MODEL }, 1);
    sim.seconds(20.0);
    sim.model.faults = 1.0;
    sim.seconds(30.0);
    assert_eq!(sim.policy.limit(), 1);
    sim.model.faults = 0.0;
    sim.seconds(10.0);
    let seen = sim.seconds(20.0);
    assert!(seen.of_capacity > 0.95, "{seen:?}");
}

#[test]
fn what_the_rate_bounds_does_not_raise_the_limit() {
    let mut sim = Sim::new(Model { workers: 64, rate: 20.0, ..MODEL }, 1);
    let seen = sim.seconds(300.0);
    assert!(seen.highest <= 8, "two are under way in the mean: {seen:?}");
    // And a server that becomes slow meanwhile is met with a limit that is no hindrance for long.
    sim.model.takes = 1000.0;
    sim.seconds(20.0);
    let good = sim.good;
    sim.seconds(100.0);
    let rate = (sim.good - good) as f64 / 100.0;
    assert!(rate > 19.0, "{rate} a second of 20");
}
