//! What becomes of requests that are called back, because their server was halted while they waited
//! for their connection.

use std::cell::Cell;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Checks, LaneSpec, Limits, Session, run};
use crate::domain::{ErrorClass, Function, Status};
use crate::job::{InputOptions, Source, read};
use crate::record::{Entry, Remembered, Stamp};
use crate::uapi::{Answer, Question, Reader, Reading, Transport, Verdict};

/// A server to which connections can no longer be made after some calls, and that refuses the
/// credential by one of those that it has.
struct Clogged {
    calls: Cell<u32>,
    is_halted: watch::Sender<bool>,
    /// Whether the transport sees the refusal before its verdict is out.
    is_ahead: bool,
}

const TAKES: Duration = Duration::from_millis(80);
const GOOD: u32 = 30;

impl Clogged {
    async fn verdict(&self, number: u32) -> Verdict {
        match number {
            ..GOOD => {
                tokio::time::sleep(TAKES).await;
                Verdict::Done
            }
            GOOD => {
                // Long enough for others to be begun beside it.
                tokio::time::sleep(3 * TAKES).await;
                if self.is_ahead {
                    self.is_halted.send_replace(true);
                    tokio::time::sleep(TAKES).await;
                }
                Verdict::Refused { error: "HTTP 401".into() }
            }
            _ => {
                let mut is_halted = self.is_halted.subscribe();
                let waiting = is_halted.wait_for(|is_halted| *is_halted);
                match tokio::time::timeout(Duration::from_secs(60), waiting).await {
                    Ok(_) => Verdict::called_back("called back".into()),
                    Err(_) => Verdict::Open { class: ErrorClass::Timeout, error: String::new() },
                }
            }
        }
    }
}

impl Reader for Clogged {
    fn read<'a>(&'a self, question: Question<'a>) -> LocalBoxFuture<'a, Reading> {
        unreachable!("nobody asked for {question:?}")
    }
}

impl Transport for Clogged {
    fn halt(&self) {
        self.is_halted.send_replace(true);
    }

    fn call<'a>(&'a self, _: &'a str, _: Function, _: &'a str) -> LocalBoxFuture<'a, Answer> {
        let number = self.calls.replace(self.calls.get() + 1);
        async move { Answer { http_status: None, verdict: self.verdict(number).await } }.boxed_local()
    }

    fn end_sessions<'a>(&'a self, _: &'a str) -> LocalBoxFuture<'a, Answer> {
        unreachable!("nobody asked to end sessions")
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_called_back_was_never_tried_and_is_left_with_the_rest() {
    for is_ahead in [false, true] {
        let rows: String = (0..100).map(|i| format!("m{i}@example.com,suspend,login\n")).collect();
        let source = Source::bytes(format!("email,action,channel\n{rows}"));
        let job = read(&source, &InputOptions::default()).unwrap();
        let server = Clogged { calls: Cell::new(0), is_halted: watch::Sender::new(false), is_ahead };
        let limits =
            Limits { rate: "none".parse().unwrap(), jobs: 8.try_into().unwrap(), ..Limits::default() };
        let lanes = vec![LaneSpec::new("web01", &server, (0..100).collect(), limits)];
        let clock = || Stamp(0);
        let session = Session { checks: Checks::blind(), ..Session::new(&job, lanes, &clock) };
        let mut recorder = Remembered::default();
        let (_tell, signals) = mpsc::unbounded_channel();
        let begun = Instant::now();
        let end = run(session, &mut recorder, &mut (), signals).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody waited for a connection");
        assert!(server.calls.get() > GOOD + 1, "some did wait");
        assert_eq!(end.servers[0].halted.as_ref().map(|(class, _)| *class), Some(ErrorClass::Auth));
        let tried = recorder.entries.iter().filter_map(|entry| match entry {
            Entry::Try(attempt) => Some((attempt.op, attempt.class)),
            _ => None,
        });
        assert_eq!(tried.collect::<Vec<_>>(), [(GOOD, ErrorClass::Auth)]);
        let ended = recorder.entries.iter().filter_map(|entry| match entry {
            Entry::End(ended) => Some(ended.status),
            _ => None,
        });
        assert_eq!(ended.collect::<Vec<_>>(), [Status::Ok; GOOD as usize]);
    }
}
