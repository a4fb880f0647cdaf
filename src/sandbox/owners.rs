//! Who has what on an imitated server: the users of WHM and the accounts that they see.
//!
//! `root` sees every account, any other user of WHM the accounts that are his: a reseller.

use super::world::{Account, AccountId, WhmUser, World, WorldError};

/// The user of WHM who sees all.
const ROOT: &str = "root";

/// The place of a user of WHM in a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WhmId(usize);

impl World {
    /// Lets somebody in to WHM: `root`, or a reseller.
    ///
    /// # Errors
    /// The name is taken there. An account may have it all the same.
    pub fn add_whm_user(&mut self, user: &str, token: &str, password: &str) -> Result<(), WorldError> {
        if self.whm_user(user).is_some() {
            return Err(WorldError::AccountExists(user.to_owned()));
        }
        let (user, token, password) = (user.to_owned(), token.to_owned(), password.to_owned());
        self.whm_users.push(WhmUser { user, token, password });
        Ok(())
    }

    /// Each user of WHM: name, token and password.
    pub fn whm_users(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.whm_users.iter().map(|u| (u.user.as_str(), u.token.as_str(), u.password.as_str()))
    }

    /// Gives a user of WHM another token; whether there is such a user.
    pub fn set_whm_token(&mut self, user: &str, token: &str) -> bool {
        let found = self.whm_users.iter_mut().find(|u| u.user == user);
        found.map(|u| token.clone_into(&mut u.token)).is_some()
    }

    /// Gives an account to a reseller; whether there is such an account.
    pub fn set_owner(&mut self, user: &str, owner: &str) -> bool {
        self.on_account(user, |account| account.owner = Some(owner.to_owned()))
    }

    /// Suspends a whole account or lets it go on; whether there is such an account.
    pub fn set_suspended(&mut self, user: &str, suspended: bool) -> bool {
        self.on_account(user, |account| account.suspended = suspended)
    }

    /// Says when an account's token ends, in seconds since 1970; whether there is such an account.
    /// From then on it is refused, and still listed.
    pub fn set_token_expiry(&mut self, user: &str, expires: Option<u64>) -> bool {
        self.on_account(user, |account| account.token_expires = expires)
    }

    pub(super) fn whm_user(&self, name: &str) -> Option<WhmId> {
        self.whm_users.iter().position(|user| user.user == name).map(WhmId)
    }

    pub(super) fn whm(&self, WhmId(id): WhmId) -> &WhmUser {
        &self.whm_users[id]
    }

    pub(super) fn sees(&self, user: WhmId, AccountId(account): AccountId) -> bool {
        let name = &self.whm(user).user;
        name == ROOT || self.accounts[account as usize].owner() == name
    }

    fn on_account(&mut self, user: &str, change: impl FnOnce(&mut Account)) -> bool {
        let Some(AccountId(id)) = self.account(user) else { return false };
        change(&mut self.accounts[id as usize]);
        true
    }
}

impl Account {
    pub fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or(ROOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_sees_all_and_a_reseller_his_own() {
        let mut world = World::new();
        for user in ["one", "two"] {
            world.add_account(user, "T", "p").unwrap();
        }
        world.add_whm_user("root", "R", "p").unwrap();
        world.add_whm_user("shop", "S", "p").unwrap();
        assert!(world.set_owner("two", "shop") && !world.set_owner("three", "shop"));
        let sees = |whm, account| world.sees(world.whm_user(whm).unwrap(), world.account(account).unwrap());
        assert_eq!([sees("root", "one"), sees("root", "two")], [true, true]);
        assert_eq!([sees("shop", "one"), sees("shop", "two")], [false, true]);
        assert_eq!(world.add_whm_user("root", "", ""), Err(WorldError::AccountExists("root".into())));
    }
}
