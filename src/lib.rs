//! Suspend and restore thousands of cPanel mailboxes from a CSV: rate-limited, resumable, one result
//! per operation. The program `mailsweep` is a thin shell around this crate.
//!
//! # The way of an operation
//!
//! ```text
//! CSV bytes ─► job ─► fleet ─► engine ─► uapi ─► the server
//!              rows    which     when,     one HTTP
//!              checked server,   in what   exchange,
//!              whole   account   order,    one verdict
//!                                how often
//!                         │
//!                         ├─► record: journal (truth) ─► results.csv, unfinished.csv, report.html, summary.json
//!                         └─► events ─► view: progress bar, plain lines, JSON
//! ```
//!
//! One direction, no way back. The engine decides; everything else is told.
//!
//! # The rooms
//!
//! * [`domain`]: mailbox, action, channel, operation, outcome: plain values and their spellings.
//! * [`job`]: bytes to a checked [`Job`](job::Job), with every fault named by row and line.
//! * [`fleet`]: servers, and where their credentials come from.
//! * [`uapi`]: one call, one HTTP exchange, one [`Verdict`](uapi::Verdict).
//! * [`engine`]: the loop: order, rate, retries, halts, stopping.
//! * [`record`]: the run directory: journal, results, summary, recovery.
//! * [`view`]: what people see, on the screen, on a page, in a workbook; fed by events and plain values
//!   alone.
//! * [`sandbox`]: an imitation of cPanel on loopback, for trying, drills and tests.
//! * [`cli`]: flags, and one file per command, which put the rooms together.
//!
//! # Example
//!
//! A job of two operations against a sandbox, recorded in a run directory and watched:
//!
//! ```
//! use mailsweep::domain::{Secret, Status};
//! use mailsweep::engine::{self, Event, LaneSpec, Limits, Observer, Session};
//! use mailsweep::job::{self, InputOptions, Source};
//! use mailsweep::record::{JournalRecorder, Ledger, RunDir, RunFacts, Stamp};
//! use mailsweep::sandbox::{Options, Sandbox, World};
//! use mailsweep::uapi::{Api, Credential, Endpoint, HttpOptions, HttpTransport};
//!
//! struct Counter(usize);
//! impl Observer for Counter {
//!     fn on(&mut self, event: &Event<'_>) {
//!         self.0 += usize::from(matches!(event, Event::Finished(_)));
//!     }
//! }
//!
//! let input = Source::bytes("email,action,channel\nann@example.com,suspend,login+outgoing\n");
//! let job = job::read(&input, &InputOptions::default())?;
//!
//! let world = World::for_mailboxes("exampleu", "TOKEN", job.mailboxes.iter().map(|(_, m)| m));
//! let sandbox = Sandbox::start(Options { world, ..Options::default() })?;
//! let token = Credential::Token(Secret::new("TOKEN".to_owned()));
//! let endpoint = Endpoint::new(sandbox.url().parse()?, Api::Cpanel);
//! let server = HttpTransport::new(&endpoint, "exampleu", token, &HttpOptions::default())?;
//!
//! let home = tempfile::tempdir()?;
//! let dir = RunDir::create(None, home.path(), "job.csv", Stamp::now())?;
//! let facts = RunFacts::new(&dir, &input, &job, InputOptions::default());
//! dir.write_facts(&facts, &input)?;
//! let mut recorder = JournalRecorder::start(dir.start_journal(&facts)?, Ledger::new(&job))?;
//!
//! let lane = LaneSpec::new("web01", &server, vec![0, 1], Limits::default());
//! let session = Session::new(&job, vec![lane], &Stamp::now);
//! let (_signal, signals) = tokio::sync::mpsc::unbounded_channel();
//! let mut finished = Counter(0);
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let end = runtime.block_on(engine::run(session, &mut recorder, &mut finished, signals));
//!
//! let (_, ledger, written) = recorder.finish();
//! written?;
//! assert!(end.stop.is_none() && finished.0 == 2);
//! assert_eq!(ledger.ended(1), Some((Status::Ok, None)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cli;
pub mod domain;
pub mod engine;
pub mod fleet;
pub mod job;
pub mod record;
pub mod sandbox;
pub mod uapi;
pub mod view;

pub use domain::Exit;
