//! The process that works on a run: whether it is there, and asking it to end.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// A process of this machine that has a run's journal open.
pub struct Process {
    pid: Pid,
    /// When it began, in the kernel's own count: so it is not taken for a later one of its number.
    began: Option<u64>,
}

/// Why there is none.
pub enum NotFound {
    /// No process of this number has the file open.
    NotThere,
    /// It belongs to somebody else, whose open files are not shown.
    NotShown,
}

impl Process {
    /// The process of this number, if it has this file open. That it has is what tells it from one
    /// that was given the same number later.
    pub fn that_has_open(pid: u32, file: &Path) -> Result<Process, NotFound> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(NotFound::NotThere)?;
        let wanted = std::fs::metadata(file).map_err(|_| NotFound::NotThere)?;
        match has_open(pid, &wanted) {
            Ok(true) => Ok(Process { pid, began: stat(pid).map(|(_, began)| began) }),
            Ok(false) => Err(NotFound::NotThere),
            Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied => Err(NotFound::NotShown),
            Err(_) => Err(NotFound::NotThere),
        }
    }

    /// Asks it to end, as an operator's `kill` does.
    pub fn terminate(&self) -> io::Result<()> {
        kill_process(self.pid, Signal::TERM).map_err(io::Error::from)
    }

    /// Whether it has ended; one that nobody has waited for yet has.
    pub fn has_ended(&self) -> bool {
        has_ended(self.pid, self.began)
    }
}

/// Linux shows a process's open files as links.
#[cfg(target_os = "linux")]
fn has_open(pid: Pid, wanted: &Metadata) -> io::Result<bool> {
    let identity = |facts: &Metadata| (facts.dev(), facts.ino());
    for entry in std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_pid()))? {
        // It may close some of them meanwhile.
        let Ok(facts) = entry.and_then(|entry| std::fs::metadata(entry.path())) else { continue };
        if identity(&facts) == identity(wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Elsewhere the number alone has to do.
#[cfg(not(target_os = "linux"))]
fn has_open(pid: Pid, _: &Metadata) -> io::Result<bool> {
    Ok(!has_ended(pid, None))
}

/// Its state and when it began; `None` if it is gone.
#[cfg(target_os = "linux")]
fn stat(pid: Pid) -> Option<(u8, u64)> {
    const BEGAN: usize = 19;
    // `pid (name) state …`; a name may hold anything, blanks and brackets too.
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    let behind = String::from_utf8_lossy(stat.rsplit(|byte| *byte == b')').next()?).into_owned();
    let mut fields = behind.split_ascii_whitespace();
    let state = fields.next()?.bytes().next()?;
    Some((state, fields.nth(BEGAN - 1)?.parse().ok()?))
}

#[cfg(target_os = "linux")]
fn has_ended(pid: Pid, began: Option<u64>) -> bool {
    match stat(pid) {
        None => true,
        Some((state, now)) => matches!(state, b'Z' | b'X') || began.is_some_and(|began| began != now),
    }
}

#[cfg(not(target_os = "linux"))]
fn stat(_: Pid) -> Option<(u8, u64)> {
    None
}

#[cfg(not(target_os = "linux"))]
fn has_ended(pid: Pid, _: Option<u64>) -> bool {
    rustix::process::test_kill_process(pid).is_err()
}
