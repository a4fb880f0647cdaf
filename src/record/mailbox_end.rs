//! Where a run has left each mailbox: which of its flags are as wanted, and which are not. A mailbox
//! whose outgoing mail is shut while its login is open is a different matter than two operations of
//! which one failed, and nobody sees it in a list of operations.

use super::entry::Stamp;
use super::line::Line;
use crate::domain::{ErrorClass, Flag, Flags, Function, Status};

/// What a run wanted of a mailbox's flags, and how far it came. Small, since there may be millions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MailboxEnd {
    flags: Flags<Option<Mark>>,
    since: Stamp,
}

/// One flag that the run was to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whether it was to be switched on: suspended, held.
    pub on: bool,
    /// Whether it is so.
    pub stage: Stage,
    /// Why not.
    pub class: Option<ErrorClass>,
}

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is as wanted.
    Done,
    /// It is not, or was not even tried.
    Undone,
    /// A call was made, and what came of it is not known.
    Unclear,
}

/// How much of what was wanted of a mailbox is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Some of it, and the rest not, or perhaps not.
    Partly,
    /// Nothing, and perhaps something.
    Unclear,
    /// Nothing.
    Nothing,
}

impl MailboxEnd {
    /// Takes in the next operation of the mailbox, in file order: the last word on a flag counts.
    pub(super) fn note(&mut self, function: Function, line: &Line<'_>) {
        let stage = match line.status {
            Status::Ok | Status::Unchanged => Stage::Done,
            Status::Unknown => Stage::Unclear,
            // Another operation speaks for it.
            Status::Duplicate | Status::Superseded | Status::Invalid => return,
            Status::NotAttempted if line.class == Some(ErrorClass::Excluded) => return,
            Status::Failed | Status::Blocked | Status::NotAttempted | Status::Planned => Stage::Undone,
        };
        if stage == Stage::Done
            && let Some(ended) = line.ended()
        {
            self.since = self.since.max(ended);
        }
        let target = function.target();
        self.flags[target.flag] = Some(Mark { on: target.on, stage, class: line.class });
    }

    /// What was wanted of a flag; `None` if nothing was.
    pub fn mark(&self, flag: Flag) -> Option<Mark> {
        self.flags[flag]
    }

    /// All that was wanted.
    pub fn marks(&self) -> impl Iterator<Item = (Flag, Mark)> {
        let flags = [Flag::Login, Flag::Incoming, Flag::Outgoing, Flag::Held];
        flags.into_iter().filter_map(|flag| Some((flag, self.flags[flag]?)))
    }

    /// When the last of what is done was done, if a call was needed for it.
    pub fn since(&self) -> Option<Stamp> {
        (self.since != Stamp::default()).then_some(self.since)
    }

    /// Whether something of it was to be shut.
    pub fn is_to_contain(&self) -> bool {
        self.marks().any(|(_, mark)| mark.on)
    }

    /// How much is done; `None` if nothing was wanted.
    pub fn extent(&self) -> Option<Extent> {
        let count = |stage| self.marks().filter(|(_, mark)| mark.stage == stage).count();
        match (count(Stage::Done), count(Stage::Undone), count(Stage::Unclear)) {
            (0, 0, 0) => None,
            (_, 0, 0) => Some(Extent::Whole),
            (0, _, 0) => Some(Extent::Nothing),
            (0, _, _) => Some(Extent::Unclear),
            (_, _, _) => Some(Extent::Partly),
        }
    }
}
