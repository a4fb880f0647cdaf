//! Who may come in: credentials, and the lock that too many bad ones put on an address.
//!
//! After as many bad logins as the lock allows, within its time, nothing from that address is let
//! in for that time: right credentials are answered like wrong ones. A request without any
//! credential is refused, but is no login.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::world::{AccountId, World};

/// When bad logins shut an address out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// The bad login that shuts the door.
    pub after: u32,
    /// Within what time they count, and how long the door stays shut.
    pub lasts: Duration,
}

impl Default for Lockout {
    /// Five bad logins, a quarter of an hour.
    fn default() -> Lockout {
        Lockout { after: 5, lasts: Duration::from_secs(15 * 60) }
    }
}

/// What a request's `Authorization` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// `cpanel USER:TOKEN`
    Token { user: String, token: String },
    /// `Basic`, with user and password
    Password { user: String, password: String },
    /// Something else.
    Other,
}

impl Credential {
    pub fn read(header: &str) -> Credential {
        let Some((scheme, rest)) = header.trim().split_once(' ') else { return Credential::Other };
        let rest = rest.trim_start();
        if scheme.eq_ignore_ascii_case("cpanel") {
            if let Some((user, token)) = rest.split_once(':') {
                return Credential::Token { user: user.to_owned(), token: token.to_owned() };
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            let text = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((user, password)) = text.as_deref().and_then(|t| t.split_once(':')) {
                return Credential::Password { user: user.to_owned(), password: password.to_owned() };
            }
        }
        Credential::Other
    }

    /// The user name it claims.
    pub fn user(&self) -> Option<&str> {
        match self {
            Credential::Token { user, .. } | Credential::Password { user, .. } => Some(user),
            Credential::Other => None,
        }
    }

    fn opens(&self, world: &World) -> Option<AccountId> {
        let id = world.account(self.user()?)?;
        let account = &world.accounts[id.0 as usize];
        let (given, right) = match self {
            Credential::Token { token, .. } => (token, &account.token),
            Credential::Password { password, .. } => (password, &account.password),
            Credential::Other => return None,
        };
        (!right.is_empty() && given == right).then_some(id)
    }
}

/// The door, with its memory of bad logins.
pub(super) struct Gate {
    lockout: Option<Lockout>,
    bad_logins: HashMap<IpAddr, VecDeque<Instant>>,
    shut_until: HashMap<IpAddr, Instant>,
}

impl Gate {
    pub fn new(lockout: Option<Lockout>) -> Gate {
        Gate { lockout, bad_logins: HashMap::new(), shut_until: HashMap::new() }
    }

    /// The account that this credential opens; `None` if the request is refused.
    pub fn admit(
        &mut self,
        world: &World,
        peer: IpAddr,
        credential: Option<&Credential>,
        now: Instant,
    ) -> Option<AccountId> {
        if let Some(&until) = self.shut_until.get(&peer) {
            if now < until {
                return None;
            }
            self.shut_until.remove(&peer);
        }
        let credential = credential?;
        let account = credential.opens(world);
        if account.is_none() {
            self.count(peer, now);
        }
        account
    }

    /// Forgets all bad logins.
    pub fn forgive(&mut self) {
        self.bad_logins.clear();
        self.shut_until.clear();
    }

    fn count(&mut self, peer: IpAddr, now: Instant) {
        let Some(lockout) = self.lockout else { return };
        let times = self.bad_logins.entry(peer).or_default();
        times.retain(|&time| now.duration_since(time) < lockout.lasts);
        times.push_back(now);
        if times.len() >= lockout.after as usize {
            self.bad_logins.remove(&peer);
            // A time beyond what the clock can say is never.
            if let Some(until) = now.checked_add(lockout.lasts) {
                self.shut_until.insert(peer, until);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn world() -> World {
        let mut world = World::new();
        world.add_account("anna", "TOKEN", "p:w").unwrap();
        world.add_account("blank", "", "").unwrap();
        world
    }

    fn token(user: &str, token: &str) -> Credential {
        Credential::Token { user: user.into(), token: token.into() }
    }

    #[test]
    fn headers_are_read_in_any_case_and_nonsense_is_no_credential() {
        assert_eq!(Credential::read("cPanel anna:TO:KEN"), token("anna", "TO:KEN"));
        let basic = format!("basic {}", STANDARD.encode("anna:p:w"));
        assert_eq!(
            Credential::read(&basic),
            Credential::Password { user: "anna".into(), password: "p:w".into() }
        );
        for other in ["", "cpanel", "cpanel anna", "Basic %%%", "Basic gICA", "whm root:T", "Bearer x"] {
            assert_eq!(Credential::read(other), Credential::Other, "{other}");
        }
    }

    #[test]
    fn only_the_accounts_own_secret_of_the_right_kind_opens() {
        let (mut gate, world, now) = (Gate::new(None), world(), Instant::now());
        let mut admits = |c: Credential| gate.admit(&world, PEER, Some(&c), now).is_some();
        assert!(admits(token("anna", "TOKEN")));
        assert!(admits(Credential::Password { user: "anna".into(), password: "p:w".into() }));
        assert!(!admits(token("anna", "p:w")));
        assert!(!admits(token("Anna", "TOKEN")));
        assert!(!admits(token("blank", "")));
        assert!(!admits(Credential::Other));
    }

    #[test]
    fn the_fifth_bad_login_shuts_the_door_for_good_ones_too_until_its_time_is_over() {
        let lockout = Lockout::default();
        let (mut gate, world, start) = (Gate::new(Some(lockout)), world(), Instant::now());
        let (good, bad) = (token("anna", "TOKEN"), token("anna", "WRONG"));
        for _ in 0..4 {
            assert_eq!(gate.admit(&world, PEER, Some(&bad), start), None);
        }
        for _ in 0..20 {
            assert_eq!(gate.admit(&world, PEER, None, start), None);
        }
        assert!(gate.admit(&world, PEER, Some(&good), start).is_some());
        assert_eq!(gate.admit(&world, PEER, Some(&bad), start), None);
        assert_eq!(gate.admit(&world, PEER, Some(&good), start), None);
        let other: IpAddr = "127.0.0.2".parse().unwrap();
        assert!(gate.admit(&world, other, Some(&good), start).is_some());
        let nearly = start + lockout.lasts - Duration::from_millis(1);
        assert_eq!(gate.admit(&world, PEER, Some(&good), nearly), None);
        assert!(gate.admit(&world, PEER, Some(&good), start + lockout.lasts).is_some());
    }

    #[test]
    fn bad_logins_are_forgotten_with_time_or_by_hand() {
        let lockout = Lockout { after: 2, lasts: Duration::from_secs(10) };
        let (mut gate, world, start) = (Gate::new(Some(lockout)), world(), Instant::now());
        let (good, bad) = (token("anna", "TOKEN"), token("nobody", "WRONG"));
        gate.admit(&world, PEER, Some(&bad), start);
        gate.admit(&world, PEER, Some(&bad), start + lockout.lasts);
        assert!(gate.admit(&world, PEER, Some(&good), start + lockout.lasts).is_some());
        gate.admit(&world, PEER, Some(&bad), start + lockout.lasts);
        assert_eq!(gate.admit(&world, PEER, Some(&good), start + lockout.lasts), None);
        gate.forgive();
        assert!(gate.admit(&world, PEER, Some(&good), start + lockout.lasts).is_some());
    }
}
