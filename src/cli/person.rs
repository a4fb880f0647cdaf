//! Who is at work, why, and where.

use anyhow::{Result, bail};

use super::args::WhoArgs;
use crate::domain::{clean, clip};
use crate::fleet::Config;
use crate::record;

/// Who works on a run, and why: a session's own.
#[derive(Clone, Debug)]
pub struct Who {
    /// The name that was given, or found.
    pub operator: String,
    /// The Unix user that the process belongs to.
    pub unix_user: String,
    /// Why, if that was said.
    pub ticket: Option<String>,
}

impl WhoArgs {
    /// Who it is: what `--operator` or its variable says, else the configuration, else who called
    /// sudo, else the login name, else the Unix user.
    pub fn who(&self, configured: Option<&str>) -> Who {
        let unix_user = unix_user();
        let given = self.operator.as_deref().and_then(said).or_else(|| configured.and_then(said));
        let variable = |name: &str| std::env::var(name).ok().as_deref().and_then(said);
        let operator = given
            .or_else(|| ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(variable))
            .unwrap_or_else(|| unix_user.clone());
        Who { operator, unix_user, ticket: self.ticket.as_deref().and_then(said) }
    }

    /// The same for a new run, of which some configurations want it said why it is.
    pub fn who_and_why(&self, config: &Config) -> Result<Who> {
        let mut who = self.who(config.operator.as_deref());
        who.ticket = who.ticket.or_else(|| config.ticket.as_deref().and_then(said));
        if config.require_ticket && who.ticket.is_none() {
            bail!("the configuration requires a ticket: say why with --ticket TEXT");
        }
        Ok(who)
    }
}

impl Who {
    /// The same for a command that has no flag for it.
    pub fn found(configured: Option<&str>) -> Who {
        let operator = std::env::var("MAILSWEEP_OPERATOR").ok();
        WhoArgs { operator, ticket: None }.who(configured)
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&record::who(&self.operator, &self.unix_user))
    }
}

/// What was typed, on one line and of a length that fits a table; blanks are nothing.
pub fn said(text: &str) -> Option<String> {
    const LONGEST: usize = 200;
    Some(clip(&clean(text), LONGEST)).filter(|text| !text.is_empty())
}

/// The Unix user that the process acts as, by name where the machine's own list has it. A list
/// elsewhere, such as a directory service, is not asked: it could be down when it matters.
fn unix_user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &list).unwrap_or_else(|| format!("uid {uid}"))
}

/// The name that a list in the form of `/etc/passwd` gives to a number.
fn name_of(uid: u32, list: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| said(name)).flatten()
    })
}

/// The machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_is_found_by_its_number_and_not_by_its_groups() {
        let list = "root:x:0:0:root:/root:/bin/sh\n# no line\nbroken\nanna:x:1000:0::/home/anna:/bin/sh\n";
        assert_eq!(name_of(1000, list).as_deref(), Some("anna"));
        assert_eq!(name_of(0, list).as_deref(), Some("root"));
        assert_eq!(name_of(7, list), None);
    }

    #[test]
    fn blanks_are_nothing_and_what_was_typed_cannot_move_a_cursor() {
        assert_eq!(said(" \t"), None);
        assert_eq!(said(" INC-4711\u{1b}[2J\n").as_deref(), Some("INC-4711 [2J"));
    }
}
