//! Whole sessions against a server of limited capacity, in virtual time: what it can do in, how much
//! of that was used out. Nobody tells the engine the capacity.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{ChannelOrder, LaneSpec, Limits, Session, run};
use crate::domain::{Function, Status};
use crate::job::{InputOptions, Job, Source, read};
use crate::record::{Entry, Remembered, Stamp};
use crate::uapi::{Answer, Transport, Verdict};

/// So many workers, each call so long on one of them, so many waiting; more is answered by 503.
struct Limited {
    workers: Semaphore,
    service: Cell<Duration>,
    queue: usize,
    waiting: Cell<usize>,
    refused: Cell<usize>,
    done: RefCell<Vec<Instant>>,
    random: RefCell<fastrand::Rng>,
    /// After so many calls are done, half of the workers go.
    halves_after: Option<usize>,
    halved_at: Cell<Option<Instant>>,
    left: Cell<usize>,
    /// The workers that stay.
    kept: usize,
}

impl Limited {
    fn new(workers: usize, service_ms: u64, queue: usize, halves_after: Option<usize>) -> Limited {
        Limited {
            workers: Semaphore::new(workers),
            service: Cell::new(Duration::from_millis(service_ms)),
            queue,
            waiting: Cell::new(0),
            refused: Cell::new(0),
            done: RefCell::default(),
            random: RefCell::new(fastrand::Rng::with_seed(9)),
            halves_after,
            halved_at: Cell::new(None),
            left: Cell::new(workers),
            kept: workers / 2,
        }
    }

    async fn serve(&self) -> Verdict {
        if self.workers.available_permits() == 0 && self.waiting.get() >= self.queue {
            self.refused.set(self.refused.get() + 1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            return Verdict::Throttled { after: None, error: "full".into() };
        }
        self.waiting.set(self.waiting.get() + 1);
        let worker = self.workers.acquire().await.unwrap();
        self.waiting.set(self.waiting.get() - 1);
        let jitter = 0.7 + self.random.borrow_mut().f64() * 0.6;
        tokio::time::sleep(self.service.get().mul_f64(jitter)).await;
        let goes = self.halves_after.is_some_and(|after| self.done.borrow().len() >= after)
            && self.left.get() > self.kept;
        self.done.borrow_mut().push(Instant::now());
        if goes {
            self.halved_at.set(self.halved_at.get().or(Some(Instant::now())));
            self.left.set(self.left.get() - 1);
            worker.forget();
        }
        Verdict::Done
    }

    /// Calls done per second from one moment on.
    fn rate_from(&self, from: Instant) -> f64 {
        let done = self.done.borrow();
        let last = *done.last().unwrap();
        let count = done.iter().filter(|at| **at > from).count();
        count as f64 / (last - from).as_secs_f64()
    }
}

impl Transport for Limited {
    fn call<'a>(&'a self, _: &'a str, _: Function, _: &'a str) -> LocalBoxFuture<'a, Answer> {
        async move { Answer { http_status: None, verdict: self.serve().await } }.boxed_local()
    }
}

fn job(n: usize) -> Job {
    let rows: String = (0..n).map(|i| format!("m{i}@example.com,suspend,login\n")).collect();
    read(&Source::bytes(format!("email,action,channel\n{rows}")), &InputOptions::default()).unwrap()
}

/// Carries out a job; returns when it began and how many operations ended ok.
async fn play(server: &Limited, n: usize, jobs: u32) -> (Instant, usize) {
    let job = job(n);
    let limits =
        Limits { rate: "none".parse().unwrap(), jobs: jobs.try_into().unwrap(), ..Limits::default() };
    let lanes = vec![LaneSpec::new("web01", server, (0..n as u32).collect(), limits)];
    let clock = || Stamp(0);
    let order = ChannelOrder::default();
    let session = Session {
        job: &job,
        lanes,
        order,
        tolerated: Default::default(),
        done_before: 0,
        seed: 7,
        clock: &clock,
    };
    let mut recorder = Remembered::default();
    let (_tell, signals) = mpsc::unbounded_channel();
    let begun = Instant::now();
    run(session, &mut recorder, &mut (), signals).await;
    let is_ok = |entry: &&Entry| matches!(entry, Entry::End(ended) if ended.status == Status::Ok);
    (begun, recorder.entries.iter().filter(is_ok).count())
}

#[tokio::test(start_paused = true)]
async fn nine_tenths_of_a_capacity_that_nobody_told_are_reached_and_nothing_is_lost() {
    const N: usize = 2000;
    for (workers, service_ms, queue, jobs) in [
        (1, 80, 2, 16),
        (2, 300, 2, 16),
        (4, 80, 4, 16),
        (4, 1000, 40, 16),
        (8, 80, 8, 16),
        (8, 300, 1000, 64),
        (16, 80, 16, 64),
        (32, 300, 32, 64),
        (64, 80, 10, 16),
    ] {
        let server = Limited::new(workers, service_ms, queue, None);
        let (begun, ok) = play(&server, N, jobs).await;
        let capacity = workers.min(jobs as usize) as f64 * 1000.0 / service_ms as f64;
        let share = server.rate_from(begun) / capacity;
        let refused = server.refused.get();
        let what = format!("{workers} x {service_ms} ms + {queue}, -j {jobs}: {share:.3}, {refused} refused");
        assert_eq!(ok, N, "{what}");
        assert!(share >= 0.9, "{what}");
        assert!(share <= 1.02, "{what}: more than there is");
        assert!(refused <= N / 10, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_capacity_halves_the_rate_follows_within_ten_seconds() {
    const N: usize = 3000;
    for (workers, service_ms, queue, jobs) in [
        (2, 80, 2, 16),
        (4, 80, 4, 16),
        (8, 80, 8, 16),
        (8, 300, 8, 64),
        (16, 80, 1000, 64),
        (32, 300, 16, 64),
    ] {
        let server = Limited::new(workers, service_ms, queue, Some(N / 2));
        let (_, ok) = play(&server, N, jobs).await;
        let halved = server.halved_at.get().unwrap();
        let later = halved + Duration::from_secs(10);
        let capacity = (workers / 2) as f64 * 1000.0 / service_ms as f64;
        let share = server.rate_from(later) / capacity;
        let refused = server.refused.get();
        let what = format!("{workers} x {service_ms} ms + {queue}, -j {jobs}: {share:.3}, {refused} refused");
        assert_eq!(ok, N, "{what}");
        assert!((0.9..=1.02).contains(&share), "{what}");
        assert!(refused <= N / 10, "{what}");
    }
}
