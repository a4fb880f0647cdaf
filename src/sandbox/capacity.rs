//! How much a server can do: so many workers, each with one request at a time, and a queue.
//!
//! A client that gives up while it waits leaves the queue, so the rest of it moves up. What a worker
//! has begun is done, whoever has gone. That a full queue is answered with 503 is a guess: no such
//! answer of the panel's own is known.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// What a server can bear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// How many requests are worked on at once; with none everything waits.
    pub workers: usize,
    /// How long a worker has one request.
    pub service: Duration,
    /// How much longer for each call in it: a batch is one request.
    pub call: Duration,
    /// How many may wait for a worker; who comes then is answered with 503 at once.
    pub queue: usize,
    /// By which part of itself, from 0 to 1, that time is longer or shorter, drawn for each request.
    pub jitter: f64,
}

/// Who waits if nothing is said.
const QUEUE: usize = 100;

impl Capacity {
    /// So many workers with so much time for each request, whatever is in it, a hundred places to wait,
    /// no jitter.
    pub fn new(workers: usize, service: Duration) -> Capacity {
        Capacity { workers, service, call: Duration::ZERO, queue: QUEUE, jitter: 0.0 }
    }

    /// How long the request with this number, of so many calls, is worked on.
    pub(super) fn time(&self, seed: u64, number: u64, calls: usize) -> Duration {
        let draw = seed.rotate_left(17) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let part = self.jitter.clamp(0.0, 1.0) * (fastrand::Rng::with_seed(draw).f64() * 2.0 - 1.0);
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        (self.service + self.call.saturating_mul(calls)).mul_f64(1.0 + part)
    }
}

impl FromStr for Capacity {
    type Err = &'static str;

    /// `4x250`: four workers of 250 ms. `4x250+10`: with ten places to wait. `8x100/5`: 100 ms for a
    /// request, and 5 ms more for each call in it.
    fn from_str(text: &str) -> Result<Capacity, &'static str> {
        const FORM: &str = "write it as WORKERSxMS[/MS][+QUEUE], such as 4x250+20 or 8x100/5";
        let (times, queue) = match text.split_once('+') {
            Some((times, queue)) => (times, queue.parse().map_err(|_| FORM)?),
            None => (text, QUEUE),
        };
        let (workers, service) = times.split_once('x').ok_or(FORM)?;
        let workers = workers.parse().ok().filter(|&n: &usize| n > 0).ok_or(FORM)?;
        let (service, call) = service.split_once('/').unwrap_or((service, "0"));
        let time =
            |text: &str| text.parse().map(|ms: u32| Duration::from_millis(ms.into())).map_err(|_| FORM);
        Ok(Capacity { queue, call: time(call)?, ..Capacity::new(workers, time(service)?) })
    }
}

/// What a server can bear later: as if half of it failed, or help came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacityLater {
    /// How long after the first request: what is tried on it begins with that.
    pub after: Duration,
    /// What it can bear from then on.
    pub capacity: Capacity,
}

impl FromStr for CapacityLater {
    type Err = &'static str;

    /// `20s=2x250+10`.
    fn from_str(text: &str) -> Result<CapacityLater, &'static str> {
        const FORM: &str = "write it as TIME=WORKERSxMS[/MS][+QUEUE], such as 20s=2x250+20";
        let (after, capacity) = text.split_once('=').ok_or(FORM)?;
        let after = humantime::parse_duration(after).map_err(|_| FORM)?;
        Ok(CapacityLater { after, capacity: capacity.parse().map_err(|_| FORM)? })
    }
}

/// The workers and the queue before them.
pub(super) struct Workers(Mutex<Pool>);

struct Pool {
    capacity: Option<Capacity>,
    later: Option<CapacityLater>,
    /// When the first request came; noted only if something changes later.
    first: Option<Instant>,
    busy: usize,
    queue: VecDeque<(u64, oneshot::Sender<Worker>)>,
    next: u64,
}

/// What a request gets that asks for a worker.
pub(super) enum Turn {
    /// There is no limit.
    Free,
    Now(Worker, Capacity),
    Wait(Place),
    Full,
}

/// A worker's time, until it is dropped.
pub(super) struct Worker(Arc<Workers>);

/// A place in the queue. Who drops it leaves the queue.
pub(super) struct Place {
    workers: Arc<Workers>,
    number: u64,
    turn: oneshot::Receiver<Worker>,
}

