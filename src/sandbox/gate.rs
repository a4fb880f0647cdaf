//! Who may come in: credentials, and the lock that too many bad ones put on an address.
//!
//! After as many bad logins as the lock allows, within its time, nothing from that address is let
//! in for that time: right credentials are answered like wrong ones. A request without any
//! credential is refused, but is no login.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::owners::WhmId;
use super::world::{AccountId, World};

/// The two sides of a server: each has its functions and its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Cpanel,
    Whm,
}

/// Whom a credential lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Account(AccountId),
    Whm(WhmId),
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A bad login, none at all, or a shut door.
    Login,
    /// A good one, for the other side.
    Side,
}

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
    /// `whm USER:TOKEN`
    Whm { user: String, token: String },
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
        } else if scheme.eq_ignore_ascii_case("whm") {
            if let Some((user, token)) = rest.split_once(':') {
                return Credential::Whm { user: user.to_owned(), token: token.to_owned() };
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
            Credential::Token { user, .. }
            | Credential::Whm { user, .. }
            | Credential::Password { user, .. } => Some(user),
            Credential::Other => None,
        }
    }

    /// The account that it opens.
    fn account(&self, world: &World) -> Option<AccountId> {
        let id = world.account(self.user()?)?;
        let account = &world.accounts[id.0 as usize];
        let opens = match self {
            Credential::Token { token, .. } => {
                is_secret(token, &account.token) && !account.token_expires.is_some_and(is_past)
            }
            Credential::Password { password, .. } => is_secret(password, &account.password),
            Credential::Whm { .. } | Credential::Other => false,
        };
        opens.then_some(id)
    }

    /// The user of WHM whom it lets in.
    fn whm(&self, world: &World) -> Option<WhmId> {
        let id = world.whm_user(self.user()?)?;
        let user = world.whm(id);
        let opens = match self {
            Credential::Whm { token, .. } => is_secret(token, &user.token),
            Credential::Password { password, .. } => is_secret(password, &user.password),
            Credential::Token { .. } | Credential::Other => false,
        };
        opens.then_some(id)
    }
}

/// Whether it is the right one; an empty one is nobody's.
fn is_secret(given: &str, right: &str) -> bool {
    !right.is_empty() && given == right
}

