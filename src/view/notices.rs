//! For whoever has something to say before or after a run: the way through the drawing thread, so
//! that it comes in order and does not run into the bar.

use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use super::drawer::Message;
use super::line::{Line, What};

/// How long is waited for a writer that takes nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Says things outside a run, through the same place and in order with its lines.
#[derive(Clone)]
pub struct Notices {
    sender: Sender<Message>,
    quiet: bool,
}

impl Notices {
    /// A text of one or more lines, shown as it is (with `--log-format json` as one object). Not
    /// with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// The same even with `-q`: what went wrong, and what to type.
    pub fn say(&self, text: &str) {
        if !text.is_empty() {
            self.send(Message::Line(Line::now(What::Note(text.to_owned()))));
        }
    }

    /// Waits until what was said so far is written, some seconds at most: for before a question.
    pub fn flush(&self) {
        let (done, written) = mpsc::channel();
        self.send(Message::Flush(done));
        let _ = written.recv_timeout(PATIENCE);
    }

    pub(super) fn new(sender: Sender<Message>, quiet: bool) -> Notices {
        Notices { sender, quiet }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn send(&self, message: Message) {
        // Nobody draws any more: nothing to be done about it.
        let _ = self.sender.send(message);
    }
}