impl Workers {
    pub fn new(capacity: Option<Capacity>, later: Option<CapacityLater>) -> Arc<Workers> {
        let queue = VecDeque::new();
        Arc::new(Workers(Mutex::new(Pool { capacity, later, first: None, busy: 0, queue, next: 0 })))
    }

    /// Asks for a worker.
    pub fn ask(self: &Arc<Self>, now: Instant) -> Turn {
        let mut pool = self.pool();
        pool.keep_time(now);
        let Some(capacity) = pool.capacity else { return Turn::Free };
        if pool.queue.is_empty() && pool.busy < capacity.workers {
            pool.busy += 1;
            return Turn::Now(Worker(Arc::clone(self)), capacity);
        }
        if pool.queue.len() >= capacity.queue {
            return Turn::Full;
        }
        let (give, turn) = oneshot::channel();
        let number = pool.next;
        pool.next += 1;
        pool.queue.push_back((number, give));
        Turn::Wait(Place { workers: Arc::clone(self), number, turn })
    }

    /// Changes the capacity, for good. Who waits, waits on, if need be in a queue that is too long.
    pub fn set(self: &Arc<Self>, capacity: Option<Capacity>) {
        let mut pool = self.pool();
        (pool.capacity, pool.later) = (capacity, None);
        drop(pool);
        self.call_up();
    }

    /// How many are worked on and how many wait.
    pub fn load(&self) -> (usize, usize) {
        let pool = self.pool();
        (pool.busy, pool.queue.len())
    }

