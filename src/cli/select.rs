//! Which part of a job, and of the servers, a command is narrowed to.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::args::{SelectArgs, WhichArgs};
use super::ground::names;
use crate::domain::{Channel, clean, clip};
use crate::fleet::{Fleet, Server};
use crate::job::{Job, Selection, Source};

impl WhichArgs {
    /// For each server whether it is left out by `--servers` or `--except-servers`.
    pub fn left_out(&self, fleet: &Fleet) -> Result<Vec<bool>> {
        let known = names(fleet);
        for name in self.servers.iter().chain(&self.except_servers) {
            if !known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                let name = clip(&clean(name), 60);
                bail!("“{name}” is no server of this run; there are: {}", known.join(", "));
            }
        }
        let is_named = |server: &Server, names: &[String]| {
            let mut logins = server.logins.iter();
            logins.any(|login| names.iter().any(|name| login.name.eq_ignore_ascii_case(name)))
        };
        let left_out: Vec<bool> = fleet
            .servers
            .iter()
            .map(|server| {
                let is_out = !self.servers.is_empty() && !is_named(server, &self.servers);
                is_out || is_named(server, &self.except_servers)
            })
            .collect();
        if !fleet.servers.is_empty() && left_out.iter().all(|out| *out) {
            bail!("--servers and --except-servers leave no server");
        }
        Ok(left_out)
    }
}

impl SelectArgs {
    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        let SelectArgs { only, except, which: WhichArgs { servers, except_servers } } = self;
        only.is_none() && except.is_none() && servers.is_empty() && except_servers.is_empty()
    }

    /// The lists of `--only` and `--except`.
    pub fn lists(&self) -> Result<Lists> {
        let read = |path: &PathBuf| -> Result<Selection> {
            let source = Source::file(path)?;
            Selection::read(&source).with_context(|| path.display().to_string())
        };
        Ok(Lists {
            only: self.only.as_ref().map(read).transpose()?,
            except: self.except.as_ref().map(read).transpose()?,
        })
    }
}

/// The lists that narrow a command to part of its mailboxes.
#[derive(Default)]
pub struct Lists {
    only: Option<Selection>,
    except: Option<Selection>,
}

impl Lists {
    /// Whether an operation is left out, and by which flag.
    pub fn leave_out(&self, mailbox: &str, channel: Channel) -> Option<&'static str> {
        match (&self.only, &self.except) {
            (Some(only), _) if !only.has(mailbox, channel) => Some("not in the list of --only"),
            (_, Some(except)) if except.has(mailbox, channel) => Some("in the list of --except"),
            _ => None,
        }
    }

    /// Entries that select nothing, for people: how many, and the first of them.
    pub fn unknown(&self, job: &Job) -> Vec<String> {
        let lists = [("--only", &self.only), ("--except", &self.except)];
        if lists.iter().all(|(_, list)| list.is_none()) {
            return Vec::new();
        }
        let known: HashSet<&str> = job.mailboxes.iter().map(|(_, address)| address).collect();
        let of = |(flag, list): (&str, &Option<Selection>)| {
            const NAMED: usize = 5;
            let unknown = list.as_ref()?.unknown(|address| known.contains(address));
            let first = unknown.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            let more = unknown.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (!unknown.is_empty()).then(|| {
                let n = unknown.len();
                let are = if n == 1 { "entry of its list is" } else { "entries of its list are" };
                format!("{flag}: {n} {are} not in this job: {first}{more}")
            })
        };
        lists.into_iter().filter_map(of).collect()
    }
}
