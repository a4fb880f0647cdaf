//! The way out: a writer that cannot fail, and the few cursor movements that a bar needs on top of
//! it.
//!
//! A closed pipe (EPIPE), a terminal that has gone (EIO), a full disk: the error is dropped and the
//! run goes on unseen. A descriptor that somebody else has made non-blocking is asked again for a
//! while. Nothing here panics, so indicatif, which passes errors on and in places unwraps them,
//! never sees one.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::TermLike;

use super::terminal::Terminal;

/// The one writer, shared by the lines and the bar. Both live in the drawing thread, so its lock is
/// never waited for.
#[derive(Clone)]
pub(super) struct Sink(Arc<Mutex<Box<dyn Write + Send>>>);

/// How long a non-blocking writer that takes nothing is asked again, for each text.
const PATIENCE: Duration = Duration::from_secs(2);

impl Sink {
    pub(super) fn new(writer: Box<dyn Write + Send>) -> Sink {
        Sink(Arc::new(Mutex::new(writer)))
    }

    /// Writes it all, or as much as can be.
    pub(super) fn write(&self, mut bytes: &[u8]) {
        let mut writer = locked(&self.0);
        let begun = Instant::now();
        while !bytes.is_empty() {
            match writer.write(bytes) {
                Ok(0) => break,
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(_) => break,
            }
        }
        let _ = writer.flush();
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// What a panic left behind a lock is still good enough to be drawn.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal as the bar sees it. What it writes is gathered and goes out in one piece, so that
/// a line does not flicker between being cleared and being drawn again.
#[derive(Debug)]
pub(super) struct Screen {
    sink: Sink,
    terminal: Terminal,
    gathered: Mutex<Gathered>,
    below: Below,
}

/// The lines that stand below the bar. indicatif could draw them too, but it counts on each of its
/// lines filling the terminal's whole width, which ours leave free in part.
pub(super) type Below = Arc<Mutex<Vec<String>>>;

#[derive(Debug, Default)]
struct Gathered {
    text: String,
    /// Whether the bar is drawn and not only cleared.
    has_bar: bool,
    /// How many lines stand below the bar, at the end of which the cursor is: so whatever is left
    /// behind by a process that is killed, the next prompt stands below it.
    drawn_below: usize,
}

/// Columns left free at the right, so that the `^C` which a terminal echoes stays on the bar's line
/// and is cleared with it.
const FREE_COLUMNS: usize = 3;

impl Screen {
    pub(super) fn new(sink: Sink, terminal: Terminal, below: Below) -> Screen {
        Screen { sink, terminal, gathered: Mutex::default(), below }
    }

    fn push(&self, text: &str) -> io::Result<()> {
        let mut gathered = locked(&self.gathered);
        // Back to the bar, whatever is done there next, and away with what stands below it.
        if let drawn @ 1.. = std::mem::take(&mut gathered.drawn_below) {
            gathered.text.push_str(&format!("\u{1b}[{drawn}A\r\u{1b}[J"));
        }
        gathered.text.push_str(text);
        Ok(())
    }

    fn moved(&self, n: usize, direction: char) -> io::Result<()> {
        if n > 0 { self.push(&format!("\u{1b}[{n}{direction}")) } else { Ok(()) }
    }
}

/// The columns that a bar may use; never none, by which indicatif would divide its lines.
pub(super) fn bar_columns(terminal: &Terminal) -> usize {
    terminal.width().saturating_sub(FREE_COLUMNS).max(1)
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        bar_columns(&self.terminal).try_into().unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.push(text)?;
        self.push("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        locked(&self.gathered).has_bar |= !text.is_empty();
        self.push(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut gathered = locked(&self.gathered);
        if std::mem::take(&mut gathered.has_bar) {
            let below = locked(&self.below);
            for line in below.iter() {
                gathered.text.push_str("\n\u{1b}[2K");
                gathered.text.push_str(line);
            }
            gathered.drawn_below = below.len();
        }
        let text = std::mem::take(&mut gathered.text);
        self.sink.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a byte at a time, and is busy every other time.
    struct Grudging {
        busy: bool,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Grudging {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.busy = !self.busy;
            if self.busy {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            locked(&self.taken).push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_busy_descriptor_gets_every_byte_in_the_end() {
        let taken = Arc::new(Mutex::new(Vec::new()));
        Sink::new(Box::new(Grudging { busy: false, taken: Arc::clone(&taken) })).write(b"a line\n");
        assert_eq!(*locked(&taken), b"a line\n");
    }

    #[test]
    fn a_broken_writer_is_nobodys_trouble() {
        Sink::new(Box::new(crate::view::testing::Broken)).write(b"a line\n");
    }
}
