//! Where one operation stands, packed.

use super::super::entry::Stamp;
use crate::domain::{ErrorClass, State, Status};
use crate::job::MailboxId;

/// Where one operation stands. There may be ten million of them, so its marks are bits of a byte.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Start of the first try.
    started: Packed,
    /// Where in the journal the last line with a reason stands, plus one; 0 if there is none.
    reason_at: Packed,
    /// From the start of the first try to the outcome.
    pub duration_ms: u32,
    pub attempts: u16,
    pub http: u16,
    pub mailbox: MailboxId,
    pub status: Option<Status>,
    pub class: Option<ErrorClass>,
    /// What was read of its mailbox before it was first begun, or settled without a call.
    pub before: State,
    pub marks: u8,
}

/// A number of six bytes: enough for a moment in milliseconds until the year 10889, and for a byte of
/// any journal that a disk can hold.
#[derive(Clone, Copy, Default)]
struct Packed([u8; 6]);

impl From<u64> for Packed {
    fn from(number: u64) -> Packed {
        let [bytes @ .., _, _] = number.min((1 << 48) - 1).to_le_bytes();
        Packed(bytes)
    }
}

impl From<Packed> for u64 {
    fn from(Packed([a, b, c, d, e, f]): Packed) -> u64 {
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// Begun in a session that has not ended in good order: it may be on its way.
pub(super) const UNDER_WAY: u8 = 1;
/// Some try of it may have had effect without an answer, or a reading, that says so.
pub(super) const OPEN: u8 = 1 << 1;
/// It was called, or may have been.
pub(super) const BEGUN: u8 = 1 << 2;
/// Another run takes it back.
pub(super) const UNDONE: u8 = 1 << 3;
/// It suspends a login.
pub(super) const SHUTS_LOGIN: u8 = 1 << 4;
/// The reading after its last call says that it holds.
pub(super) const HOLDS: u8 = 1 << 5;
/// That reading says that it does not.
pub(super) const LACKS: u8 = 1 << 6;
/// It does not tell, and neither would another one.
pub(super) const UNCLEAR: u8 = 1 << 7;

impl Slot {
    /// An operation to which nothing has happened yet.
    pub fn new(mailbox: MailboxId, marks: u8) -> Slot {
        Slot {
            started: Packed::default(),
            reason_at: Packed::default(),
            duration_ms: 0,
            attempts: 0,
            http: 0,
            mailbox,
            status: None,
            class: None,
            before: State::NEVER,
            marks,
        }
    }

    /// Start of the first try, if there was one.
    pub fn started(&self) -> Stamp {
        Stamp(u64::from(self.started).try_into().unwrap_or(0))
    }

    /// Where in the journal the last line with a reason stands.
    pub fn reason_at(&self) -> Option<u64> {
        u64::from(self.reason_at).checked_sub(1)
    }

    /// Notes where the reason stands, if there is one.
    pub fn put_reason(&mut self, at: Option<u64>) {
        self.reason_at = at.map_or(0, |at| at + 1).into();
    }

    /// Whether it has any of these marks.
    pub fn is(&self, marks: u8) -> bool {
        self.marks & marks != 0
    }

    pub fn set(&mut self, marks: u8, on: bool) {
        self.marks = if on { self.marks | marks } else { self.marks & !marks };
    }

    /// What the reading after its last call says of it.
    pub fn verified(&self) -> Option<bool> {
        self.is(HOLDS | LACKS).then_some(self.is(HOLDS))
    }

    /// Keeps what was read of its mailbox, unless a call of it may have changed that already.
    pub fn keep_before(&mut self, readings: &[State]) {
        if !self.is(BEGUN) {
            self.before = readings.get(self.mailbox.index()).copied().unwrap_or_default();
        }
    }

    pub fn begin(&mut self) {
        self.set(UNDER_WAY | BEGUN, true);
        self.set(HOLDS | LACKS | UNCLEAR, false);
        self.status = None;
        self.class = None;
        self.set(UNDONE, false);
    }

    pub fn end(&mut self, status: Status, class: Option<ErrorClass>) {
        self.status = Some(status);
        self.class = class;
        self.reason_at = Packed::default();
        let is_open = match status {
            Status::Unknown => true,
            // It was left, or a later try failed: what an earlier one did nobody has said.
            Status::Failed | Status::NotAttempted | Status::Blocked => self.is(OPEN),
            _ => false,
        };
        self.set(OPEN, is_open);
        self.set(UNDER_WAY, false);
    }

    /// Its session has ended in good order: what was begun and never tried was not sent.
    pub fn leave(&mut self) {
        self.set(UNDER_WAY, false);
        let was_sent = self.attempts > 0 || self.is(OPEN) || self.status.is_some();
        self.set(BEGUN, self.is(BEGUN) && was_sent);
    }

    pub fn note_attempt(&mut self, at: Stamp, ms: u32) {
        if self.attempts == 0 {
            self.started = u64::try_from(at.0).unwrap_or(0).into();
        }
        self.attempts = self.attempts.saturating_add(1);
        self.duration_ms = at.since(self.started()).saturating_add(ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_places_keep_their_value_in_six_bytes() {
        let mut slot = Slot::new(MailboxId(7), 0);
        assert_eq!((slot.started(), slot.reason_at()), (Stamp(0), None));
        // The end of the year 9999, and a journal of 200 TB.
        slot.note_attempt(Stamp(253_402_300_799_999), 5);
        slot.put_reason(Some(200 << 40));
        assert_eq!((slot.started(), slot.reason_at()), (Stamp(253_402_300_799_999), Some(200 << 40)));
        slot.put_reason(Some(0));
        assert_eq!(slot.reason_at(), Some(0));
        slot.put_reason(None);
        assert_eq!(slot.reason_at(), None);
    }
}
