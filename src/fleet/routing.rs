//! Where a mailbox belongs: which server, which of its accounts, by which login.
//!
//! What is known comes from three sides: the configuration (`domains`, `account`), the servers
//! themselves, and the row (`server`, `account`). Nothing is guessed. A domain that nobody has is
//! only called so when everybody was heard; one that two have is settled by the configuration or the
//! row, or not at all.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::protect::Protect;
use super::server::{Fleet, Login, Server};
use crate::domain::{ErrorClass, Status};
use crate::engine::Listed;

/// What is known of one server when mailboxes are routed.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// What each login was told; a login without an entry was not asked.
    pub lists: Vec<Listed>,
    /// Whether nothing more is sent to it, so that what belongs there ends with its reason.
    pub is_halted: bool,
    /// Whether it was left out by the operator: nothing of it is to be touched.
    pub is_left_out: bool,
}

/// What a row says of where it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Said<'a> {
    /// A configured name.
    pub server: Option<&'a str>,
    /// An account; empty if the row names none.
    pub account: &'a str,
}

/// Where a mailbox goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// To this account.
    Account {
        /// The server's place in the fleet.
        server: usize,
        /// The login's place at that server.
        login: usize,
        /// The account.
        account: Arc<str>,
    },
    /// To this server, and nobody can say to which account: the server is halted, or was not asked.
    Server {
        /// The server's place in the fleet.
        server: usize,
    },
    /// Not to be told without asking.
    Open,
    /// Nowhere.
    Left(Left),
}

/// Why a mailbox goes nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// How its operations end.
    pub status: Status,
    /// The class of the reason.
    pub class: ErrorClass,
    /// The reason, for people.
    pub error: Arc<str>,
}

/// Finds the way for each mailbox.
pub struct Router<'a> {
    fleet: &'a Fleet,
    heard: &'a [Heard],
    /// Whether nothing was asked on purpose: what only a server could tell stays open.
    is_rehearsal: bool,
    /// Who has listed a domain.
    listed: HashMap<&'a str, Vec<Hit<'a>>>,
    /// Whose configuration names a domain.
    configured: HashMap<&'a str, Vec<(usize, usize)>>,
    /// By domain, and what a row says beside it.
    known: RefCell<hashbrown::HashMap<String, hashbrown::HashMap<Said<'a>, Route>>>,
    /// Domains that were found while a server was silent.
    found_despite_silence: RefCell<BTreeSet<String>>,
}

#[derive(Clone, Copy, Debug)]
struct Hit<'a> {
    server: usize,
    login: usize,
    account: &'a str,
}

