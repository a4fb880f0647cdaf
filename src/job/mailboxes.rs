//! The job's addresses, each once, end to end in one string.
//!
//! A million operations name up to a million mailboxes. As strings of their own these would cost 24
//! bytes and an allocation each beside their text; here they cost four. The index that finds an
//! address again hashes straight from the arena, so it holds numbers only, and it is dropped when
//! the input has been read.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::domain::{AddressFault, normalise};

/// The number of a mailbox within its job, in order of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub u32);

impl MailboxId {
    /// Stands where a row has no mailbox because it is invalid.
    pub const NONE: MailboxId = MailboxId(u32::MAX);

    /// As an index into a list with one entry per mailbox.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Every mailbox of a job, normalised, each once. The same address is two mailboxes where rows send
/// it to two places.
#[derive(Clone, Debug, Default)]
pub struct Mailboxes {
    arena: String,
    ends: Vec<u32>,
    /// The number of each mailbox's destination; empty while all have none, which is number 0.
    destinations: Vec<u32>,
}

impl Mailboxes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The address; empty for [`MailboxId::NONE`] and for a number of another job.
    pub fn get(&self, id: MailboxId) -> &str {
        let start = match id.index().checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).map_or(0, |end| *end as usize),
        };
        self.ends.get(id.index()).and_then(|end| self.arena.get(start..*end as usize)).unwrap_or("")
    }

    /// The number of its row's destination among [`Job::destinations`](super::Job::destinations);
    /// 0 if it names none.
    pub fn destination(&self, id: MailboxId) -> u32 {
        self.destinations.get(id.index()).copied().unwrap_or(0)
    }

    /// Every mailbox with its number, in order of first appearance.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (MailboxId, &str)> {
        (0..self.ends.len()).map(|index| {
            let id = MailboxId(u32::try_from(index).unwrap_or(u32::MAX));
            (id, self.get(id))
        })
    }
}

/// More addresses or operations than a job can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Mailboxes while they are being collected.
pub(super) struct Interner {
    mailboxes: Mailboxes,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    max_bytes: usize,
}

impl Interner {
    /// Holds at most so many bytes of addresses, and never more than their ends can say.
    pub(super) fn new(max_bytes: usize) -> Interner {
        Interner {
            mailboxes: Mailboxes::default(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            max_bytes: max_bytes.min(u32::MAX as usize),
        }
    }

    /// Normalises the address and gives its number, a new one if it was not there with this
    /// destination.
    pub(super) fn intern(
        &mut self,
        address: &str,
        destination: u32,
    ) -> Result<Result<MailboxId, Full>, AddressFault> {
        let Mailboxes { arena, ends, destinations } = &mut self.mailboxes;
        let start = arena.len();
        if arena.capacity() - start < ROOM_BYTES {
            arena.reserve_exact((start / GROWTH).max(ROOM_BYTES));
        }
        normalise(address, arena)?;
        let (known, new) = arena.as_bytes().split_at(start);
        let hash = self.hasher.hash_one((new, destination));
        let goes = |number: u32| destinations.get(number as usize).copied().unwrap_or(0);
        let is_it = |number: &u32| text(known, ends, *number) == new && goes(*number) == destination;
        if let Some(found) = self.index.find(hash, is_it) {
            let id = MailboxId(*found);
            arena.truncate(start);
            return Ok(Ok(id));
        }
        let (Ok(number), Ok(end)) = (u32::try_from(ends.len()), u32::try_from(arena.len())) else {
            return Ok(Err(Full));
        };
        if number == u32::MAX || arena.len() > self.max_bytes {
            return Ok(Err(Full));
        }
        if self.index.len() == self.index.capacity() {
            let hash = |number: &u32| self.hasher.hash_one((text(known, ends, *number), goes(*number)));
            self.index = grown(std::mem::take(&mut self.index), ends.len(), hash);
        }
        let hash_of = |number: &u32| self.hasher.hash_one((text(known, ends, *number), goes(*number)));
        self.index.insert_unique(hash, number, hash_of);
        if destination != 0 || !destinations.is_empty() {
            destinations.resize(ends.len(), 0);
            destinations.push(destination);
        }
        push(ends, end);
        Ok(Ok(MailboxId(number)))
    }

    pub(super) fn mailboxes(&self) -> &Mailboxes {
        &self.mailboxes
    }

    /// Makes room for what an input of so many bytes may hold.
    pub(super) fn expect(&mut self, input_bytes: u64) {
        let most = input_bytes.min(self.max_bytes as u64) + ROOM_BYTES as u64;
        // More room may be refused; then it is found as it is needed.
        let _ = self.mailboxes.arena.try_reserve_exact(usize::try_from(most).unwrap_or(ROOM_BYTES));
        expect_rows(&mut self.mailboxes.ends, input_bytes);
    }

    /// The mailboxes without the index.
    pub(super) fn finish(self) -> Mailboxes {
        self.mailboxes
    }
}

/// The address with this number.
fn text<'a>(arena: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
    ends.get(number).and_then(|end| arena.get(start..*end as usize)).unwrap_or_default()
}