    /// Gives the workers that are free to those who wait.
    fn call_up(self: &Arc<Self>) {
        loop {
            let mut pool = self.pool();
            let limit = pool.capacity.map_or(usize::MAX, |capacity| capacity.workers);
            if pool.busy >= limit {
                return;
            }
            let Some((_, give)) = pool.queue.pop_front() else { return };
            pool.busy += 1;
            drop(pool);
            // Who has gone in this moment gives the worker back by not taking it.
            drop(give.send(Worker(Arc::clone(self))));
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Changes over once it is time. More workers than before take up their work with the next one
    /// that is free.
    fn keep_time(&mut self, now: Instant) {
        let Some(CapacityLater { after, capacity }) = self.later else { return };
        let first = *self.first.get_or_insert(now);
        if now.saturating_duration_since(first) >= after {
            (self.capacity, self.later) = (Some(capacity), None);
        }
    }
}

impl Place {
    /// Waits for a worker, and says what the capacity is then; `None` if it is without limit.
    pub async fn worker(mut self) -> (Option<Worker>, Option<Capacity>) {
        let worker = (&mut self.turn).await.ok();
        let capacity = self.workers.pool().capacity;
        (worker, capacity)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut pool = self.workers.pool();
        if let Some(at) = pool.queue.iter().position(|(number, _)| *number == self.number) {
            let gone = pool.queue.remove(at);
            drop(pool);
            drop(gone);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.pool().busy -= 1;
        self.0.call_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(workers: usize, queue: usize) -> Arc<Workers> {
        let capacity = Capacity { queue, ..Capacity::new(workers, Duration::ZERO) };
        Workers::new(Some(capacity), None)
    }

    fn now(workers: &Arc<Workers>) -> Worker {
        let Turn::Now(worker, _) = workers.ask(Instant::now()) else { panic!("no worker is free") };
        worker
    }

    fn place(workers: &Arc<Workers>) -> Place {
        let Turn::Wait(place) = workers.ask(Instant::now()) else { panic!("nothing to wait for") };
        place
    }

    #[test]
    fn a_worker_goes_to_whoever_has_waited_longest() {
        let workers = pool(2, 5);
        let (one, _two) = (now(&workers), now(&workers));
        let (mut first, mut second) = (place(&workers), place(&workers));
        assert!(first.turn.try_recv().is_err());
        drop(one);
        let taken = first.turn.try_recv().unwrap();
        assert!(second.turn.try_recv().is_err());
        drop(taken);
        assert!(second.turn.try_recv().is_ok());
        assert_eq!(workers.load(), (1, 0));
    }

    #[test]
    fn a_full_queue_takes_nobody_until_somebody_leaves_it() {
        let workers = pool(1, 2);
        let one = now(&workers);
        let (first, mut second) = (place(&workers), place(&workers));
        assert!(matches!(workers.ask(Instant::now()), Turn::Full));
        drop(first);
        let _third = place(&workers);
        assert_eq!(workers.load(), (1, 2));
        drop(one);
        assert!(second.turn.try_recv().is_ok());
    }

    #[test]
    fn a_worker_that_was_given_to_somebody_who_left_goes_on_to_the_next() {
        let workers = pool(1, 5);
        let one = now(&workers);
        let (first, mut second) = (place(&workers), place(&workers));
        drop(one);
        drop(first);
        assert!(second.turn.try_recv().is_ok());
        drop(second);
        assert_eq!(workers.load(), (0, 0));
    }

    #[test]
    fn capacity_changes_while_requests_wait() {
        let workers = pool(1, 5);
        let _one = now(&workers);
        let (mut first, mut second) = (place(&workers), place(&workers));
        workers.set(Some(Capacity::new(2, Duration::ZERO)));
        let taken = first.turn.try_recv().unwrap();
        assert!(second.turn.try_recv().is_err());
        workers.set(Some(Capacity::new(1, Duration::ZERO)));
        drop(taken);
        assert!(second.turn.try_recv().is_err());
        workers.set(None);
        assert!(second.turn.try_recv().is_ok());
        assert!(matches!(workers.ask(Instant::now()), Turn::Free));
    }

    #[test]
    fn what_changes_later_does_so_once_counted_from_the_first_request() {
        let (two, one) = (Capacity::new(2, Duration::ZERO), Capacity::new(1, Duration::ZERO));
        let later = CapacityLater { after: Duration::from_secs(20), capacity: one };
        let workers = Workers::new(Some(two), Some(later));
        let first = Instant::now();
        let are_two = |at: Instant| {
            let turns = [workers.ask(at), workers.ask(at)];
            turns.iter().filter(|turn| matches!(turn, Turn::Now(..))).count() == 2
        };
        assert!(are_two(first) && are_two(first + Duration::from_millis(19_999)));
        assert!(!are_two(first + Duration::from_secs(20)));
        assert!(!are_two(first), "for good");
        let workers = Workers::new(Some(two), Some(later));
        let _one = workers.ask(first);
        workers.set(Some(two));
        assert!(matches!(workers.ask(first + Duration::from_secs(60)), Turn::Now(..)), "set by hand");
    }

    #[test]
    fn capacity_can_be_typed() {
        let told = |text: &str| text.parse::<Capacity>();
        assert_eq!(told("4x250"), Ok(Capacity::new(4, Duration::from_millis(250))));
        assert_eq!(told("1x0+0"), Ok(Capacity { queue: 0, ..Capacity::new(1, Duration::ZERO) }));
        let batches = told("8x100/5+3").unwrap();
        assert_eq!((batches.workers, batches.queue), (8, 3));
        let ms = |calls| batches.time(1, 1, calls).as_millis();
        assert_eq!([ms(1), ms(20)], [105, 200], "once for the request, and for each call");
        let later = CapacityLater { after: Duration::from_secs(90), capacity: told("2x250+7").unwrap() };
        assert_eq!("1m30s=2x250+7".parse(), Ok(later));
        for wrong in ["", "2x250", "5=2x250", "5s=2", "=2x250", "-1s=2x250"] {
            assert!(wrong.parse::<CapacityLater>().unwrap_err().contains("20s=2x250+20"), "{wrong}");
        }
        for wrong in ["", "4", "x", "4x", "x5", "0x5", "4x5+", "4x5/", "4x5/x", "4x5ms", "-1x5", "4x5+-1"] {
            assert!(told(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn jitter_keeps_within_its_part_and_depends_on_seed_and_number() {
        let capacity = Capacity { jitter: 0.5, ..Capacity::new(1, Duration::from_millis(100)) };
        let times: Vec<_> = (0..50).map(|n| capacity.time(1, n, 1)).collect();
        assert!(times.iter().all(|t| (50..=150).contains(&t.as_millis())), "{times:?}");
        assert_eq!(times, (0..50).map(|n| capacity.time(1, n, 1)).collect::<Vec<_>>());
        assert_ne!(times, (0..50).map(|n| capacity.time(2, n, 1)).collect::<Vec<_>>());
        assert_eq!(Capacity::new(1, capacity.service).time(1, 1, 20), capacity.service);
    }
}
