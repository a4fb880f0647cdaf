//! What the engine tells of each server while it runs.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;

use super::{ChannelOrder, Event, LaneSpec, Limits, Observer, Session, run};
use crate::domain::Function;
use crate::job::{InputOptions, Source, read};
use crate::record::{Remembered, Stamp};
use crate::uapi::{Answer, Transport, Verdict};

/// A server that takes its time.
struct Slow;

impl Transport for Slow {
    fn call<'a>(&'a self, _: &'a str, _: Function, _: &'a str) -> LocalBoxFuture<'a, Answer> {
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Answer { http_status: None, verdict: Verdict::Done }
        }
        .boxed_local()
    }
}

#[derive(Default)]
struct Told {
    servers: Vec<(String, u64)>,
    /// Per server the most calls in flight, and the limits.
    lanes: Vec<(String, usize, Option<u32>)>,
}

impl Observer for Told {
    fn on(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { servers, .. } => {
                self.servers = servers.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
                self.lanes = self.servers.iter().map(|(name, _)| (name.clone(), 0, None)).collect();
            }
            Event::Tick { in_flight, lanes } => {
                assert_eq!(lanes.iter().map(|lane| lane.in_flight).sum::<usize>(), *in_flight);
                for (seen, lane) in self.lanes.iter_mut().zip(*lanes) {
                    *seen = (lane.server.to_owned(), seen.1.max(lane.in_flight), lane.limit);
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_server_is_told_with_its_work_its_calls_and_its_limit() {
    let rows: String = (0..13).map(|i| format!("m{i}@example.com,suspend,login\n")).collect();
    let source = Source::bytes(format!("email,action,channel\n{rows}"));
    let job = read(&source, &InputOptions::default()).unwrap();
    let limits = |jobs: u32| Limits {
        jobs: jobs.try_into().unwrap(),
        rate: "none".parse().unwrap(),
        ..Limits::default()
    };
    let lanes = vec![
        LaneSpec::new("web01", &Slow, (0..10).collect(), limits(3)),
        LaneSpec::new("web02", &Slow, (10..13).collect(), limits(1)),
    ];
    let clock = || Stamp(0);
    let session = Session {
        job: &job,
        lanes,
        order: ChannelOrder::default(),
        tolerated: Default::default(),
        done_before: 0,
        seed: 1,
        clock: &clock,
    };
    let mut recorder = Remembered::default();
    let mut told = Told::default();
    let (_tell, signals) = mpsc::unbounded_channel();
    run(session, &mut recorder, &mut told, signals).await;
    assert_eq!(told.servers, [("web01".into(), 10), ("web02".into(), 3)]);
    assert_eq!(told.lanes, [("web01".into(), 3, Some(3)), ("web02".into(), 1, Some(1))]);
}