impl<'a> Router<'a> {
    /// A router for a fleet of which this was heard, one entry for each server.
    pub fn new(fleet: &'a Fleet, heard: &'a [Heard], is_rehearsal: bool) -> Router<'a> {
        let mut listed: HashMap<&str, Vec<Hit<'a>>> = HashMap::new();
        let mut configured: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
        for (number, (server, heard)) in fleet.servers.iter().zip(heard).enumerate() {
            for (login, list) in heard.lists.iter().enumerate() {
                let Listed::Domains(list) = list else { continue };
                for (domain, account) in list {
                    let account = server.logins[login].account_name().unwrap_or(account);
                    listed.entry(domain).or_default().push(Hit { server: number, login, account });
                }
            }
            for (login, spec) in server.logins.iter().enumerate() {
                for domain in &spec.domains {
                    configured.entry(domain).or_default().push((number, login));
                }
            }
        }
        Router {
            fleet,
            heard,
            is_rehearsal,
            listed,
            configured,
            known: RefCell::default(),
            found_despite_silence: RefCell::default(),
        }
    }

    /// Where a mailbox goes. `said` is what its row says.
    pub fn route(&self, address: &str, said: Said<'a>) -> Route {
        if let Some(left) = protected(&self.fleet.protect, address) {
            return Route::Left(left);
        }
        let domain = domain_of(address);
        if let Some(route) = self.known.borrow().get(domain).and_then(|known| known.get(&said)) {
            return route.clone();
        }
        let route = self.find(domain, said);
        self.known.borrow_mut().entry(domain.to_owned()).or_default().insert(said, route.clone());
        route
    }

    /// The way to a server and account that were settled before.
    pub fn again(&self, address: &str, server: &str, account: &str) -> Route {
        if let Some(left) = protected(&self.fleet.protect, address) {
            return Route::Left(left);
        }
        let domain = domain_of(address);
        let is_it = |spec: &Server| spec.name == server || spec.logins.iter().any(|l| l.name == server);
        let Some(number) = self.fleet.servers.iter().position(is_it) else {
            let why = format!("{server}, where it was, is not in the configuration any more");
            return left(Status::Blocked, ErrorClass::Moved, why);
        };
        if self.heard[number].is_left_out {
            return self.excluded(domain, &[(number, 0)]);
        }
        let hits = self.listed.get(domain).map(Vec::as_slice).unwrap_or_default();
        if let Some(hit) = hits.iter().find(|hit| hit.server == number && hit.account == account) {
            return account_route(*hit);
        }
        let logins = self.fleet.servers[number].logins.iter().enumerate();
        let may_have = |(login, spec): &(usize, &Login)| {
            let is_its_own = spec.account_name().is_none_or(|own| own == account);
            is_its_own && !matches!(self.list(number, *login), Listed::Domains(_))
        };
        match logins.clone().find(may_have) {
            Some((login, _)) => Route::Account { server: number, login, account: account.into() },
            None => left(Status::Blocked, ErrorClass::Moved, self.moved(domain, server, account)),
        }
    }

    /// A warning, if domains were found somewhere while a server was silent that might have them too.
    pub fn warning(&self) -> Option<String> {
        let found = self.found_despite_silence.borrow();
        let first = found.first()?;
        let more = match found.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        // Of a server that was left out nothing was expected.
        let in_it = self.logins().into_iter().filter(|(server, _)| !self.heard[*server].is_left_out);
        let silent = self.silent(in_it.collect());
        Some(format!("{first}{more} may also be at {silent}, which said nothing: it goes where it was found"))
    }

    fn list(&self, server: usize, login: usize) -> &Listed {
        self.heard[server].lists.get(login).unwrap_or(&Listed::NotAsked)
    }

    fn logins(&self) -> Vec<(usize, usize)> {
        let servers = self.fleet.servers.iter().enumerate();
        servers
            .flat_map(|(number, server)| (0..server.logins.len()).map(move |login| (number, login)))
            .collect()
    }

    fn server(&self, number: usize) -> &Server {
        &self.fleet.servers[number]
    }

    fn find(&self, domain: &str, said: Said<'_>) -> Route {
        if self.fleet.servers.is_empty() {
            return Route::Open;
        }
        let mut candidates = self.logins();
        if let Some(name) = said.server {
            let is_it = |server: &Server, login: &Login| {
                login.name.eq_ignore_ascii_case(name) || server.name.eq_ignore_ascii_case(name)
            };
            candidates.retain(|(server, login)| {
                let server = self.server(*server);
                is_it(server, &server.logins[*login])
            });
        }
        if let Some(account) = self.only_account() {
            let is_its_own = said.account.is_empty() || said.account == account;
            return if is_its_own && !candidates.is_empty() {
                Route::Account { server: 0, login: 0, account: account.into() }
            } else {
                let error = self.moved(domain, &self.server(0).name, said.account);
                left(Status::Blocked, ErrorClass::Moved, error)
            };
        }
        let configured = self.configured.get(domain).map(Vec::as_slice).unwrap_or_default();
        let settled: Vec<_> = candidates.iter().copied().filter(|at| configured.contains(at)).collect();
        if !settled.is_empty() {
            candidates = settled;
        }
        let (out, candidates): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|(server, _)| self.heard[*server].is_left_out);
        if candidates.is_empty() {
            return self.excluded(domain, &out);
        }
        // One account is bound to its login and needs no asking: a configured domain is its own.
        let own = |(server, login): &(usize, usize)| self.server(*server).logins[*login].account_name();
        let is_configured = |at: &(usize, usize)| configured.contains(at);
        let mut hits: Vec<Hit<'_>> = candidates
            .iter()
            .filter(|at| is_configured(at))
            .filter_map(|at| own(at).map(|account| Hit { server: at.0, login: at.1, account }))
            .collect();
        let listed = self.listed.get(domain).map(Vec::as_slice).unwrap_or_default();
        hits.extend(listed.iter().filter(|hit| candidates.contains(&(hit.server, hit.login))));
        if hits.is_empty() {
            return self.nobody(domain, said, &candidates, &out);
        }
        if !said.account.is_empty() {
            hits.retain(|hit| hit.account == said.account);
        }
        let Some(first) = hits.first().copied() else {
            let silent = self.silent_of(&candidates);
            if said.server.is_none() && !silent.is_empty() {
                return self.unrouted(&format!("account {} with {domain}", said.account), silent);
            }
            return self.lacking(domain, said);
        };
        if hits.iter().any(|hit| (hit.server, hit.account) != (first.server, first.account)) {
            return self.ambiguous(domain, &hits);
        }
        if said.server.is_none() && configured.is_empty() && !self.silent_of(&candidates).is_empty() {
            self.found_despite_silence.borrow_mut().insert(domain.to_owned());
        }
        account_route(first)
    }

    /// The account that everything goes to, if there is but one and it says nothing of its domains:
    /// then the server is the one to say no.
    fn only_account(&self) -> Option<&str> {
        let [Server { logins, .. }] = self.fleet.servers.as_slice() else { return None };
        let [login] = logins.as_slice() else { return None };
        // What is halted before it could be asked is not silent about its domains: it was never to be
        // asked for them, and what is left there is left for the halt's own reason.
        let is_unasked = *self.list(0, 0) == Listed::NotAsked || self.heard[0].is_halted;
        let is_untold = login.domains.is_empty() && is_unasked;
        login.account_name().filter(|_| is_untold && !self.heard[0].is_left_out)
    }

    /// A domain that no candidate is known to have.
    fn nobody(
        &self,
        domain: &str,
        said: Said<'_>,
        candidates: &[(usize, usize)],
        out: &[(usize, usize)],
    ) -> Route {
        let silent = self.silent_of(candidates);
        let servers: BTreeSet<usize> = candidates.iter().map(|(server, _)| *server).collect();
        let is_one_server = servers.len() == 1;
        // The configuration names it, or the row does: then only the account is missing.
        let is_settled = is_one_server
            && (said.server.is_some() || candidates.iter().any(|at| self.is_configured_for(domain, at)));
        if let Some((server, login)) = silent.first().copied() {
            if is_settled && !said.account.is_empty() {
                return Route::Account { server, login, account: said.account.into() };
            }
            if is_settled && (self.is_rehearsal || self.heard[server].is_halted) {
                return Route::Server { server };
            }
            if self.is_rehearsal {
                return Route::Open;
            }
            return self.unrouted(domain, silent);
        }
        // It may be at one that was left out, but for those whose domains are known all the same.
        let out = self.silent_of(out);
        if said.server.is_none() && !out.is_empty() {
            return self.excluded(domain, &out);
        }
        if !said.account.is_empty() {
            return self.lacking(domain, said);
        }
        let why = match said.server {
            Some(server) => format!("{server} does not have {domain}: correct the row's server"),
            None if is_settled => {
                let server = &self.server(candidates[0].0).name;
                format!("{server} has {domain} in its configured domains, but not on the server itself")
            }
            None => format!("none of the configured servers has {domain}"),
        };
        left(Status::Blocked, ErrorClass::NoServer, why)
    }

    fn unrouted(&self, what: &str, silent: Vec<(usize, usize)>) -> Route {
        let names = self.silent(silent);
        let why = format!("{what} was found nowhere, and {names} did not say which domains it has");
        left(Status::NotAttempted, ErrorClass::Unrouted, why)
    }

    /// The account that the row names does not have the domain, where the row says.
    fn lacking(&self, domain: &str, said: Said<'_>) -> Route {
        let error = self.moved(domain, said.server.unwrap_or("any server"), said.account);
        left(Status::Blocked, ErrorClass::Moved, error)
    }

    fn is_configured_for(&self, domain: &str, at: &(usize, usize)) -> bool {
        self.configured.get(domain).is_some_and(|logins| logins.contains(at))
    }

    /// Those of whom nothing is known: neither a list nor configured domains.
    fn silent_of(&self, candidates: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let is_silent = |(server, login): &(usize, usize)| {
            let spec = &self.server(*server).logins[*login];
            let is_told = matches!(self.list(*server, *login), Listed::Domains(_));
            let is_bound = spec.account_name().is_some() && !spec.domains.is_empty();
            !is_told && !is_bound
        };
        candidates.iter().copied().filter(is_silent).collect()
    }

    /// The names of the servers that are silent, with the reason where there is one.
    fn silent(&self, logins: Vec<(usize, usize)>) -> String {
        let mut names = Vec::new();
        for (server, login) in self.silent_of(&logins) {
            let name = &self.server(server).name;
            let shown = match self.list(server, login) {
                Listed::Silent { class, .. } => format!("{name} ({class})"),
                _ => name.clone(),
            };
            if !names.contains(&shown) {
                names.push(shown);
            }
        }
        names.join(", ")
    }

    fn excluded(&self, domain: &str, out: &[(usize, usize)]) -> Route {
        let names: BTreeSet<&str> =
            out.iter().map(|(server, _)| self.server(*server).name.as_str()).collect();
        let names = Vec::from_iter(names).join(", ");
        let why = format!("{domain} is not at the servers of this run; left out: {names}");
        left(Status::NotAttempted, ErrorClass::Excluded, why)
    }

    fn ambiguous(&self, domain: &str, hits: &[Hit<'_>]) -> Route {
        let mut places: Vec<String> = Vec::new();
        for hit in hits {
            let place = format!("{} (account {})", self.server(hit.server).name, hit.account);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let places = places.join(" and ");
        let why = format!("{domain} is at {places}: say which by `domains` or a column server");
        left(Status::Blocked, ErrorClass::AmbiguousServer, why)
    }

    fn moved(&self, domain: &str, server: &str, account: &str) -> String {
        let now: Vec<String> = self
            .listed
            .get(domain)
            .into_iter()
            .flatten()
            .map(|hit| format!("account {} of {}", hit.account, self.server(hit.server).name))
            .collect();
        let now = if now.is_empty() { String::new() } else { format!("; it is in {}", now.join(" and ")) };
        format!("account {account} of {server} does not have {domain}{now}")
    }
}

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

fn account_route(hit: Hit<'_>) -> Route {
    Route::Account { server: hit.server, login: hit.login, account: hit.account.into() }
}

fn left(status: Status, class: ErrorClass, error: String) -> Route {
    Route::Left(Left { status, class, error: error.into() })
}

fn protected(protect: &Protect, address: &str) -> Option<Left> {
    let pattern = protect.matches(address)?;
    let error = format!("protected by the configuration: {pattern}").into();
    Some(Left { status: Status::Blocked, class: ErrorClass::Protected, error })
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
