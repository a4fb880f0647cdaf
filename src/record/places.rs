//! Where each mailbox belongs: its server and account, once that is settled.

use hashbrown::HashMap;

use crate::job::MailboxId;

/// One account of one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The server's name.
    pub server: String,
    /// The account; empty where only the server is known.
    pub account: String,
}

/// The place of every mailbox that has one. A place is a number of four bytes, since there may be
/// millions of mailboxes.
#[derive(Clone, Debug, Default)]
pub struct Places {
    list: Vec<Place>,
    /// By server, then account.
    numbers: HashMap<String, HashMap<String, u32>>,
    of: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Places {
    /// No place for any of so many mailboxes.
    pub fn new(mailboxes: usize) -> Places {
        Places { of: vec![NOWHERE; mailboxes], ..Places::default() }
    }

    /// How many mailboxes have a place or might have one.
    pub fn mailboxes(&self) -> usize {
        self.of.len()
    }

    /// The number of a place, a new one if it has none yet.
    pub fn number(&mut self, server: &str, account: &str) -> u32 {
        if let Some(number) = self.numbers.get(server).and_then(|accounts| accounts.get(account)) {
            return *number;
        }
        // There are fewer places than mailboxes, and these are counted in four bytes.
        let number = u32::try_from(self.list.len()).unwrap_or(NOWHERE - 1);
        self.list.push(Place { server: server.to_owned(), account: account.to_owned() });
        self.numbers.entry(server.to_owned()).or_default().insert(account.to_owned(), number);
        number
    }

    /// Puts a mailbox into a place. A mailbox that does not exist is ignored.
    pub fn put(&mut self, mailbox: MailboxId, number: u32) {
        if let Some(of) = self.of.get_mut(mailbox.index()) {
            *of = number;
        }
    }

    /// Takes a mailbox out of its place.
    pub fn forget(&mut self, mailbox: MailboxId) {
        self.put(mailbox, NOWHERE);
    }

    /// The number of a mailbox's place.
    pub fn number_of(&self, mailbox: MailboxId) -> Option<u32> {
        self.of.get(mailbox.index()).copied().filter(|number| *number != NOWHERE)
    }

    /// The place of a mailbox.
    pub fn of(&self, mailbox: MailboxId) -> Option<&Place> {
        self.list.get(self.number_of(mailbox)? as usize)
    }

    /// All places, by their numbers.
    pub fn list(&self) -> &[Place] {
        &self.list
    }

    /// Who is where: each place that mailboxes have, with the first and last mailbox of each row of
    /// them. Only the mailboxes that `wanted` names.
    pub fn ranges(&self, wanted: impl Fn(MailboxId) -> bool) -> Vec<(&Place, Vec<(u32, u32)>)> {
        let mut ranges: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.list.len()];
        for (mailbox, number) in (0u32..).zip(&self.of) {
            if *number == NOWHERE || !wanted(MailboxId(mailbox)) {
                continue;
            }
            let ranges = &mut ranges[*number as usize];
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == mailbox => *last = mailbox,
                _ => ranges.push((mailbox, mailbox)),
            }
        }
        self.list.iter().zip(ranges).filter(|(_, ranges)| !ranges.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_in_ranges_and_only_for_those_asked_for() {
        let mut places = Places::new(6);
        let (a, b) = (places.number("web01", "alfa"), places.number("web02", "beta"));
        assert_eq!(places.number("web01", "alfa"), a);
        for (mailbox, number) in [(0, a), (1, a), (2, b), (3, a), (5, a)] {
            places.put(MailboxId(mailbox), number);
        }
        places.put(MailboxId(6), a);
        places.put(MailboxId(4), a);
        places.forget(MailboxId(4));
        let told: Vec<_> =
            places.ranges(|id| id.0 != 0).into_iter().map(|(p, r)| (p.server.as_str(), r)).collect();
        assert_eq!(told, [("web01", vec![(1, 1), (3, 3), (5, 5)]), ("web02", vec![(2, 2)])]);
        assert_eq!(places.of(MailboxId(4)), None);
        assert_eq!(places.of(MailboxId(6)), None);
        assert_eq!(places.of(MailboxId(3)).map(|place| place.account.as_str()), Some("alfa"));
    }
}
