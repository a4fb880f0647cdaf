//! What the imitated server knows: accounts, their domains, their mailboxes.
//!
//! A sweep of a million mailboxes must not cost the machine it is rehearsed on, so a mailbox is a
//! slot of twenty bytes whose name stands in one long string, found through a hash table of slot
//! numbers. Mailboxes are listed per domain, because a list of one domain must not walk over all
//! the others. An address that was removed leaves its slot behind; nobody removes many.
//!
//! A server knows each domain once, so an address belongs to one account or to none.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::domain::Flags;

/// Everything the sandbox would lose if it were switched off without a store.
///
/// Addresses are compared without regard to ASCII case. Serialises as readable JSON.
#[derive(Clone, Default)]
pub struct World {
    pub(super) accounts: Vec<Account>,
    pub(super) domains: Vec<Domain>,
    pub(super) whm_users: Vec<WhmUser>,
    slots: Vec<Slot>,
    names: String,
    by_user: HashMap<Box<str>, u32>,
    by_domain: HashMap<Box<str>, u32>,
    by_address: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// What a mailbox is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxState {
    /// The four switches.
    pub flags: Flags<bool>,
    /// Messages that wait in the queue while outgoing mail is held.
    pub held_messages: u32,
    /// Messages that a release has sent. It only ever grows: a second release of a queue that had
    /// filled again shows here.
    pub sent_messages: u32,
}

/// Why something cannot be put into a [`World`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// No account has this user name.
    #[error("no account is named “{0}”")]
    NoSuchAccount(String),
    /// An account has this user name already.
    #[error("an account named “{0}” exists already")]
    AccountExists(String),
    /// Another account has the domain.
    #[error("the domain “{0}” belongs to another account")]
    ForeignDomain(String),
    /// Not of the form `name@domain`, or longer than an address can be.
    #[error("“{0}” is not an address")]
    NotAnAddress(String),
    /// More than four thousand million bytes of names, or as many mailboxes.
    #[error("the sandbox is full")]
    Full,
}

#[derive(Clone)]
pub(super) struct Account {
    pub user: String,
    pub token: String,
    pub password: String,
    /// The first is the main one.
    pub domains: Vec<u32>,
    /// The reseller that it belongs to; root if there is none.
    pub owner: Option<String>,
    pub suspended: bool,
    /// When its token ends, in seconds since 1970.
    pub token_expires: Option<u64>,
}

/// Somebody who may log in to WHM.
#[derive(Clone, PartialEq)]
pub(super) struct WhmUser {
    pub user: String,
    pub token: String,
    pub password: String,
}

#[derive(Clone)]
pub(super) struct Domain {
    pub name: Box<str>,
    pub account: u32,
    pub slots: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Slot {
    name_start: u32,
    domain: u32,
    held_messages: u32,
    sent_messages: u32,
    name_len: u16,
    flags: u8,
}

/// A mailbox's place in a [`World`]; good until that world is changed by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId(u32);

/// An account's place in a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountId(pub u32);

const MAX_ADDRESS: usize = 1024;

impl World {
    /// A world without accounts.
    pub fn new() -> World {
        World::default()
    }

    /// One account that has all the domains of these addresses, with the addresses as its mailboxes,
    /// all active; its password is its token. What is no address is left out; what comes twice is there
    /// once.
    pub fn for_mailboxes<'a>(user: &str, token: &str, addresses: impl IntoIterator<Item = &'a str>) -> World {
        let mut world = World::new();
        if world.add_account(user, token, token).is_ok() {
            for address in addresses {
                // Full, or no address: the documented way is to go on without it.
                let _ = world.add_mailbox(user, address);
            }
        }
        world
    }

    /// Adds an account without domains.
    ///
    /// # Errors
    /// The user name is taken.
    pub fn add_account(&mut self, user: &str, token: &str, password: &str) -> Result<(), WorldError> {
        if self.by_user.contains_key(user) {
            return Err(WorldError::AccountExists(user.to_owned()));
        }
        let id = number(self.accounts.len())?;
        self.by_user.insert(user.into(), id);
        self.accounts.push(Account {
            user: user.to_owned(),
            token: token.to_owned(),
            password: password.to_owned(),
            domains: Vec::new(),
            owner: None,
            suspended: false,
            token_expires: None,
        });
        Ok(())
    }

    /// Gives an account a domain, if it has it not already.
    ///
    /// # Errors
    /// No such account, or the domain is another account's.
    pub fn add_domain(&mut self, user: &str, domain: &str) -> Result<(), WorldError> {
        let account = self.account(user).ok_or_else(|| WorldError::NoSuchAccount(user.to_owned()))?;
        self.domain_of(account, domain).map(drop)
    }

