//! `--shard I/N`: the part of a job that one of several machines does.
//!
//! A job is divided by server, as the configuration lists them: sorted by name and dealt out in turn,
//! so that every machine divides alike and each server's limits stay with one of them. What has no
//! server belongs to the first shard. Whatever does not belong to a shard ends `excluded` there.
//!
//! Who has a domain is asked by each shard alike, or two of them might take the same mailbox for
//! theirs; but not where the rows or the configuration say it of all.

use serde::{Deserialize, Serialize};

use super::route::Routed;
use crate::domain::{ErrorClass, Status};
use crate::fleet::Fleet;
use crate::job::{Job, What};
use crate::record::{LEFT_TO_SHARD, Settled};

/// One of several parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which one, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

/// What Kubernetes sets for each pod of an Indexed Job, from 0.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// More are no use: nobody has so many servers.
const MOST: u32 = 10_000;

/// Reads `2/3`, or `index/3` with the number that the environment gives.
pub fn parse(text: &str) -> Result<Shard, String> {
    parse_with(text, std::env::var(INDEX_VARIABLE).ok().as_deref())
}

fn parse_with(text: &str, index: Option<&str>) -> Result<Shard, String> {
    let form = "write it as 2/3, or as index/3 where JOB_COMPLETION_INDEX says which";
    let (number, of) = text.split_once('/').ok_or(form)?;
    let of: u32 = of.trim().parse().map_err(|_| form)?;
    let number: u32 = match (number.trim(), index) {
        ("index", Some(index)) => {
            let index: u32 = index.trim().parse().map_err(|_| format!("{INDEX_VARIABLE} is no number"))?;
            index.saturating_add(1)
        }
        ("index", None) => return Err(format!("{INDEX_VARIABLE} is not set")),
        (number, _) => number.parse().map_err(|_| form)?,
    };
    if number == 0 {
        return Err(format!(
            "shards count from 1; for {INDEX_VARIABLE}, which counts from 0, write index/{of}"
        ));
    }
    if number > of || of > MOST {
        return Err(format!("there is no shard {number} of {of}"));
    }
    Ok(Shard { number, of })
}

impl Shard {
    /// The shard of each of these servers, in their order.
    pub fn homes(of: u32, names: &[&str]) -> Vec<u32> {
        let mut sorted: Vec<(&str, usize)> = names.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let mut homes = vec![1; names.len()];
        for ((_, place), turn) in sorted.into_iter().zip((1..=of).cycle()) {
            homes[place] = turn;
        }
        homes
    }

    /// The shard of each server of a fleet, in its order.
    fn homes_of(self, fleet: &Fleet) -> Vec<u32> {
        let names: Vec<&str> = fleet.servers.iter().map(|server| server.name.as_str()).collect();
        Shard::homes(self.of, &names)
    }

    /// For each server of a fleet whether it belongs to another shard.
    pub fn others(self, fleet: &Fleet) -> Vec<bool> {
        self.homes_of(fleet).into_iter().map(|home| home != self.number).collect()
    }

    /// Which shard it is, and what it has.
    pub fn told(self, fleet: &Fleet) -> String {
        const NAMED: usize = 10;
        let own = fleet.servers.iter().zip(self.others(fleet)).filter(|(_, is_anothers)| !is_anothers);
        let mut names: Vec<&str> = own.map(|(server, _)| server.name.as_str()).collect();
        names.sort_unstable();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = if names.is_empty() { "none of the servers".to_owned() } else { names.join(", ") };
        format!("shard {} of {}: {names}{more}", self.number, self.of)
    }

    /// Leaves to the other shards what belongs to them.
    pub fn narrow(self, routed: &mut Routed, job: &Job, fleet: &Fleet) {
        let homes = self.homes_of(fleet);
        let reasons: Vec<std::sync::Arc<str>> = fleet
            .servers
            .iter()
            .zip(&homes)
            .map(|(server, home)| {
                format!("{LEFT_TO_SHARD}{home} of {}, which has {}", self.of, server.name).into()
            })
            .collect();
        let nowhere: std::sync::Arc<str> =
            format!("{LEFT_TO_SHARD}1 of {}, which has what belongs to no server", self.of).into();
        for (op, operation) in (0u32..).zip(&job.operations) {
            let What::Call(_) = operation.what else { continue };
            if routed.settled.get(&op).is_some_and(|end| end.class == Some(ErrorClass::Excluded)) {
                continue;
            }
            let place = routed.places.number_of(operation.mailbox);
            let server = place.map(|place| routed.ways[place as usize].0);
            if server.map_or(1, |server| homes[server]) == self.number {
                continue;
            }
            let error = server.map_or(&nowhere, |server| &reasons[server]).clone();
            let (status, class) = (Status::NotAttempted, Some(ErrorClass::Excluded));
            routed.settled.insert(op, Settled { status, class, error });
        }
        for (mailbox, _) in job.mailboxes.iter() {
            let place = routed.places.number_of(mailbox);
            if place.is_some_and(|place| homes[routed.ways[place as usize].0] != self.number) {
                routed.places.forget(mailbox);
            }
        }
    }
}

/// Whether the rows and the configuration say of every mailbox to which server it belongs.
pub fn is_told(job: &Job, fleet: &Fleet) -> bool {
    let logins = || fleet.servers.iter().flat_map(|server| &server.logins);
    let domains: std::collections::HashSet<&str> =
        logins().flat_map(|login| &login.domains).map(String::as_str).collect();
    job.mailboxes.iter().all(|(mailbox, address)| {
        let said = &job.destinations[job.mailboxes.destination(mailbox) as usize];
        let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain);
        said.server.is_some() || domains.contains(domain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_written_as_one_of_many_and_counts_from_one() {
        let parse = |text, index| parse_with(text, index).map(|shard| (shard.number, shard.of));
        assert_eq!(parse("2/3", None), Ok((2, 3)));
        assert_eq!(parse(" 1 / 1 ", Some("7")), Ok((1, 1)));
        assert_eq!(parse("index/3", Some("0")), Ok((1, 3)), "Kubernetes counts from 0");
        assert_eq!(parse("index/3", Some("2")), Ok((3, 3)));
        assert!(parse("index/3", Some("3")).unwrap_err().contains("no shard 4 of 3"));
        assert!(parse("index/3", None).unwrap_err().contains("JOB_COMPLETION_INDEX is not set"));
        assert!(parse("index/3", Some("x")).is_err());
        assert!(parse("0/3", None).unwrap_err().contains("index/3"));
        for wrong in ["", "2", "3/2", "1/0", "a/b", "-1/3", "1/3/5", "1/99999"] {
            assert!(parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn servers_are_dealt_out_in_the_order_of_their_names() {
        let homes = |of| Shard::homes(of, &["web03", "web01", "web02", "web10", "db"]);
        // Sorted: db, web01, web02, web03, web10.
        assert_eq!(homes(2), [2, 2, 1, 1, 1]);
        assert_eq!(homes(3), [1, 2, 3, 2, 1]);
        assert_eq!(homes(1), [1; 5]);
        let many = homes(9);
        assert_eq!(many, [4, 2, 3, 5, 1], "more shards than servers: the last have none");
    }
}
