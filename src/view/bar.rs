//! The bar: indicatif's, fed with our own figures.
//!
//! indicatif draws the bar and knows how to clear it, let lines pass and draw it again. Count, rate
//! and time left are not its own: they leave out what earlier sessions did and what was given up,
//! which it cannot know. It draws when told and has no thread of its own here. It neither hides the
//! cursor nor changes the terminal's mode, so that even a process that is killed leaves no more
//! behind than the last drawn line.

use std::fmt;
use std::sync::{Arc, Mutex};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::progress::Progress;
use super::screen::{Screen, Sink, bar_columns, locked};
use super::terminal::Terminal;

pub(super) struct Bar {
    bar: ProgressBar,
    figures: Arc<Mutex<String>>,
    terminal: Terminal,
    sink: Sink,
    /// Whether the present style has room for a bar beside the figures.
    wide: Option<bool>,
}

/// The bar itself, its brackets and the two blanks behind them take at least this.
const LEAST_BAR_COLUMNS: usize = 16;

/// Narrower than this, the figures stand alone.
const LEAST_WIDE_COLUMNS: usize = 40;

impl Bar {
    pub(super) fn new(sink: Sink, terminal: Terminal) -> Bar {
        let screen = Screen::new(sink.clone(), terminal);
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        Bar {
            bar: ProgressBar::with_draw_target(Some(0), target),
            figures: Arc::default(),
            terminal,
            sink,
            wide: None,
        }
    }

    /// Draws these figures.
    pub(super) fn draw(&mut self, progress: &Progress) {
        let columns = bar_columns(&self.terminal);
        let wide = columns >= LEAST_WIDE_COLUMNS;
        let room = if wide { columns - LEAST_BAR_COLUMNS } else { columns };
        *locked(&self.figures) = progress.figures(room, self.terminal.style());
        if self.wide != Some(wide) {
            self.wide = Some(wide);
            self.bar.set_style(style(wide, Arc::clone(&self.figures)));
        }
        // One call, and so one drawing.
        self.bar.update(|state: &mut ProgressState| {
            state.set_len(progress.total);
            state.set_pos(progress.done);
        });
    }

    /// Writes lines above the bar.
    pub(super) fn above(&self, lines: &[u8]) {
        self.bar.suspend(|| self.sink.write(lines));
    }

    /// Leaves the last figures standing and goes on to the next line.
    pub(super) fn finish(mut self, progress: &Progress) {
        self.draw(progress);
        self.bar.abandon();
        self.sink.write(b"\n");
    }
}

fn style(wide: bool, figures: Arc<Mutex<String>>) -> ProgressStyle {
    let template = if wide { "[{wide_bar}]  {figures}" } else { "{figures}" };
    ProgressStyle::with_template(template)
        // A template that indicatif did not take would show its own bar, which is no reason to fail.
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("figures", move |_: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&locked(&figures));
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::terminal::Columns;
    use crate::view::testing::Captured;

    fn drawn(columns: u16, progress: Progress) -> String {
        let captured = Captured::default();
        let terminal = Terminal { interactive: true, colour: false, columns: Columns::Fixed(columns) };
        let mut bar = Bar::new(Sink::new(captured.writer()), terminal);
        bar.draw(&Progress { total: progress.total, ..Progress::default() });
        bar.above(b"a line\n");
        bar.finish(&progress);
        captured.text()
    }

    #[test]
    fn the_last_state_stands_and_says_total_of_total() {
        let progress = Progress { total: 25_000, done: 25_000, rate: 9.8, ..Progress::default() };
        let text = drawn(80, progress);
        let last = text.rsplit("\u{1b}[2K").next().unwrap_or_default();
        let bar = "=".repeat(47);
        assert_eq!(last, format!("[{bar}]  25,000/25,000  100%  9.8/s\n"));
        assert!(text.contains("\u{1b}[2Ka line\n"), "the bar is cleared before a line: {text:?}");
    }

    #[test]
    fn no_width_is_too_small_to_survive() {
        let progress = Progress {
            total: u64::MAX,
            done: 7,
            failed: 7,
            not_attempted: 7,
            in_flight: 7,
            rate: 1e9,
            over: false,
        };
        for columns in 0..=120 {
            let text = drawn(columns, progress);
            assert!(text.ends_with('\n'));
            if columns > 0 {
                let last = text.rsplit("\u{1b}[2K").next().unwrap_or_default();
                let last = last.lines().last().unwrap_or_default().trim_end();
                assert!(last.chars().count() <= usize::from(columns), "{columns}: {last:?}");
            }
        }
    }
}
