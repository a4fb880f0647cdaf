//! Everything that a report of a run is made of, for whoever writes one.

use super::facts::RunFacts;
use super::ledger::{Ledger, ServerTotals};
use super::results::{Material, Tally};
use super::summary::Summary;
use crate::job::Mailboxes;

/// A run, or as much of it as there is so far.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// What it is.
    pub facts: &'a RunFacts,
    /// What it came to.
    pub summary: &'a Summary,
    /// The same in detail.
    pub tally: &'a Tally,
    /// The mailboxes that it is about.
    pub mailboxes: &'a Mailboxes,
    /// Its servers, as the summary has them, with how long they took.
    pub servers: &'a [ServerTotals],
    /// The journal's chain hash, without the end record of the last session: that one holds the hash
    /// of the page that this is made into, so the page cannot hold its. `None` where nothing was sent.
    pub chain: Option<&'a str>,
}

impl Report<'_> {
    /// Whether the last session has ended in good order.
    pub fn has_ended(&self) -> bool {
        self.summary.sessions.last().is_some_and(|session| session.exit_code.is_some())
    }
}

impl<'a> Material<'a> {
    /// All that a report is made of; `chain` is the journal's hash without its last end record.
    pub fn report(
        &'a self,
        facts: &'a RunFacts,
        summary: &'a Summary,
        tally: &'a Tally,
        chain: Option<&'a str>,
    ) -> Report<'a> {
        let servers = self.ledger().map(Ledger::servers).unwrap_or_default();
        Report { facts, summary, tally, mailboxes: &self.job.mailboxes, servers, chain }
    }
}
