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

use crate::record::Stamp;

use super::progress::Progress;
use super::screen::{Below, Screen, Sink, bar_columns, locked};
use super::servers::{ServerLine, lines};
use super::terminal::Terminal;

pub(super) struct Bar {
    bar: ProgressBar,
    figures: Arc<Mutex<String>>,
    below: Below,
    terminal: Terminal,
    sink: Sink,
    /// Whether the present style has room for a bar beside the figures.
    wide: Option<bool>,
}

/// The bar itself, its brackets and the two blanks behind them take at least this.
const LEAST_BAR_COLUMNS: usize = 16;

/// Lines of the terminal that servers leave free: the bar's own, and some of what was said last.
const FREE_LINES: usize = 4;

/// Narrower than this, the figures stand alone.
const LEAST_WIDE_COLUMNS: usize = 40;

impl Bar {
    pub(super) fn new(sink: Sink, terminal: Terminal) -> Bar {
        let below = Below::default();
        let screen = Screen::new(sink.clone(), terminal, Arc::clone(&below));
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        Bar {
            bar: ProgressBar::with_draw_target(Some(0), target),
            figures: Arc::default(),
            below,
            terminal,
            sink,
            wide: None,
        }
    }

    /// Draws these figures, and a line for each of these servers below.
    pub(super) fn draw(&mut self, progress: &Progress, servers: &[ServerLine]) {
        let columns = bar_columns(&self.terminal);
        let room = self.terminal.height().saturating_sub(FREE_LINES);
        *locked(&self.below) = lines(servers, room, columns, Stamp::now(), self.terminal.style());
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

    /// Leaves the last figures standing and goes on to the next line. What is to be said of servers
    /// then is said by the summary.
    pub(super) fn finish(mut self, progress: &Progress) {
        self.draw(progress, &[]);
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
    use crate::view::servers::Servers;
    use crate::view::terminal::Columns;
    use crate::view::testing::{Captured, on_screen};

    fn drawn(columns: u16, progress: Progress) -> String {
        let captured = Captured::default();
        let terminal = Terminal { interactive: true, colour: false, columns: Columns::Fixed(columns) };
        let mut bar = Bar::new(Sink::new(captured.writer()), terminal);
        bar.draw(&Progress { total: progress.total, ..Progress::default() }, &[]);
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
    fn servers_stand_below_the_bar_and_leave_nothing_behind() {
        let captured = Captured::default();
        let terminal = Terminal { interactive: true, colour: false, columns: Columns::Fixed(60) };
        let mut bar = Bar::new(Sink::new(captured.writer()), terminal);
        let progress = Progress { total: 30, done: 7, ..Progress::default() };
        let of = |servers: &[(&str, u64)]| Servers::begun(servers).lines().to_vec();
        let stands = |servers: &[&str], said: &[&str]| {
            let shown = on_screen(&captured.text());
            let (before, drawn) = shown.split_at(said.len());
            assert_eq!(before, said);
            assert!(drawn[0].ends_with("]  7/30  23%  0.0/s"), "{shown:?}");
            assert_eq!(drawn[1..], *servers);
        };
        let three = of(&[("web01", 10), ("web02", 20), ("web03", 0)]);
        bar.draw(&progress, &three);
        let one = "  web01  0/10  0.0/s  0 in flight";
        let two = "  web02  0/20  0.0/s  0 in flight";
        stands(&[one, two, "  web03   0/0  done"], &[]);
        bar.above(b"one\ntwo\n");
        stands(&[one, two, "  web03   0/0  done"], &["one", "two"]);
        bar.draw(&progress, &three[..2]);
        stands(&[one, two], &["one", "two"]);
        bar.draw(&progress, &three);
        bar.draw(&progress, &three);
        stands(&[one, two, "  web03   0/0  done"], &["one", "two"]);
        bar.finish(&progress);
        stands(&[""], &["one", "two"]);
        let shown = on_screen(&captured.text());
        assert_eq!(shown.len(), 4, "nothing is left of the servers: {shown:?}");
    }

    #[test]
    fn a_terminal_that_is_full_keeps_room_for_what_was_said() {
        let captured = Captured::default();
        let terminal = Terminal { interactive: true, colour: false, columns: Columns::Fixed(60) };
        let mut bar = Bar::new(Sink::new(captured.writer()), terminal);
        let servers: Vec<(&str, u64)> = vec![("web", 10); 60];
        bar.draw(&Progress::default(), Servers::begun(&servers).lines());
        let shown = on_screen(&captured.text());
        assert_eq!(shown.len(), terminal.height() - FREE_LINES + 1);
        assert_eq!(shown.last().map(String::as_str), Some("  and 41 more"));
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
