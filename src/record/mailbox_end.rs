//! Where a run has left each mailbox: which of its flags are as wanted, and which are not. A mailbox
//! whose outgoing mail is shut while its login is open is a different matter than two operations of
//! which one failed, and nobody sees it in a list of operations.

use super::entry::Stamp;
use super::line::Line;
use crate::domain::{ErrorClass, Flag, Flags, Function, Status};

/// What a run wanted of a mailbox's flags, and how far it came. Eight bytes, since there may be
/// millions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MailboxEnd {
    /// A [`Mark`] each, in one byte; 0 if nothing was wanted.
    flags: Flags<u8>,
    /// Whole seconds since 1970, which this can count until 2106.
    since_s: u32,
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
            self.since_s = self.since_s.max(u32::try_from(ended.0 / 1000).unwrap_or(0));
        }
        let target = function.target();
        self.flags[target.flag] = Mark { on: target.on, stage, class: line.class }.packed();
    }

    /// What was wanted of a flag; `None` if nothing was.
    pub fn mark(&self, flag: Flag) -> Option<Mark> {
        Mark::unpacked(self.flags[flag])
    }

    /// All that was wanted.
    pub fn marks(&self) -> impl Iterator<Item = (Flag, Mark)> {
        let flags = [Flag::Login, Flag::Incoming, Flag::Outgoing, Flag::Held];
        flags.into_iter().filter_map(|flag| Some((flag, self.mark(flag)?)))
    }

    /// When the last of what is done was done, to the second, if a call was needed for it.
    pub fn since(&self) -> Option<Stamp> {
        (self.since_s != 0).then(|| Stamp(i64::from(self.since_s) * 1000))
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

/// Stages of a mark, in the order in which they are packed.
const STAGES: [Stage; 3] = [Stage::Done, Stage::Undone, Stage::Unclear];

impl Mark {
    /// The mark in a byte that is not 0.
    fn packed(self) -> u8 {
        let stage = STAGES.iter().position(|stage| *stage == self.stage).unwrap_or_default();
        let class = self.class.map_or(0, |class| class as usize + 1);
        let packed = 1 + usize::from(self.on) + 2 * (stage + STAGES.len() * class);
        u8::try_from(packed).unwrap_or(u8::MAX)
    }

    fn unpacked(byte: u8) -> Option<Mark> {
        let packed = usize::from(byte).checked_sub(1)?;
        let (stage, class) = (packed / 2 % STAGES.len(), packed / 2 / STAGES.len());
        let class = class.checked_sub(1).and_then(|class| ErrorClass::ALL.get(class).copied());
        Some(Mark { on: packed % 2 == 1, stage: STAGES[stage], class })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_fits_into_a_byte_and_comes_out_again() {
        assert_eq!(size_of::<MailboxEnd>(), 8);
        assert_eq!(Mark::unpacked(0), None);
        let classes = ErrorClass::ALL.iter().copied().map(Some).chain([None]);
        for class in classes {
            for (on, stage) in [true, false].into_iter().flat_map(|on| STAGES.map(|stage| (on, stage))) {
                let mark = Mark { on, stage, class };
                assert_eq!(Mark::unpacked(mark.packed()), Some(mark));
            }
        }
    }
}
