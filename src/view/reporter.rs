//! The engine's listener: counts in its thread, and hands what is to be seen to a thread that
//! draws.
//!
//! The engine waits for nobody. An operation that ends well costs two additions, and nothing is
//! allocated for it unless it is to be shown. What is handed over is bounded: of ticks one at most
//! lies ready, of lines about operations at most [`MOST_WAITING`]; what is over that is counted,
//! and the count is told once there is room. Halts, pauses and notes are few and always get
//! through. As text, failures are shown at most [`MOST_FAILURES_A_SECOND`]: more than anybody reads,
//! and the results have them all. JSON and `-v` show each.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::domain::Status;
use crate::engine::{Event, LaneFigures, Observer};
use crate::record::Stamp;

use super::drawer::{Drawer, Frame, Message, Shared};
use super::line::{Line, LogFormat, What};
use super::notices::Notices;
use super::progress::{Pace, Progress};
use super::screen::Sink;
use super::servers::Servers;
use super::terminal::Terminal;

/// Lines about operations that may wait to be written.
const MOST_WAITING: usize = 10_000;

/// Lines about failures shown in a second, as text and without `-v`.
const MOST_FAILURES_A_SECOND: u32 = 20;

/// The engine ticks ten times a second.
const TICKS_A_SECOND: u32 = 10;

/// Without a bar, how far it is is told this often.
const TICKS_A_PROGRESS_LINE: u32 = 10 * TICKS_A_SECOND;

/// How long the end is waited for when the program is unwinding or has forgotten to say it.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// What a [`Reporter`] is to show, and where.
pub struct Options {
    /// `-q`: show nothing of the run.
    pub quiet: bool,
    /// `-v`: a line for each operation and for each try in vain.
    pub verbose: bool,
    /// `--log-format`.
    pub log: LogFormat,
    /// What kind of place `writer` is.
    pub terminal: Terminal,
    /// Where it goes.
    pub writer: Box<dyn Write + Send>,
}

impl Options {
    /// On standard error, as it is.
    pub fn stderr(quiet: bool, verbose: bool, log: LogFormat) -> Options {
        let terminal = Terminal::stderr();
        Options { quiet, verbose, log, terminal, writer: Box::new(std::io::stderr()) }
    }
}

/// Shows a run while it goes. Ends, and leaves the terminal in order, when [`Reporter::finish`] is
/// called, or when it is dropped.
pub struct Reporter {
    notices: Notices,
    verbose: bool,
    json: bool,
    /// Whether progress is told by lines, there being no bar.
    lines: bool,
    shared: Arc<Shared>,
    thread: Option<(JoinHandle<()>, Receiver<()>)>,
    begun: Instant,
    started: bool,
    progress: Progress,
    servers: Servers,
    done_before: u64,
    pace: Pace,
    ticks: u32,
    failures_shown: u32,
    not_shown: u64,
}

impl Reporter {
    /// Begins. The bar comes with the engine's first event.
    pub fn start(options: Options) -> Reporter {
        let Options { quiet, verbose, log, terminal, writer } = options;
        let shared = Arc::new(Shared::default());
        let (sender, messages) = mpsc::channel();
        let (ended, end) = mpsc::channel();
        let for_drawer = Arc::clone(&shared);
        let drawing = std::thread::Builder::new().name("view".into()).spawn(move || {
            // Dropped when this thread ends, however it does: that is what the other side waits for.
            let _ended: Sender<()> = ended;
            Drawer::new(log, terminal, Sink::new(writer), for_drawer).run(&messages);
        });
        Reporter {
            notices: Notices::new(sender, quiet),
            verbose,
            json: log == LogFormat::Json,
            lines: !terminal.interactive || log == LogFormat::Json,
            shared,
            // Without a thread everything that is handed over is dropped, and the run goes on unseen.
            thread: drawing.ok().map(|thread| (thread, end)),
            begun: Instant::now(),
            started: false,
            progress: Progress::default(),
            servers: Servers::default(),
            done_before: 0,
            pace: Pace::default(),
            ticks: 0,
            failures_shown: 0,
            not_shown: 0,
        }
    }

    /// A handle for whoever has something to say outside the run, in order with its lines.
    pub fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// The run is over: its last figures are shown and left standing, so that what is said from now
    /// on stands below them.
    pub fn run_ended(&mut self) {
        if !std::mem::take(&mut self.started) {
            return;
        }
        self.tell_not_shown();
        let done = self.progress.done - self.done_before;
        let last = self.progress.at_the_end(done, self.begun.elapsed());
        if self.lines {
            self.line(What::Progress(last));
        }
        self.notices.send(Message::Close(last));
    }

    /// Shows the last figures, writes what still waits, and gives the terminal back. Returns even
    /// if the writer takes nothing, after some seconds.
    pub fn finish(mut self) {
        self.end(super::notices::PATIENCE);
    }

    fn end(&mut self, patience: Duration) {
        let Some((thread, ended)) = self.thread.take() else { return };
        self.run_ended();
        self.notices.send(Message::End);
        let waited = ended.recv_timeout(patience);
        if waited == Err(mpsc::RecvTimeoutError::Disconnected) {
            let _ = thread.join();
        }
    }

