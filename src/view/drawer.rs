//! The drawing thread: takes what it is handed, in order, and writes it.
//!
//! It alone touches the writer, so it alone waits when the writer is slow. It takes all that lies
//! ready at once, so that many lines cost one clearing and redrawing of the bar.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use super::bar::Bar;
use super::line::{Line, LogFormat};
use super::log::Log;
use super::progress::Progress;
use super::screen::Sink;
use super::servers::ServerLine;
use super::terminal::Terminal;

/// What the bar and the lines below it show.
pub(super) struct Frame {
    pub progress: Progress,
    /// None where there is one server only.
    pub servers: Vec<ServerLine>,
}

/// What the drawing thread is handed.
pub(super) enum Message {
    /// A line that is always written.
    Line(Line),
    /// A line that counts towards [`Shared::details`].
    Detail(Line),
    /// The bar begins.
    Begin(Frame),
    /// New figures for the bar.
    Tick(Frame),
    /// Say when everything before this has been written.
    Flush(Sender<()>),
    /// The last figures of a run.
    Close(Progress),
    /// The end.
    End,
}

/// What the engine's side and this one both look at.
#[derive(Default)]
pub(super) struct Shared {
    /// Details handed over and not yet written.
    pub details: AtomicUsize,
    /// A tick lies ready; another would only make it wait longer.
    pub tick_waits: AtomicBool,
    /// The drawing thread came to its own end, not to a panic.
    #[cfg(test)]
    pub ended_well: AtomicBool,
}

pub(super) struct Drawer {
    log: Log,
    sink: Sink,
    bar: Option<Bar>,
    /// Whether there is to be a bar at all.
    draws: bool,
    terminal: Terminal,
    shared: Arc<Shared>,
}

/// Messages taken at once.
const BATCH: usize = 512;

impl Drawer {
    pub(super) fn new(format: LogFormat, terminal: Terminal, sink: Sink, shared: Arc<Shared>) -> Drawer {
        Drawer {
            log: Log::new(format, &terminal),
            sink,
            bar: None,
            draws: terminal.interactive && format == LogFormat::Text,
            terminal,
            shared,
        }
    }

    /// Works until the end is announced or nobody is left to announce it.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let ready = messages.try_iter().take(BATCH - 1);
            if self.batch(std::iter::once(first).chain(ready)) {
                break;
            }
        }
        #[cfg(test)]
        self.shared.ended_well.store(true, Ordering::Relaxed);
    }

    /// Says whether the end has come.
    fn batch(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        let (mut lines, mut details, mut frame) = (Vec::new(), 0, None);
        for message in messages {
            match message {
                Message::Line(line) => self.log.format(&line, &mut lines),
                Message::Detail(line) => {
                    self.log.format(&line, &mut lines);
                    details += 1;
                }
                Message::Begin(first) => {
                    if self.draws {
                        self.bar = Some(Bar::new(self.sink.clone(), self.terminal));
                    }
                    frame = Some(first);
                }
                Message::Tick(next) => {
                    self.shared.tick_waits.store(false, Ordering::Relaxed);
                    frame = Some(next);
                }
                Message::Flush(done) => {
                    self.write(&mut lines);
                    let _ = done.send(());
                }
                Message::Close(progress) => {
                    self.write(&mut lines);
                    frame = None;
                    if let Some(bar) = self.bar.take() {
                        bar.finish(&progress);
                    }
                }
                Message::End => {
                    self.write(&mut lines);
                    return true;
                }
            }
        }
        self.write(&mut lines);
        self.shared.details.fetch_sub(details, Ordering::Relaxed);
        if let (Some(bar), Some(frame)) = (&mut self.bar, frame) {
            bar.draw(&frame.progress, &frame.servers);
        }
        false
    }

    fn write(&self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        match &self.bar {
            Some(bar) => bar.above(lines),
            None => self.sink.write(lines),
        }
        lines.clear();
    }
}
