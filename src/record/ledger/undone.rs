//! What other runs take back of this one.

use super::super::entry::rows_have;
use super::super::summary::UndoneFigures;
use super::slot::UNDONE;
use super::{Ledger, each};

/// A run that takes back part of another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// Its name.
    pub by: String,
    /// Its directory.
    pub dir: String,
    /// What it takes back: first and last of each row of operations.
    pub(in super::super) ops: Vec<(u32, u32)>,
}

impl Ledger {
    /// Whether another run takes it back, and it was not begun again since.
    pub fn is_undone(&self, op: u32) -> bool {
        self.slots.get(op as usize).is_some_and(|slot| slot.is(UNDONE))
    }

    /// The runs that take back part of this one, in their order.
    pub fn undos(&self) -> &[Undo] {
        &self.undos
    }

    /// The run that takes an operation back, if one does.
    pub fn undone_by(&self, op: u32) -> Option<&Undo> {
        if !self.is_undone(op) {
            return None;
        }
        self.undos.iter().rev().find(|undo| rows_have(&undo.ops, op))
    }

    /// The same in figures, without those of which nothing is taken back any more.
    pub fn undone(&self) -> Vec<UndoneFigures> {
        self.undone_with(&[])
    }

    /// The same when these have been noted as well.
    pub(in super::super) fn undone_with(&self, notes: &[Undo]) -> Vec<UndoneFigures> {
        let all = || self.undos.iter().chain(notes);
        let mut list: Vec<UndoneFigures> = Vec::new();
        for undo in all() {
            if list.iter().all(|figures| figures.by != undo.by) {
                list.push(UndoneFigures { by: undo.by.clone(), operations: 0 });
            }
        }
        if list.is_empty() {
            return list;
        }
        // The last one counts: what it takes back is not the earlier ones' any more.
        let mut is_counted = vec![false; self.slots.len()];
        let noted = std::iter::repeat_n(false, self.undos.len()).chain(std::iter::repeat(true));
        let undos: Vec<(&Undo, bool)> = all().zip(noted).collect();
        for (undo, is_noted) in undos.into_iter().rev() {
            let mut operations = 0;
            for op in each(&undo.ops).map(|op| op as usize).take_while(|op| *op < self.slots.len()) {
                if !is_counted[op] && (is_noted || self.slots[op].is(UNDONE)) {
                    is_counted[op] = true;
                    operations += 1;
                }
            }
            if let Some(figures) = list.iter_mut().find(|figures| figures.by == undo.by) {
                figures.operations += operations;
            }
        }
        list.retain(|figures| figures.operations > 0);
        list
    }
}

/// The rows of two lists, as rows that ascend.
pub(super) fn together(mut rows: Vec<(u32, u32)>, more: &[(u32, u32)]) -> Vec<(u32, u32)> {
    rows.extend(more);
    rows.sort_unstable();
    rows.dedup_by(|next, row| {
        let touches = next.0 <= row.1.saturating_add(1);
        if touches {
            row.1 = row.1.max(next.1);
        }
        touches
    });
    rows
}