    /// Says afterwards whether the drawing thread came to its own end.
    #[cfg(test)]
    pub(super) fn watch(&self) -> impl Fn() -> bool + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.ended_well.load(Ordering::Relaxed)
    }

    fn line(&self, what: What) {
        self.notices.send(Message::Line(Line::now(what)));
    }

    /// A line about one operation, if there is room.
    fn detail(&mut self, line: impl FnOnce() -> Line) {
        if !self.has_room() {
            self.not_shown += 1;
            return;
        }
        if self.verbose || self.json {
            self.tell_not_shown();
        }
        self.shared.details.fetch_add(1, Ordering::Relaxed);
        self.notices.send(Message::Detail(line()));
    }

    fn has_room(&self) -> bool {
        self.shared.details.load(Ordering::Relaxed) < MOST_WAITING
    }

    /// Nothing is lost if it is left out: the next one says the same and more.
    fn tell_progress(&mut self) {
        if self.has_room() {
            let progress = self.progress;
            self.detail(|| Line::now(What::Progress(progress)));
        }
    }

    fn tell_not_shown(&mut self) {
        if self.not_shown > 0 {
            let number = std::mem::take(&mut self.not_shown);
            self.line(What::NotShown(number));
        }
    }

    fn ended(&mut self, event: &crate::engine::Finished<'_>) {
        self.progress.ended(event.status);
        self.servers.ended(event.subject.server, event.status);
        self.show(event);
    }

    fn show(&mut self, event: &crate::engine::Finished<'_>) {
        let failed = matches!(event.status, Status::Failed | Status::Unknown);
        if self.verbose || (self.json && failed) {
            self.detail(|| Line::ended(event));
        } else if failed && self.failures_shown < MOST_FAILURES_A_SECOND {
            self.failures_shown += 1;
            self.detail(|| Line::ended(event));
        } else if failed {
            self.not_shown += 1;
        }
    }

    fn frame(&self) -> Frame {
        Frame { progress: self.progress, servers: self.servers.lines().to_vec() }
    }

    fn tick(&mut self, in_flight: usize, lanes: &[LaneFigures<'_>]) {
        let elapsed = self.begun.elapsed();
        self.progress.in_flight = in_flight;
        self.progress.rate = self.pace.at(elapsed, self.progress.done);
        self.servers.tick(elapsed, lanes);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_A_SECOND) {
            self.failures_shown = 0;
            if self.has_room() {
                self.tell_not_shown();
            }
        }
        if self.lines {
            if self.ticks.is_multiple_of(TICKS_A_PROGRESS_LINE) {
                self.tell_progress();
            }
        } else if !self.shared.tick_waits.swap(true, Ordering::Relaxed) {
            self.notices.send(Message::Tick(self.frame()));
        }
    }
}

impl Observer for Reporter {
    fn on(&mut self, event: &Event<'_>) {
        if self.notices.is_quiet() {
            return;
        }
        match event {
            Event::Started { to_do, done_before, servers } => {
                self.started = true;
                self.begun = Instant::now();
                self.done_before = *done_before;
                self.progress =
                    Progress { total: to_do + done_before, done: *done_before, ..Progress::default() };
                self.servers = Servers::begun(servers);
                self.pace = Pace::default();
                self.pace.at(Duration::ZERO, *done_before);
                if self.lines {
                    self.line(What::Started { to_do: *to_do, done_before: *done_before });
                }
                self.notices.send(Message::Begin(self.frame()));
            }
            Event::Finished(finished) => self.ended(finished),
            Event::Corrected { before, now } => {
                self.progress.corrected(*before, now.status);
                self.servers.corrected(now.subject.server, *before, now.status);
                self.show(now);
            }
            Event::Unread { server, account, what, class, error } => {
                let (server, account) = (foreign(server), foreign(account));
                let (what, error) = ((*what).to_owned(), foreign(error));
                self.detail(|| Line::now(What::Unread { server, account, what, class: *class, error }));
            }
            Event::Tried(tried) => {
                if self.verbose {
                    self.detail(|| Line::tried(tried));
                }
            }
            Event::Paused { server, pause, reason } => {
                let ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
                self.servers.paused(server, Stamp(Stamp::now().0.saturating_add(ms)));
                let (server, reason) = (foreign(server), foreign(reason));
                self.line(What::Paused { server, pause: *pause, reason });
            }
            Event::Singly { server, reason } => {
                let text =
                    format!("{}: calls go one by one from here on: {}", foreign(server), foreign(reason));
                self.line(What::Note(text));
            }
            Event::Halted { server: name, class, reason } => {
                let (server, reason) = (foreign(name), foreign(reason));
                self.servers.halted(name, &reason);
                self.line(What::Halted { server, class: *class, reason });
            }
            Event::Stopping { reason, in_flight } => {
                self.line(What::Stopping { reason: foreign(reason), in_flight: *in_flight });
            }
            Event::Tick { in_flight, lanes } => self.tick(*in_flight, lanes),
        }
    }
}

fn foreign(text: &str) -> String {
    super::words::shown(text, 600)
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.end(SHORT_PATIENCE);
    }
}

#[cfg(test)]
mod tests;