    /// Adds an active mailbox, and its domain if the account has it not already. Adding one that
    /// exists changes nothing.
    ///
    /// # Errors
    /// No such account, no address, or the domain is another account's.
    pub fn add_mailbox(&mut self, user: &str, address: &str) -> Result<(), WorldError> {
        let account = self.account(user).ok_or_else(|| WorldError::NoSuchAccount(user.to_owned()))?;
        let folded = fold(address).ok_or_else(|| WorldError::NotAnAddress(address.to_owned()))?;
        let Some((name, domain)) = split(&folded) else {
            return Err(WorldError::NotAnAddress(address.to_owned()));
        };
        let domain = self.domain_of(account, domain)?;
        if self.slot(domain, name).is_some() {
            return Ok(());
        }
        let slot = Slot {
            name_start: number(self.names.len())?,
            domain,
            held_messages: 0,
            sent_messages: 0,
            name_len: u16::try_from(name.len()).map_err(|_| WorldError::Full)?,
            flags: 0,
        };
        number(self.names.len() + name.len())?;
        let id = number(self.slots.len())?;
        let hash = self.hasher.hash_one((domain, name));
        self.names.push_str(name);
        self.slots.push(slot);
        let World { slots, names, by_address, domains, hasher, .. } = self;
        by_address.insert_unique(hash, id, |&other| {
            let slot = slots[other as usize];
            hasher.hash_one((slot.domain, slot.name(names)))
        });
        domains[domain as usize].slots.push(id);
        Ok(())
    }

    /// Takes a mailbox away; whether there was one.
    pub fn remove_mailbox(&mut self, address: &str) -> bool {
        let Some(SlotId(id)) = self.find(address) else { return false };
        let slot = self.slots[id as usize];
        let hash = self.hasher.hash_one((slot.domain, slot.name(&self.names)));
        if let Ok(entry) = self.by_address.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        self.domains[slot.domain as usize].slots.retain(|&other| other != id);
        true
    }

    /// What a mailbox is at the moment; `None` if there is no such mailbox.
    pub fn mailbox(&self, address: &str) -> Option<MailboxState> {
        self.find(address).map(|id| self.state(id))
    }

    /// Makes a mailbox what you say, as somebody else might have done in the panel; whether there is
    /// such a mailbox.
    pub fn set_mailbox(&mut self, address: &str, state: MailboxState) -> bool {
        let Some(id) = self.find(address) else { return false };
        self.set_state(id, state);
        true
    }

    /// The user name of the account that has the mailbox.
    pub fn owner(&self, address: &str) -> Option<&str> {
        self.find(address).map(|id| self.accounts[self.account_of(id).0 as usize].user.as_str())
    }

    /// How many mailboxes there are.
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whether there is no mailbox at all.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// Each account's user name, token and password.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.accounts.iter().map(|a| (a.user.as_str(), a.token.as_str(), a.password.as_str()))
    }

    /// Each mailbox's address, its account's user name and its state, by account and domain.
    pub fn mailboxes(&self) -> impl Iterator<Item = (String, &str, MailboxState)> {
        self.accounts.iter().flat_map(move |account| {
            account.domains.iter().map(|&domain| &self.domains[domain as usize]).flat_map(move |domain| {
                domain.slots.iter().map(move |&id| {
                    let name = self.slots[id as usize].name(&self.names);
                    (format!("{name}@{}", domain.name), account.user.as_str(), self.state(SlotId(id)))
                })
            })
        })
    }

    /// Gives an account another token; whether there is such an account.
    pub fn set_token(&mut self, user: &str, token: &str) -> bool {
        let Some(AccountId(id)) = self.account(user) else { return false };
        token.clone_into(&mut self.accounts[id as usize].token);
        true
    }

    /// Each domain and the user name of its account, by account, the main one first.
    pub fn domains(&self) -> impl Iterator<Item = (&str, &str)> {
        self.accounts.iter().flat_map(move |account| {
            let name = |&id: &u32| &*self.domains[id as usize].name;
            account.domains.iter().map(move |id| (name(id), account.user.as_str()))
        })
    }

    pub(super) fn account(&self, user: &str) -> Option<AccountId> {
        self.by_user.get(user).copied().map(AccountId)
    }

    pub(super) fn domain_named(&self, name: &str) -> Option<&Domain> {
        self.by_domain.get(name).map(|&id| &self.domains[id as usize])
    }

    pub(super) fn find(&self, address: &str) -> Option<SlotId> {
        let folded = fold(address)?;
        let (name, domain) = split(&folded)?;
        self.slot(*self.by_domain.get(domain)?, name)
    }

    pub(super) fn account_of(&self, SlotId(id): SlotId) -> AccountId {
        AccountId(self.domains[self.slots[id as usize].domain as usize].account)
    }

    pub(super) fn name(&self, SlotId(id): SlotId) -> &str {
        self.slots[id as usize].name(&self.names)
    }

    pub(super) fn state(&self, SlotId(id): SlotId) -> MailboxState {
        let slot = self.slots[id as usize];
        MailboxState {
            flags: unpack(slot.flags),
            held_messages: slot.held_messages,
            sent_messages: slot.sent_messages,
        }
    }

    pub(super) fn set_state(&mut self, SlotId(id): SlotId, state: MailboxState) {
        let slot = &mut self.slots[id as usize];
        slot.flags = pack(state.flags);
        slot.held_messages = state.held_messages;
        slot.sent_messages = state.sent_messages;
    }

    pub(super) fn slots_of(domain: &Domain) -> impl Iterator<Item = SlotId> {
        domain.slots.iter().map(|&id| SlotId(id))
    }

    fn slot(&self, domain: u32, name: &str) -> Option<SlotId> {
        let hash = self.hasher.hash_one((domain, name));
        self.by_address
            .find(hash, |&id| {
                let slot = self.slots[id as usize];
                slot.domain == domain && slot.name(&self.names) == name
            })
            .map(|&id| SlotId(id))
    }

    fn domain_of(&mut self, AccountId(account): AccountId, name: &str) -> Result<u32, WorldError> {
        let name = name.to_ascii_lowercase();
        if let Some(&id) = self.by_domain.get(name.as_str()) {
            return if self.domains[id as usize].account == account {
                Ok(id)
            } else {
                Err(WorldError::ForeignDomain(name))
            };
        }
        let id = number(self.domains.len())?;
        self.by_domain.insert(name.as_str().into(), id);
        self.domains.push(Domain { name: name.into(), account, slots: Vec::new() });
        self.accounts[account as usize].domains.push(id);
        Ok(id)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({} accounts, {} mailboxes)", self.accounts.len(), self.len())
    }
}