fn is_past(seconds: u64) -> bool {
    SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs() >= seconds)
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

    /// Whom this credential lets in to a side.
    ///
    /// # Errors
    /// The request is refused.
    pub fn admit(
        &mut self,
        world: &World,
        peer: IpAddr,
        credential: Option<&Credential>,
        side: Side,
        now: Instant,
    ) -> Result<Entry, Refusal> {
        if let Some(&until) = self.shut_until.get(&peer) {
            if now < until {
                return Err(Refusal::Login);
            }
            self.shut_until.remove(&peer);
        }
        let credential = credential.ok_or(Refusal::Login)?;
        match (side, credential.account(world), credential.whm(world)) {
            (Side::Whm, _, Some(user)) => Ok(Entry::Whm(user)),
            // What a server says to the owner of a suspended account is not known. A guess: the login
            // fails, and is no bad one.
            (Side::Cpanel, Some(id), _) if world.accounts[id.0 as usize].suspended => Err(Refusal::Login),
            (Side::Cpanel, Some(id), _) => Ok(Entry::Account(id)),
            (_, None, None) => {
                self.count(peer, now);
                Err(Refusal::Login)
            }
            _ => Err(Refusal::Side),
        }
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

    const NO: Result<Entry, Refusal> = Err(Refusal::Login);
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
        assert_eq!(
            Credential::read("WHM root:T"),
            Credential::Whm { user: "root".into(), token: "T".into() }
        );
        let basic = format!("basic {}", STANDARD.encode("anna:p:w"));
        assert_eq!(
            Credential::read(&basic),
            Credential::Password { user: "anna".into(), password: "p:w".into() }
        );
        for other in ["", "cpanel", "cpanel anna", "Basic %%%", "Basic gICA", "whm root", "Bearer x"] {
            assert_eq!(Credential::read(other), Credential::Other, "{other}");
        }
    }

    #[test]
    fn only_the_accounts_own_secret_of_the_right_kind_opens() {
        let (mut gate, world, now) = (Gate::new(None), world(), Instant::now());
        let mut admits = |c: Credential| gate.admit(&world, PEER, Some(&c), Side::Cpanel, now).is_ok();
        assert!(admits(token("anna", "TOKEN")));
        assert!(admits(Credential::Password { user: "anna".into(), password: "p:w".into() }));
        assert!(!admits(token("anna", "p:w")));
        assert!(!admits(token("Anna", "TOKEN")));
        assert!(!admits(token("blank", "")));
        assert!(!admits(Credential::Other));
        assert!(!admits(Credential::Whm { user: "anna".into(), token: "TOKEN".into() }));
    }

    fn whm(user: &str, token: &str) -> Credential {
        Credential::Whm { user: user.into(), token: token.into() }
    }

    #[test]
    fn the_other_sides_credential_is_refused_and_is_no_bad_login() {
        let lockout = Lockout { after: 1, ..Lockout::default() };
        let (mut gate, mut world, now) = (Gate::new(Some(lockout)), world(), Instant::now());
        world.add_whm_user("root", "ROOT", "pw").unwrap();
        let mut admit = |c: &Credential, side| gate.admit(&world, PEER, Some(c), side, now);
        let password = |user: &str, password: &str| Credential::Password {
            user: user.into(),
            password: password.into(),
        };
        for (own, other) in [
            (&token("anna", "TOKEN"), &whm("root", "ROOT")),
            (&password("anna", "p:w"), &password("root", "pw")),
        ] {
            assert_eq!(admit(own, Side::Whm), Err(Refusal::Side));
            assert_eq!(admit(other, Side::Cpanel), Err(Refusal::Side));
            assert!(matches!(admit(own, Side::Cpanel), Ok(Entry::Account(_))));
            assert!(matches!(admit(other, Side::Whm), Ok(Entry::Whm(_))));
        }
        assert_eq!(admit(&whm("root", "TOKEN"), Side::Whm), NO);
        assert_eq!(admit(&whm("root", "ROOT"), Side::Whm), NO);
    }

    #[test]
    fn bad_logins_of_both_sides_count_together_and_lock_both() {
        let (mut gate, mut world, now) = (Gate::new(Some(Lockout::default())), world(), Instant::now());
        world.add_whm_user("root", "ROOT", "pw").unwrap();
        let (account, root) = (token("anna", "TOKEN"), whm("root", "ROOT"));
        for (bad, side) in [
            (token("anna", "X"), Side::Cpanel),
            (whm("root", "X"), Side::Whm),
            (token("root", "ROOT"), Side::Whm),
            (whm("nobody", "ROOT"), Side::Whm),
        ] {
            assert_eq!(gate.admit(&world, PEER, Some(&bad), side, now), NO);
        }
        assert!(gate.admit(&world, PEER, Some(&root), Side::Whm, now).is_ok());
        assert_eq!(gate.admit(&world, PEER, Some(&whm("root", "X")), Side::Whm, now), NO);
        assert_eq!(gate.admit(&world, PEER, Some(&root), Side::Whm, now), NO);
        assert_eq!(gate.admit(&world, PEER, Some(&account), Side::Cpanel, now), NO);
    }

    #[test]
    fn an_expired_token_and_a_suspended_account_are_refused() {
        let (mut gate, mut world, now) = (Gate::new(None), world(), Instant::now());
        let good = token("anna", "TOKEN");
        let mut admit = |world: &World| gate.admit(world, PEER, Some(&good), Side::Cpanel, now);
        world.set_token_expiry("anna", Some(u64::MAX));
        assert!(admit(&world).is_ok());
        world.set_token_expiry("anna", Some(1));
        assert_eq!(admit(&world), NO);
        world.set_token_expiry("anna", None);
        world.set_suspended("anna", true);
        assert_eq!(admit(&world), NO);
    }

    #[test]
    fn the_fifth_bad_login_shuts_the_door_for_good_ones_too_until_its_time_is_over() {
        let lockout = Lockout::default();
        let (mut gate, world, start) = (Gate::new(Some(lockout)), world(), Instant::now());
        let (good, bad) = (token("anna", "TOKEN"), token("anna", "WRONG"));
        for _ in 0..4 {
            assert_eq!(gate.admit(&world, PEER, Some(&bad), Side::Cpanel, start), NO);
        }
        for _ in 0..20 {
            assert_eq!(gate.admit(&world, PEER, None, Side::Cpanel, start), NO);
        }
        assert!(gate.admit(&world, PEER, Some(&good), Side::Cpanel, start).is_ok());
        assert_eq!(gate.admit(&world, PEER, Some(&bad), Side::Cpanel, start), NO);
        assert_eq!(gate.admit(&world, PEER, Some(&good), Side::Cpanel, start), NO);
        let other: IpAddr = "127.0.0.2".parse().unwrap();
        assert!(gate.admit(&world, other, Some(&good), Side::Cpanel, start).is_ok());
        let nearly = start + lockout.lasts - Duration::from_millis(1);
        assert_eq!(gate.admit(&world, PEER, Some(&good), Side::Cpanel, nearly), NO);
        assert!(gate.admit(&world, PEER, Some(&good), Side::Cpanel, start + lockout.lasts).is_ok());
    }

    #[test]
    fn bad_logins_are_forgotten_with_time_or_by_hand() {
        let lockout = Lockout { after: 2, lasts: Duration::from_secs(10) };
        let (mut gate, world, start) = (Gate::new(Some(lockout)), world(), Instant::now());
        let (good, bad) = (token("anna", "TOKEN"), token("nobody", "WRONG"));
        gate.admit(&world, PEER, Some(&bad), Side::Cpanel, start).unwrap_err();
        gate.admit(&world, PEER, Some(&bad), Side::Cpanel, start + lockout.lasts).unwrap_err();
        assert!(gate.admit(&world, PEER, Some(&good), Side::Cpanel, start + lockout.lasts).is_ok());
        gate.admit(&world, PEER, Some(&bad), Side::Cpanel, start + lockout.lasts).unwrap_err();
        assert_eq!(gate.admit(&world, PEER, Some(&good), Side::Cpanel, start + lockout.lasts), NO);
        gate.forgive();
        assert!(gate.admit(&world, PEER, Some(&good), Side::Cpanel, start + lockout.lasts).is_ok());
    }
}
