//! One thing to be told on a line of its own, owned, so that it can cross to the drawing thread;
//! and how it is told: a sentence for people, fields for machines, in one tracing event.
//!
//! The sentence is short and holds nothing foreign but names. The text form appends the reason from
//! the fields (see [`super::log`]); the JSON form has the sentence and all fields.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::field::{DisplayValue, display};

use crate::domain::{ErrorClass, Function, Status};
use crate::engine::{Finished, Subject, Tried};

use super::log::TARGET;
use super::progress::Progress;
use super::words::{count, counted, shown, wait};

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(word: &str) -> Result<LogFormat, String> {
        match word {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("“{}” is not one of text, json", shown(word, 60))),
        }
    }
}

/// What is told, and when it happened, which is not when it is written.
pub(super) struct Line {
    pub at_ms: i64,
    pub what: What,
}

pub(super) enum What {
    Started { to_do: u64, done_before: u64 },
    Ended { about: About, status: Status, class: Option<ErrorClass>, attempts: u32 },
    Tried { about: About, class: ErrorClass, attempt: u32, wait: Option<Duration> },
    Paused { server: String, pause: Duration, reason: String },
    Halted { server: String, class: ErrorClass, reason: String },
    Unread { server: String, account: String, what: String, class: ErrorClass, error: String },
    Stopping { reason: String, in_flight: usize },
    Progress(Progress),
    NotShown(u64),
    Note(String),
}

/// What both kinds of lines about an operation say of it.
pub(super) struct About {
    row: u32,
    mailbox: String,
    function: Function,
    server: String,
    http_status: Option<u16>,
    error: String,
}

/// Servers' own words are cut here; the results have them whole.
const MAX_ERROR_CHARS: usize = 300;

impl About {
    fn new(subject: &Subject<'_>, http_status: Option<u16>, error: &str) -> About {
        About {
            row: subject.row,
            mailbox: shown(subject.mailbox, 254),
            function: subject.function,
            server: shown(subject.server, 100),
            http_status,
            error: shown(error, MAX_ERROR_CHARS),
        }
    }

    fn sentence(&self) -> String {
        let About { row, mailbox, function, server, .. } = self;
        format!("row {row} {mailbox} {} {} at {server}", function.action().word(), function.channel())
    }

    /// `None` rather than an empty field.
    fn error(&self) -> Option<DisplayValue<&str>> {
        (!self.error.is_empty()).then(|| display(self.error.as_str()))
    }
}

impl Line {
    pub(super) fn now(what: What) -> Line {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Line { at_ms: since.as_millis().try_into().unwrap_or(i64::MAX), what }
    }

    pub(super) fn ended(event: &Finished<'_>) -> Line {
        let about = About::new(&event.subject, event.http_status, event.error);
        Line::now(What::Ended { about, status: event.status, class: event.class, attempts: event.attempts })
    }

    pub(super) fn tried(event: &Tried<'_>) -> Line {
        let about = About::new(&event.subject, event.http_status, event.error);
        Line::now(What::Tried { about, class: event.class, attempt: event.attempt, wait: event.wait })
    }

    /// Tells it to tracing's current subscriber.
    pub(super) fn tell(&self) {
        match &self.what {
            What::Started { to_do, done_before } => {
                let before = match done_before {
                    0 => String::new(),
                    n => format!(", {} done before", count(*n)),
                };
                tracing::info!(
                    target: TARGET, event = "started", to_do, done_before,
                    "started: {}{before}", counted(*to_do, "operation", "operations"),
                );
            }
            What::Ended { about, status, class, attempts } => tell_ended(about, *status, *class, *attempts),
            What::Tried { about, class, attempt, wait: pause } => {
                let next = pause.map_or(String::new(), |pause| format!(", next in {}", wait(pause)));
                tracing::warn!(
                    target: TARGET, event = "tried",
                    row = about.row, mailbox = %about.mailbox, action = about.function.action().word(),
                    channel = %about.function.channel(), server = %about.server, attempt,
                    wait_ms = pause.map(milliseconds), error_class = display(class),
                    http_status = about.http_status, error = about.error(),
                    "{}: try {attempt} in vain{next}", about.sentence(),
                );
            }
            What::Paused { server, pause, reason } => tracing::warn!(
                target: TARGET, event = "paused", server = %server, pause_ms = milliseconds(*pause),
                reason = %reason,
                "{server} paused for {}", wait(*pause),
            ),
            What::Halted { server, class, reason } => tracing::error!(
                target: TARGET, event = "halted", server = %server, error_class = display(class),
                reason = %reason,
                "{server} halted, nothing more is sent there",
            ),
            What::Unread { server, account, what, class, error } => tracing::warn!(
                target: TARGET, event = "unread", server = %server, account = %account,
                error_class = display(class), error = %error,
                "{server}, account {account}: {what}",
            ),
            What::Stopping { reason, in_flight } => {
                let calls = counted(*in_flight as u64, "call in flight ends", "calls in flight end");
                tracing::warn!(
                    target: TARGET, event = "stopping", in_flight, reason = %reason,
                    "stopping, nothing new is started, {calls}",
                );
            }
            What::Progress(progress) => tracing::info!(
                target: TARGET, event = "progress",
                done = progress.done, total = progress.total, percent = progress.percent(),
                rate_per_s = (progress.rate * 10.0).round() / 10.0, failed = progress.failed,
                not_attempted = progress.not_attempted, in_flight = progress.in_flight,
                left_s = progress.left().map(|left| left.as_secs()),
                "{}", progress.sentence(),
            ),
            What::NotShown(number) => tracing::info!(
                target: TARGET, event = "not_shown", lines = number,
                "… {} not shown; results.csv will have every operation",
                counted(*number, "more line", "more lines"),
            ),
            What::Note(text) => {
                tracing::info!(target: TARGET, event = "note", "{}", text.trim_end());
            }
        }
    }
}

fn tell_ended(about: &About, status: Status, class: Option<ErrorClass>, attempts: u32) {
    // A level has to be known where tracing's macro stands.
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                target: TARGET, event = "finished",
                row = about.row, mailbox = %about.mailbox, action = about.function.action().word(),
                channel = %about.function.channel(), server = %about.server, status = status.word(),
                error_class = class.map(display), http_status = about.http_status, attempts,
                error = about.error(),
                "{}: {}", about.sentence(), status.word(),
            )
        };
    }
    match status {
        Status::Failed | Status::Unknown => tell!(error),
        status if status.is_good() => tell!(info),
        _ => tell!(warn),
    }
}

fn milliseconds(span: Duration) -> u64 {
    span.as_millis().try_into().unwrap_or(u64::MAX)
}