impl PartialEq for World {
    /// Whether the same accounts have the same mailboxes in the same state and order, under the same
    /// users of WHM.
    fn eq(&self, other: &World) -> bool {
        let more = |a: &Account| (a.owner.clone(), a.suspended, a.token_expires);
        self.whm_users == other.whm_users
            && self.accounts().eq(other.accounts())
            && self.accounts.iter().map(more).eq(other.accounts.iter().map(more))
            && self.mailboxes().eq(other.mailboxes())
    }
}

impl Slot {
    fn name(self, names: &str) -> &str {
        let start = self.name_start as usize;
        &names[start..start + usize::from(self.name_len)]
    }
}

fn number(value: usize) -> Result<u32, WorldError> {
    u32::try_from(value).map_err(|_| WorldError::Full)
}

/// The address in lower case; `None` if it is too long to be one.
fn fold(address: &str) -> Option<String> {
    (address.len() <= MAX_ADDRESS).then(|| address.to_ascii_lowercase())
}

fn split(address: &str) -> Option<(&str, &str)> {
    address.rsplit_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty())
}

fn pack(flags: Flags<bool>) -> u8 {
    u8::from(flags.login)
        | u8::from(flags.incoming) << 1
        | u8::from(flags.outgoing) << 2
        | u8::from(flags.held) << 3
}

fn unpack(bits: u8) -> Flags<bool> {
    Flags { login: bits & 1 != 0, incoming: bits & 2 != 0, outgoing: bits & 4 != 0, held: bits & 8 != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_any_case_and_only_if_it_is_there() {
        let world = World::for_mailboxes("u", "t", ["Anna@Example.com", "b@example.com", "anna@example.com"]);
        assert_eq!(world.len(), 2);
        assert!(world.mailbox("ANNA@example.COM").is_some());
        for absent in ["anna@example.net", "an@example.com", "anna", "@example.com", "anna@", ""] {
            assert_eq!(world.mailbox(absent), None, "{absent}");
        }
        assert_eq!(world.mailbox(&"a".repeat(5000)), None);
    }

    #[test]
    fn a_domain_belongs_to_one_account() {
        let mut world = World::for_mailboxes("u", "t", ["a@example.com"]);
        world.add_account("v", "t2", "p").unwrap();
        assert_eq!(
            world.add_mailbox("v", "b@EXAMPLE.com"),
            Err(WorldError::ForeignDomain("example.com".into()))
        );
        assert_eq!(world.add_mailbox("w", "b@x.org"), Err(WorldError::NoSuchAccount("w".into())));
        assert_eq!(world.add_account("u", "", ""), Err(WorldError::AccountExists("u".into())));
        world.add_mailbox("v", "b@example.net").unwrap();
        assert_eq!((world.owner("a@example.com"), world.owner("b@example.net")), (Some("u"), Some("v")));
    }

    #[test]
    fn all_sixteen_states_survive_packing() {
        let mut world = World::for_mailboxes("u", "t", ["a@example.com"]);
        for bits in 0..16 {
            let state = MailboxState { flags: unpack(bits), held_messages: 7, sent_messages: 9 };
            assert!(world.set_mailbox("a@example.com", state));
            assert_eq!(world.mailbox("a@example.com"), Some(state));
        }
        assert!(!world.set_mailbox("b@example.com", MailboxState::default()));
    }

    #[test]
    fn a_removed_mailbox_is_gone_and_may_come_back() {
        let mut world = World::for_mailboxes("u", "t", ["a@example.com", "b@example.com"]);
        assert!(world.remove_mailbox("a@example.com"));
        assert!(!world.remove_mailbox("a@example.com"));
        assert_eq!(world.mailboxes().map(|(address, ..)| address).collect::<Vec<_>>(), ["b@example.com"]);
        world.add_mailbox("u", "a@example.com").unwrap();
        assert_eq!(world.len(), 2);
    }

    #[test]
    fn a_mailbox_stays_small() {
        assert_eq!(size_of::<Slot>(), 20);
    }
}
