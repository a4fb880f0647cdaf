//! What a check's answers mean: the facts of each server, whether all is well, and what to do if not.

use std::collections::HashSet;

use crate::domain::{ErrorClass, Exit};
use crate::engine::{Listed, Told};
use crate::fleet::{CredentialSource, Login, Server};
use crate::record::Stamp;
use crate::uapi::{Api, Token};
use crate::view::{Checkup, End, Health, LoginCheckup, ServerCheckup, Tls, TokenEnd, TokenLine, Trust};

/// How far a login came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It cannot be used as it is configured; why.
    Unready(String),
    /// Its credential must not be sent; why.
    Barred(String),
    /// It was left alone because of another one.
    Spared,
    /// It was asked, as the server's login of this place.
    Asked(usize),
}

/// By what it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// The time of the check.
    pub now: Stamp,
    /// What ends within so many days is worth a warning.
    pub warn_days: u32,
}

/// The exit code of a check with these servers.
pub fn exit(servers: &[ServerCheckup]) -> Exit {
    if servers.iter().all(|server| !server.health.is_sound()) {
        Exit::Halted
    } else if servers.iter().any(|server| server.health != Health::Ok) {
        Exit::Incomplete
    } else {
        Exit::Ok
    }
}

impl Judge {
    /// Everything that was found.
    pub fn checkup(&self, servers: Vec<ServerCheckup>) -> Checkup {
        let exit_code = exit(&servers).code();
        Checkup { checked_at: self.now, warn_days: self.warn_days, exit_code, servers }
    }

    /// What was found of one server. There is a standing for each login; `told` is what came of asking.
    pub fn server(&self, server: &Server, standings: &[Standing], told: Option<&Told>) -> ServerCheckup {
        let logins = server.logins.iter().zip(standings);
        let logins: Vec<LoginCheckup> =
            logins.map(|(login, standing)| self.login(login, standing, told)).collect();
        let mut found = ServerCheckup {
            name: server.name.clone(),
            url: server.url.clone(),
            health: logins.iter().map(|login| login.health).max().unwrap_or(Health::Ok),
            tls: self.tls(server, told),
            round_trip_ms: None,
            requests: 0,
            error_class: None,
            error: None,
            advice: None,
            logins,
        };
        if found.tls.ends_soon {
            found.health = found.health.max(Health::EndsSoon);
            found.advice = Some("renew the certificate there".to_owned());
        }
        let Some(told) = told else { return found };
        found.round_trip_ms = told.round_trip.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        found.requests = told.requests;
        // A refusal is its login's.
        if let Some((class, error)) = &told.known.halted
            && *class != ErrorClass::Auth
        {
            found.health = found.health.max(health(*class));
            found.error_class = Some(*class);
            found.error = Some(words(*class, error));
            found.advice = advice(*class).map(str::to_owned);
        }
        found
    }

    fn tls(&self, server: &Server, told: Option<&Told>) -> Tls {
        let trust = match &server.pin_sha256 {
            _ if server.url.starts_with("http://") => Trust::None,
            Some(_) => Trust::Pin,
            None => Trust::Certificate,
        };
        let shown = told.and_then(|told| told.certificate.as_ref());
        let end = shown.map(|shown| End::new(shown.not_after, self.now));
        let ends_soon = trust == Trust::Certificate && end.is_some_and(|end| self.is_soon(end));
        Tls { trust, issuer: shown.map(|shown| shown.issuer.clone()), end, ends_soon }
    }

    fn login(&self, login: &Login, standing: &Standing, told: Option<&Told>) -> LoginCheckup {
        let is_password =
            matches!(login.credential, CredentialSource::PasswordFile(_) | CredentialSource::PasswordEnv(_));
        let mut found = LoginCheckup {
            name: login.name.clone(),
            user: login.user.clone(),
            api: match login.api {
                Api::Whm => "whm",
                Api::Cpanel => "cpanel",
            },
            health: Health::NotAsked,
            credential: if is_password { "password" } else { "token" },
            accepted: None,
            token_end: TokenEnd::Unknown,
            tokens: Vec::new(),
            accounts: None,
            domains: None,
            error_class: None,
            error: None,
            advice: None,
        };
        match standing {
            Standing::Unready(why) => {
                found.health = Health::Setup;
                found.error = Some(why.clone());
            }
            Standing::Barred(why) => {
                found.health = Health::Barred;
                found.error_class = Some(ErrorClass::Auth);
                found.error = Some(why.clone());
            }
            Standing::Spared => found.error = Some(SPARED.to_owned()),
            Standing::Asked(door) => {
                if let Some(told) = told {
                    self.hear(&mut found, login, *door, told);
                }
            }
        }
        found
    }

