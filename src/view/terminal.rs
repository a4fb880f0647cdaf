//! What kind of place standard error is: whether somebody watches, how wide it is, whether colours
//! are welcome. Found once, then passed on as plain values, so that nothing below asks the
//! environment and tests need no terminal.

use std::ffi::OsString;
use std::io::IsTerminal;

/// Where the number of columns comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Always this many.
    Fixed(u16),
    /// Asked of standard error at each drawing, since a window can be resized.
    Live,
}

/// What is known of the place that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether a cursor can be moved there: a terminal, and not a dumb one. Without it there is no
    /// bar.
    pub interactive: bool,
    /// Whether colours are welcome.
    pub colour: bool,
    /// How wide it is.
    pub columns: Columns,
}

/// Taken where the real size is not known: what most things have been laid out for.
const USUAL_COLUMNS: u16 = 80;
const USUAL_ROWS: u16 = 24;

impl Terminal {
    /// A file, a pipe: no bar, no colour, lines of the usual width.
    pub const PLAIN: Terminal =
        Terminal { interactive: false, colour: false, columns: Columns::Fixed(USUAL_COLUMNS) };

    /// Looks at standard error and the environment of this process.
    pub fn stderr() -> Terminal {
        Terminal::detect(std::io::stderr().is_terminal(), |name| std::env::var_os(name), Columns::Live)
    }

    /// Looks at standard output, as it is at this moment.
    pub fn stdout() -> Terminal {
        let columns = terminal_size::terminal_size_of(std::io::stdout()).map_or(0, |(width, _)| width.0);
        Terminal::detect(
            std::io::stdout().is_terminal(),
            |name| std::env::var_os(name),
            Columns::Fixed(columns),
        )
    }

    /// The same from values. A `TERM` that is `dumb` or empty cannot move its cursor; `NO_COLOR`
    /// counts when it is set and not empty (<https://no-color.org>).
    pub fn detect(is_terminal: bool, env: impl Fn(&str) -> Option<OsString>, columns: Columns) -> Terminal {
        if !is_terminal {
            return Terminal::PLAIN;
        }
        let interactive = env("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        let refused = env("NO_COLOR").is_some_and(|value| !value.is_empty());
        Terminal { interactive, colour: interactive && !refused, columns }
    }

    /// How wide it is now.
    pub fn width(&self) -> usize {
        let columns = match self.columns {
            Columns::Fixed(columns) => Some(columns),
            Columns::Live => terminal_size::terminal_size_of(std::io::stderr()).map(|(w, _)| w.0),
        };
        // A terminal that has not been told its size says 0.
        columns.filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS).into()
    }

    /// How high it is now.
    pub fn height(&self) -> usize {
        let rows = match self.columns {
            Columns::Fixed(_) => None,
            Columns::Live => terminal_size::terminal_size_of(std::io::stderr()).map(|(_, h)| h.0),
        };
        rows.filter(|rows| *rows > 0).unwrap_or(USUAL_ROWS).into()
    }

    /// How text is to be marked there.
    pub const fn style(&self) -> Style {
        Style { colour: self.colour }
    }
}

/// How text is marked: with colours, or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences may be written.
    pub colour: bool,
}

impl Style {
    /// No marks.
    pub const PLAIN: Style = Style { colour: false };

    /// For headings.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// For what went wrong.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// For what wants a look.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For what went well.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(is_terminal: bool, env: &[(&str, &str)]) -> (bool, bool) {
        let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        let found = Terminal::detect(is_terminal, find, Columns::Fixed(80));
        (found.interactive, found.colour)
    }

    #[test]
    fn the_environment_decides_about_bar_and_colour() {
        assert_eq!(detected(true, &[("TERM", "xterm")]), (true, true));
        assert_eq!(detected(false, &[("TERM", "xterm")]), (false, false), "a pipe");
        assert_eq!(detected(true, &[("TERM", "dumb")]), (false, false));
        assert_eq!(detected(true, &[("TERM", "")]), (false, false));
        assert_eq!(detected(true, &[]), (false, false));
        assert_eq!(detected(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]), (true, false));
        assert_eq!(detected(true, &[("TERM", "xterm"), ("NO_COLOR", "")]), (true, true), "set, but empty");
    }

    #[test]
    fn a_width_of_nothing_is_the_usual_width() {
        let terminal = |columns| Terminal { columns: Columns::Fixed(columns), ..Terminal::PLAIN };
        assert_eq!(terminal(0).width(), 80);
        assert_eq!(terminal(132).width(), 132);
    }

    #[test]
    fn a_plain_style_leaves_text_alone() {
        assert_eq!(Style::PLAIN.red("x"), "x");
        assert_eq!(Style { colour: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
