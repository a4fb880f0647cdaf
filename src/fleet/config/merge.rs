//! Entries of a configuration file put together to servers.

use std::collections::HashMap;

use super::entry::Entry;
use super::fault::Faults;
use super::section::Given;
use crate::engine::SomeLimits;
use crate::fleet::Server;

/// A server and what is said of its limits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Configured {
    pub server: Server,
    pub limits: SomeLimits,
}

/// A server while entries are still added to it: what is settled, and where.
struct Growing {
    configured: Configured,
    settled: HashMap<&'static str, Given<String>>,
}

/// Makes one server of all entries with the same host and port, in the order of the first ones.
pub(super) fn merge(entries: Vec<Entry>, faults: &mut Faults) -> Vec<Configured> {
    let mut servers: Vec<Growing> = Vec::new();
    let mut by_place: HashMap<String, usize> = HashMap::new();
    // Who has a name, and at which server.
    let mut by_name: HashMap<String, (usize, usize)> = HashMap::new();
    let mut by_login: HashMap<(usize, String, Option<String>), usize> = HashMap::new();
    let mut by_domain: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        let next = servers.len();
        let place = *by_place.entry(entry.server.host_port()).or_insert(next);
        // Rows and flags give names in any case.
        let name = entry.server.name.to_ascii_lowercase();
        let (other, at) = *by_name.entry(name).or_insert((place, entry.at));
        if other != place {
            let line = faults.line(at);
            let text = format!("{} has the name of another server, that of line {line}", entry.label);
            faults.add(entry.at, format!("{text}: give each host its own"));
        }
        for login in &entry.server.logins {
            let who = (place, login.user.clone(), login.account_name().map(str::to_owned));
            let at = *by_login.entry(who).or_insert(entry.at);
            if at != entry.at {
                let line = faults.line(at);
                faults.add(
                    entry.at,
                    format!("{} is the same user at the same server as line {line}", entry.label),
                );
            }
        }
        for domain in &entry.domains {
            let at = *by_domain.entry(domain.value.clone()).or_insert(domain.at);
            if at != domain.at {
                let line = faults.line(at);
                let text = format!("“domains” in {} has one that line {line} has too", entry.label);
                faults.add(domain.at, format!("{text}: its mailboxes can go to one place only"));
            }
        }
        if place == next {
            servers.push(Growing {
                configured: Configured { server: entry.server, limits: entry.limits },
                settled: entry.shared.into_iter().collect(),
            });
        } else {
            servers[place].take(entry, faults);
        }
    }
    servers.into_iter().map(|growing| growing.configured).collect()
}

impl Growing {
    fn take(&mut self, entry: Entry, faults: &mut Faults) {
        for (key, given) in entry.shared {
            let at = given.at;
            let settled = self.settled.entry(key).or_insert_with(|| given.clone());
            if settled.value != given.value {
                let line = faults.line(settled.at);
                let what = if key == "url" { "has another scheme than" } else { "differs from" };
                let text = format!("“{key}” in {} {what} line {line}, the same host and port", entry.label);
                faults.add(at, format!("{text}: entries of one server share it, so say it once or alike"));
            }
        }
        let Configured { server, limits } = &mut self.configured;
        *limits = std::mem::take(limits).or(entry.limits);
        server.connect_to = server.connect_to.take().or(entry.server.connect_to);
        server.ca_file = server.ca_file.take().or(entry.server.ca_file);
        server.pin_sha256 = server.pin_sha256.take().or(entry.server.pin_sha256);
        server.logins.extend(entry.server.logins);
    }
}