/// A larger index. Left to itself the table would keep the old one beside it while it grows, and
/// hash the addresses in its own order, which is a cache miss each; here they are met one behind the
/// other.
fn grown(old: HashTable<u32>, len: usize, hash: impl Fn(&u32) -> u64) -> HashTable<u32> {
    let capacity = old.capacity() + 1;
    drop(old);
    let mut index = HashTable::with_capacity(capacity.max(1024));
    for number in (0_u32..).take(len) {
        index.insert_unique(hash(&number), number, &hash);
    }
    index
}

/// Room for any address, so that normalising does not itself make the arena grow.
const ROOM_BYTES: usize = 1024;
/// A list grows by one part in so many: doubling would leave up to half of it empty.
const GROWTH: usize = 8;
/// Hardly a row has fewer bytes.
const LEAST_ROW_BYTES: u64 = 12;

/// Makes room in a list with an entry for each row of an input of so many bytes. Room that is not
/// used is never touched and costs nothing, while growing later copies, with old and new side by
/// side.
pub(super) fn expect_rows<T>(list: &mut Vec<T>, input_bytes: u64) {
    let rows = usize::try_from(input_bytes / LEAST_ROW_BYTES).unwrap_or(0);
    let _ = list.try_reserve_exact(rows);
}

/// Adds to a long list that is to stay small.
pub(super) fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / GROWTH).max(256));
    }
    list.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_number_however_it_is_spelled() {
        let mut interner = Interner::new(usize::MAX);
        let ids: Vec<_> = ["b@example.com", "a@example.com", " B@Example.COM ", "a@bücher.example"]
            .map(|address| interner.intern(address, 0).unwrap().unwrap().0)
            .into();
        assert_eq!(ids, [0, 1, 0, 2]);
        assert_eq!(interner.intern("a b@example.com", 0), Err(AddressFault::Blank));
        let mailboxes = interner.finish();
        let all: Vec<_> = mailboxes.iter().map(|(id, address)| (id.0, address.to_owned())).collect();
        assert_eq!(
            all,
            [
                (0, "b@example.com".to_owned()),
                (1, "a@example.com".to_owned()),
                (2, "a@xn--bcher-kva.example".to_owned())
            ]
        );
    }

    #[test]
    fn an_address_that_rows_send_to_two_places_is_two_mailboxes() {
        let mut interner = Interner::new(usize::MAX);
        let ids: Vec<_> = [("a", 0), ("a", 2), ("b", 0), ("a", 2), ("a", 0), ("b", 1)]
            .map(|(name, to)| interner.intern(&format!("{name}@example.com"), to).unwrap().unwrap().0)
            .into();
        assert_eq!(ids, [0, 1, 2, 1, 0, 3]);
        let mailboxes = interner.finish();
        let goes: Vec<u32> = (0..4).map(|id| mailboxes.destination(MailboxId(id))).collect();
        assert_eq!(goes, [0, 2, 0, 1]);
        assert_eq!(mailboxes.get(MailboxId(3)), "b@example.com");
    }

    #[test]
    fn a_number_that_is_none_of_these_has_no_address() {
        let mut interner = Interner::new(usize::MAX);
        interner.intern("a@example.com", 0).unwrap().unwrap();
        let mailboxes = interner.finish();
        assert_eq!(mailboxes.get(MailboxId(0)), "a@example.com");
        for none in [MailboxId(1), MailboxId(2), MailboxId::NONE] {
            assert_eq!(mailboxes.get(none), "");
        }
    }

    #[test]
    fn addresses_are_limited_on_both_sides() {
        let mut interner = Interner::new(26);
        assert!(interner.intern("a@example.com", 0).unwrap().is_ok());
        assert!(interner.intern("b@example.com", 0).unwrap().is_ok());
        assert_eq!(interner.intern("c@example.com", 0).unwrap(), Err(Full));
        assert!(Interner::new(25).intern("b@example.com", 0).unwrap().is_ok());
    }

    #[test]
    fn many_addresses_keep_their_numbers_while_the_index_grows() {
        let mut interner = Interner::new(usize::MAX);
        let address = |number: u32| format!("user{number}@example.com");
        for number in 0..5000 {
            assert_eq!(interner.intern(&address(number), 0), Ok(Ok(MailboxId(number))));
        }
        for number in (0..5000).rev() {
            assert_eq!(interner.intern(&address(number), 0), Ok(Ok(MailboxId(number))));
        }
        assert_eq!(interner.finish().get(MailboxId(4999)), address(4999));
    }
}
