//! Who may use what is made here beside its owner: nobody, or the members of one group.

use nix::unistd::{Gid, Group, Uid, User};

/// The group whose members share their runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    name: String,
    gid: u32,
}

/// Why a group cannot be a team.
#[derive(Debug, thiserror::Error)]
pub enum TeamError {
    /// There is none of that name.
    #[error(
        "run_group: there is no group “{0}” on this machine: correct the name, or have it made (groupadd)"
    )]
    Unknown(String),
    /// This user is not in it.
    #[error(
        "run_group: you are not in the group “{0}” in this session: have yourself added to it \
         (usermod -aG {0} NAME) and sign in anew"
    )]
    NotIn(String),
    /// The system does not say.
    #[error("run_group: the group “{name}” cannot be looked up: {why}")]
    Unread {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
}

impl Team {
    /// The group of this name, or of this number where no group has it for a name.
    ///
    /// # Errors
    /// If there is none, or this process is not in it.
    pub fn find(name: &str) -> Result<Team, TeamError> {
        let unread =
            |why: nix::errno::Errno| TeamError::Unread { name: name.to_owned(), why: why.to_string() };
        let gid = match Group::from_name(name).map_err(unread)? {
            Some(group) => group.gid.as_raw(),
            None => name.parse().map_err(|_| TeamError::Unknown(name.to_owned()))?,
        };
        let team = Team { name: name.to_owned(), gid };
        if rustix::process::geteuid().is_root() || team.has_this_process() {
            Ok(team)
        } else {
            Err(TeamError::NotIn(name.to_owned()))
        }
    }

    fn has_this_process(&self) -> bool {
        let ours = rustix::process::getegid().as_raw();
        let others = rustix::process::getgroups().unwrap_or_default();
        ours == self.gid || others.iter().any(|gid| gid.as_raw() == self.gid)
    }

    /// The group's number.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What this process is to the system's eyes.
pub(super) fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A user's name, or number where they have none.
pub(super) fn user(uid: u32) -> String {
    let found = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    found.map_or_else(|| format!("the user {uid}"), |user| user.name)
}

/// A group's name, or number where it has none.
pub(super) fn group(gid: u32) -> String {
    let found = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    found.map_or_else(|| gid.to_string(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_or_number_and_one_that_is_not_there_is_told() {
        let gid = rustix::process::getegid().as_raw();
        assert_eq!(Team::find(&gid.to_string()).unwrap().gid(), gid);
        let name = group(gid);
        assert_eq!(Team::find(&name).unwrap(), Team { name, gid });
        let told = Team::find("no-such-group-here").unwrap_err().to_string();
        assert!(told.contains("no group “no-such-group-here”"), "{told}");
        if !rustix::process::geteuid().is_root() {
            assert!(Team::find("4294967290").unwrap_err().to_string().contains("not in the group"));
        }
    }
}
