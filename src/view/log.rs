//! Our own use of tracing: one subscriber, in the drawing thread alone.
//!
//! It is never made the process's default: libraries that trace (hyper, reqwest) run in other
//! threads and do not reach it, and a filter on our own target says the same once more, which also
//! lets tracing switch their call sites off. What it formats goes into a buffer that the drawing
//! thread then writes in its own way, above the bar or plainly.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::prelude::*;

use super::line::{Line, LogFormat, What};
use super::screen::locked;
use super::terminal::Terminal;

/// The target of all our lines.
pub(super) const TARGET: &str = "mailsweep";

pub(super) struct Log {
    dispatch: Dispatch,
    format: LogFormat,
    colour: bool,
    now_ms: Arc<AtomicI64>,
    formatted: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    pub(super) fn new(format: LogFormat, terminal: &Terminal) -> Log {
        let now_ms = Arc::new(AtomicI64::new(0));
        let formatted = Arc::new(Mutex::new(Vec::new()));
        let clock = Clock { now_ms: Arc::clone(&now_ms), short: terminal.interactive };
        let buffer = Arc::clone(&formatted);
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || Buffer(Arc::clone(&buffer)))
            .with_target(false)
            .with_ansi(terminal.colour && format == LogFormat::Text)
            .log_internal_errors(false);
        let own = tracing_subscriber::registry().with(Targets::new().with_target(TARGET, LevelFilter::TRACE));
        let dispatch = match format {
            LogFormat::Text => {
                Dispatch::new(own.with(layer.compact().with_timer(clock).fmt_fields(debug_fn(text_field))))
            }
            LogFormat::Json => {
                let clock = Clock { short: false, ..clock };
                let json = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
                Dispatch::new(own.with(json.with_timer(clock)))
            }
        };
        Log { dispatch, format, colour: terminal.colour, now_ms, formatted }
    }

    /// Formats the line and appends it to `out`.
    pub(super) fn format(&self, line: &Line, out: &mut Vec<u8>) {
        if let (What::Note(text), LogFormat::Text) = (&line.what, self.format) {
            return self.plain(text, out);
        }
        self.now_ms.store(line.at_ms, Ordering::Relaxed);
        tracing::dispatcher::with_default(&self.dispatch, || line.tell());
        out.append(&mut locked(&self.formatted));
    }

    /// A text as it is, ending with a line break. Where no colours are, neither is anything else
    /// that a terminal would obey.
    fn plain(&self, text: &str, out: &mut Vec<u8>) {
        for c in text.trim_end_matches('\n').chars() {
            let wanted = c == '\n' || !c.is_control() || (self.colour && c == '\u{1b}');
            if wanted {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.push(b'\n');
    }
}

/// The sentence, and what it leaves to the fields: class, status, tries and reason, where they tell
/// something. They stand in the order in which the event names them.
fn text_field(out: &mut Writer<'_>, field: &tracing::field::Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(out, "{value:?}"),
        "error_class" => write!(out, ", {value:?}"),
        // The reason begins with the status where it is one.
        "http_status" => Ok(()),
        "attempts" => match format!("{value:?}").as_str() {
            "0" | "1" => Ok(()),
            attempts => write!(out, ", {attempts} tries"),
        },
        "error" | "reason" => write!(out, ": {value:?}"),
        _ => Ok(()),
    }
}

/// Writes the time at which a thing happened. On a terminal, where somebody watches, without the
/// day.
struct Clock {
    now_ms: Arc<AtomicI64>,
    short: bool,
}

impl FormatTime for Clock {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let Ok(now) = jiff::Timestamp::from_millisecond(self.now_ms.load(Ordering::Relaxed)) else {
            return out.write_str("-");
        };
        let text = format!("{now:.3}");
        match text.split_once('T').and_then(|(_, time)| time.get(..8)) {
            Some(time) if self.short => write!(out, "{time}Z"),
            _ => out.write_str(&text),
        }
    }
}

struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