    /// Takes in what a login was told.
    fn hear(&self, found: &mut LoginCheckup, login: &Login, door: usize, told: &Told) {
        let is_proven = told.known.proven.contains(&door);
        match told.lists.get(door) {
            Some(Listed::Domains(list)) => {
                let accounts: HashSet<&str> = list.iter().map(|(_, account)| account.as_str()).collect();
                let domains: HashSet<&str> = list.iter().map(|(domain, _)| domain.as_str()).collect();
                found.health = Health::Ok;
                found.accounts = Some(accounts.len() as u64);
                found.domains = Some(domains.len() as u64);
            }
            Some(Listed::Silent { class, error }) if is_proven => {
                found.health = Health::Look;
                found.error_class = Some(*class);
                found.error = Some(format!("it does not list its domains: {error}"));
                found.advice = Some(format!("give {} the right to list them", login.user));
            }
            Some(Listed::Silent { error, .. }) if told.refused == Some(door) => {
                found.health = Health::Refused;
                found.accepted = Some(false);
                found.error_class = Some(ErrorClass::Auth);
                found.error = Some(error.clone());
                found.advice = Some(renew(login));
            }
            Some(Listed::Silent { class, error }) => match &told.known.halted {
                Some((ErrorClass::Auth, _)) => found.error = Some(SPARED.to_owned()),
                // It is told of the server.
                Some(_) => {}
                None => {
                    found.health = health(*class);
                    found.error_class = Some(*class);
                    found.error = Some(words(*class, error));
                    found.advice = advice(*class).map(str::to_owned);
                }
            },
            Some(Listed::NotAsked) | None => {}
        }
        if !is_proven {
            return;
        }
        found.accepted = Some(true);
        match told.tokens.get(door) {
            Some(Some(Ok(list))) => {
                let line = |token: &Token| TokenLine {
                    name: token.name.clone(),
                    ends_at: token.expires_at.map(|end| End::new(end, self.now).at),
                };
                found.tokens = list.iter().map(line).collect();
                found.token_end = self.token_end(list);
            }
            // The credential had been taken a moment before, so this is about the list or the address.
            Some(Some(Err((ErrorClass::Auth, error)))) if told.refused.is_none() => {
                found.health = found.health.max(Health::Look);
                found.error_class = Some(ErrorClass::Auth);
                found.error = Some(format!("after a good answer, asked for its tokens: {error}"));
            }
            _ => {}
        }
        if let TokenEnd::At { ends_soon: true, .. } = found.token_end {
            found.health = found.health.max(Health::EndsSoon);
            found.advice = Some(renew(login));
        }
    }

    /// When the token ends that was accepted just now. Which of the account's it is nobody tells; but
    /// it has not ended, so among those that have not the earliest end is the one to heed.
    fn token_end(&self, list: &[Token]) -> TokenEnd {
        let now = self.now.0.div_euclid(1000);
        let alive: Vec<Option<i64>> =
            list.iter().map(|token| token.expires_at).filter(|end| end.is_none_or(|end| end > now)).collect();
        match alive.iter().flatten().min() {
            _ if alive.is_empty() => TokenEnd::Unknown,
            None => TokenEnd::Never,
            Some(earliest) => {
                let end = End::new(*earliest, self.now);
                TokenEnd::At { end, among: alive.len() as u64, ends_soon: self.is_soon(end) }
            }
        }
    }

    fn is_soon(&self, end: End) -> bool {
        end.days_left < i64::from(self.warn_days)
    }
}

const SPARED: &str = "not asked, because of another login of this server";

