//! What a later look at a run has found.

use std::path::PathBuf;

use super::terminal::Style;
use super::words::{count, counted, shown, wrap};
use crate::domain::quote;

/// What `verify` has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyView {
    /// The run.
    pub run: String,
    /// When it was looked.
    pub at: String,
    /// Operations that hold.
    pub holds: u64,
    /// Operations that do not any more.
    pub lacks: u64,
    /// Operations of which that could not be read.
    pub unread: u64,
    /// Operations that were taken back, and are passed over.
    pub undone: u64,
    /// The runs that operations were given to, to be taken back, as a command names them.
    pub undone_by: Vec<String>,
    /// Operations that the run has not done yet, so that nothing can be said of them.
    pub not_done: u64,
    /// The first that do not hold, or could not be read.
    pub lines: Vec<String>,
    /// Where all of them stand.
    pub path: Option<PathBuf>,
}

impl VerifyView {
    /// The same for programs.
    pub fn json(&self, exit_code: u8) -> serde_json::Value {
        serde_json::json!({
            "run": self.run, "exit_code": exit_code, "operations": self.holds + self.lacks + self.unread,
            "at": self.at, "hold": self.holds, "no_longer": self.lacks, "unknown": self.unread,
            "undone": self.undone, "undone_by": self.undone_by, "not_done": self.not_done, "file": self.path,
        })
    }

    fn sentence(&self) -> String {
        let all = self.holds + self.lacks + self.unread;
        let mut parts = vec![format!("{} hold", count(self.holds))];
        if self.lacks > 0 {
            parts.push(format!("{} no longer", count(self.lacks)));
        }
        if self.unread > 0 {
            parts.push(format!("{} could not be read", count(self.unread)));
        }
        let undone = match self.undone {
            0 => String::new(),
            n => format!("; {} taken back and passed over", count(n)),
        };
        let not_done = match self.not_done {
            0 => String::new(),
            n => format!("; {} not done yet", count(n)),
        };
        let all = counted(all, "operation", "operations");
        format!("{all} looked at: {}{undone}{not_done}", parts.join(", "))
    }
}

/// All of it, ending with a line break.
pub fn verified(view: &VerifyView, style: Style, width: usize) -> String {
    let sentence = view.sentence();
    let is_well = view.lacks + view.unread == 0;
    let mut out = format!("{}\n", if is_well { style.green(&sentence) } else { style.bold(&sentence) });
    for line in &view.lines {
        out.push_str(&style.yellow(&wrap(&format!("  {}", shown(line, 400)), 4, width)));
        out.push('\n');
    }
    let more = (view.lacks + view.unread).saturating_sub(view.lines.len() as u64);
    if more > 0 {
        out.push_str(&format!("  and {} more\n", count(more)));
    }
    for by in &view.undone_by {
        let by = quote(by.as_ref());
        out.push_str(&wrap(
            &format!("Given to the undo {by}; does that hold? mailsweep verify {by}"),
            2,
            width,
        ));
        out.push('\n');
    }
    if let Some(path) = &view.path {
        out.push_str(&format!("In detail: {}\n", quote(path.as_os_str())));
    }
    out
}

/// It in a line, ending with a line break: for a mail from cron.
pub fn verified_in_a_line(view: &VerifyView) -> String {
    let path = view.path.as_ref().map(|path| format!(": {}", quote(path.as_os_str()))).unwrap_or_default();
    format!("{}: {}{path}\n", shown(&view.run, 200), view.sentence())
}
