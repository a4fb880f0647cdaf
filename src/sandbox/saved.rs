//! How a world and a change to it are written down.
//!
//! A world is an object with its accounts, their domains and those domains' mailboxes. A mailbox
//! says only what is not as in a new one, so that a million of them stay a readable file. A change
//! is the mailbox's whole new state, not the step that led there: to apply one twice does no harm.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::world::{MailboxState, World, WorldError};
use crate::domain::Flags;

#[derive(Serialize, Deserialize)]
struct SavedWorld<'a> {
    /// Who may log in to WHM.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    whm: Vec<SavedUser<'a>>,
    #[serde(borrow)]
    accounts: Vec<SavedAccount<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SavedUser<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    password: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct SavedAccount<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    password: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    owner: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    suspended: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    token_expires: Option<u64>,
    #[serde(borrow)]
    domains: Vec<SavedDomain<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SavedDomain<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    mailboxes: Vec<SavedMailbox<'a>>,
}

/// A mailbox in the snapshot, with `name` its local part, or in a change, with its whole address.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedMailbox<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_default")]
    login: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    incoming: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    outgoing: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    held: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    held_messages: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    sent_messages: u32,
}

impl<'a> SavedMailbox<'a> {
    pub(super) fn new(name: &'a str, state: MailboxState) -> SavedMailbox<'a> {
        let Flags { login, incoming, outgoing, held } = state.flags;
        let MailboxState { held_messages, sent_messages, .. } = state;
        SavedMailbox {
            name: Cow::Borrowed(name),
            login,
            incoming,
            outgoing,
            held,
            held_messages,
            sent_messages,
        }
    }

    pub(super) fn state(&self) -> MailboxState {
        let &SavedMailbox { login, incoming, outgoing, held, held_messages, sent_messages, .. } = self;
        MailboxState { flags: Flags { login, incoming, outgoing, held }, held_messages, sent_messages }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Serialize for World {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let domain = |&id: &u32| {
            let domain = &self.domains[id as usize];
            let mailboxes =
                World::slots_of(domain).map(|slot| SavedMailbox::new(self.name(slot), self.state(slot)));
            SavedDomain { name: Cow::Borrowed(&domain.name), mailboxes: mailboxes.collect() }
        };
        let account = |account: &'_ super::world::Account| SavedAccount {
            user: account.user.clone().into(),
            token: account.token.clone().into(),
            password: account.password.clone().into(),
            owner: account.owner.clone().map(Cow::Owned),
            suspended: account.suspended,
            token_expires: account.token_expires,
            domains: account.domains.iter().map(domain).collect(),
        };
        let user = |user: &'_ super::world::WhmUser| SavedUser {
            user: user.user.clone().into(),
            token: user.token.clone().into(),
            password: user.password.clone().into(),
        };
        let whm = self.whm_users.iter().map(user).collect();
        SavedWorld { whm, accounts: self.accounts.iter().map(account).collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for World {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<World, D::Error> {
        build(&SavedWorld::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn build(saved: &SavedWorld<'_>) -> Result<World, WorldError> {
    let mut world = World::new();
    let mut address = String::new();
    for user in &saved.whm {
        world.add_whm_user(&user.user, &user.token, &user.password)?;
    }
    for account in &saved.accounts {
        world.add_account(&account.user, &account.token, &account.password)?;
        if let Some(owner) = &account.owner {
            world.set_owner(&account.user, owner);
        }
        world.set_suspended(&account.user, account.suspended);
        world.set_token_expiry(&account.user, account.token_expires);
        for domain in &account.domains {
            world.add_domain(&account.user, &domain.name)?;
            for mailbox in &domain.mailboxes {
                address.clear();
                address.extend([&*mailbox.name, "@", &*domain.name]);
                world.add_mailbox(&account.user, &address)?;
                world.set_mailbox(&address, mailbox.state());
            }
        }
    }
    Ok(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_comes_back_as_it_was() {
        for seed in 0..5 {
            let world = World::seeded(seed);
            let text = serde_json::to_string(&world).unwrap();
            assert!(!text.contains('\n'));
            assert_eq!(serde_json::from_str::<World>(&text).unwrap(), world);
        }
    }

    #[test]
    fn what_whm_knows_comes_back_too() {
        let mut world = World::seeded(1);
        world.add_whm_user("root", "ROOT", "pw").unwrap();
        world.set_owner("orchard", "shop");
        world.set_suspended("lantern", true);
        world.set_token_expiry("quarry", Some(1));
        let text = serde_json::to_string(&world).unwrap();
        let back: World = serde_json::from_str(&text).unwrap();
        assert_eq!(back, world);
        for change in [
            |w: &mut World| w.set_owner("orchard", "other"),
            |w: &mut World| w.set_suspended("lantern", false),
            |w: &mut World| w.set_token_expiry("quarry", None),
            |w: &mut World| w.set_whm_token("root", "NEW"),
        ] {
            let mut other = back.clone();
            assert!(change(&mut other) && other != world);
        }
    }

    #[test]
    fn a_mailbox_says_only_what_is_not_as_in_a_new_one() {
        let mut world = World::for_mailboxes("u", "t", ["a@example.com", "b@example.com"]);
        let held = Flags { held: true, ..Flags::default() };
        world.set_mailbox("b@example.com", MailboxState { flags: held, held_messages: 3, sent_messages: 0 });
        assert_eq!(
            serde_json::to_string(&world).unwrap(),
            r#"{"accounts":[{"user":"u","token":"t","password":"t","domains":[{"name":"example.com","mailboxes":[{"name":"a"},{"name":"b","held":true,"held_messages":3}]}]}]}"#
        );
    }

    #[test]
    fn a_world_that_contradicts_itself_is_refused() {
        let twice = r#"{"accounts":[{"user":"u","token":"t","password":"p","domains":[{"name":"x.org","mailboxes":[]}]},
            {"user":"v","token":"t","password":"p","domains":[{"name":"x.org","mailboxes":[]}]}]}"#;
        let error = serde_json::from_str::<World>(twice).unwrap_err().to_string();
        assert!(error.contains("“x.org” belongs to another account"), "{error}");
    }
}