fn health(class: ErrorClass) -> Health {
    match class {
        ErrorClass::Auth => Health::Refused,
        ErrorClass::Tls => Health::Tls,
        ErrorClass::Connect | ErrorClass::Timeout => Health::Unreachable,
        _ => Health::Failed,
    }
}

/// A reason without its class before it, which the line begins with.
fn words(class: ErrorClass, error: &str) -> String {
    error.strip_prefix(&format!("{class}: ")).unwrap_or(error).to_owned()
}

/// What to do about a server; `None` where the reason itself says so.
fn advice(class: ErrorClass) -> Option<&'static str> {
    match class {
        ErrorClass::Connect | ErrorClass::Timeout => {
            Some("see whether it is up and lets this machine in, and whether host and port are right")
        }
        ErrorClass::BadAnswer | ErrorClass::Http => {
            Some("see whether URL and port are right, and what stands between")
        }
        ErrorClass::Throttled => Some("ask again later"),
        _ => None,
    }
}

/// How a login gets a new credential.
pub fn renew(login: &Login) -> String {
    let user = &login.user;
    match &login.credential {
        CredentialSource::TokenFile(path) => format!("put a new token of {user} into {}", path.display()),
        CredentialSource::TokenCommand(command) => format!("have `{command}` print a new token of {user}"),
        CredentialSource::TokenEnv(name) => format!("set {name} to a new token of {user}"),
        CredentialSource::PasswordFile(path) => {
            format!("put the right password of {user} into {}", path.display())
        }
        CredentialSource::PasswordEnv(name) => format!("set {name} to the right password of {user}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Stamp = Stamp(1_795_460_400_500);
    const DAY: i64 = 86_400;
    const JUDGE: Judge = Judge { now: NOW, warn_days: 14 };

    /// Tokens that end so many days from now.
    fn tokens(ends: &[Option<i64>]) -> Vec<Token> {
        let end = |days: &i64| NOW.0 / 1000 + days * DAY + 5;
        let token = |days: &Option<i64>| Token { name: "t".to_owned(), expires_at: days.as_ref().map(end) };
        ends.iter().map(token).collect()
    }

    #[test]
    fn the_token_in_use_is_one_of_those_that_have_not_ended() {
        let told = |ends: &[Option<i64>]| match JUDGE.token_end(&tokens(ends)) {
            TokenEnd::Unknown => "unknown".to_owned(),
            TokenEnd::Never => "never".to_owned(),
            TokenEnd::At { end, among, ends_soon } => format!("{} of {among} {ends_soon}", end.days_left),
        };
        for (ends, expected) in [
            (&[][..], "unknown"),
            (&[Some(-2)], "unknown"),
            (&[None], "never"),
            (&[None, None, Some(-1)], "never"),
            (&[Some(40)], "40 of 1 false"),
            (&[Some(14)], "14 of 1 false"),
            (&[Some(13)], "13 of 1 true"),
            (&[Some(-3), Some(13)], "13 of 1 true"),
            (&[None, Some(40), Some(5)], "5 of 3 true"),
        ] {
            assert_eq!(told(ends), expected, "{ends:?}");
        }
    }

    #[test]
    fn a_token_that_ends_in_this_second_has_ended() {
        let token = Token { name: "t".to_owned(), expires_at: Some(NOW.0 / 1000) };
        assert_eq!(JUDGE.token_end(&[token]), TokenEnd::Unknown);
    }

    #[test]
    fn where_a_new_credential_goes_is_said_and_the_secret_is_not_known_here() {
        let login = |credential| Login {
            name: "web01".to_owned(),
            user: "root".to_owned(),
            api: Api::Whm,
            method: Default::default(),
            credential,
            account: None,
            domains: Vec::new(),
        };
        for (source, expected) in [
            (CredentialSource::TokenFile("/e/t".into()), "put a new token of root into /e/t"),
            (CredentialSource::TokenCommand("pass x".into()), "have `pass x` print a new token of root"),
            (CredentialSource::TokenEnv("T".into()), "set T to a new token of root"),
            (CredentialSource::PasswordFile("/e/p".into()), "put the right password of root into /e/p"),
            (CredentialSource::PasswordEnv("P".into()), "set P to the right password of root"),
        ] {
            assert_eq!(renew(&login(source)), expected);
        }
    }
}
