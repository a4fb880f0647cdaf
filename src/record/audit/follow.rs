//! The journal, followed from its first line as far as it is sound.
//!
//! It goes on where a resume would refuse or cut: what is wrong is noted with its line, and what
//! stands before it is still of use. The ledger is kept as the last session that ended left it, for
//! that is what the results were made of; what was noted behind that end is held back until another
//! session begins.

use std::fs::File;
use std::io;

use super::super::entry::{Entry, Stamp};
use super::super::journal::{self, Chain, ReadError, Tail, Torn};
use super::super::ledger::{Ledger, Undo};
use super::super::look::{check, note};
use super::super::summary::SessionFigures;
use crate::job::Job;

/// What a journal says, and how far.
pub(super) struct Followed {
    /// How many lines are sound.
    pub(super) lines: u64,
    pub(super) sessions: Vec<SessionFigures>,
    /// The last end of a session.
    pub(super) end: Option<End>,
    /// How many lines stand behind it.
    pub(super) behind: u64,
    /// Where the operations stand, as the results have it; none without a job.
    pub(super) ledger: Option<Ledger>,
    /// What was noted behind the end about runs that take it back, as far as the summary vouches for
    /// it: a kill may have come between the last note and that.
    pub(super) notes: Vec<Undo>,
    /// Whether a process was at work on it.
    pub(super) is_in_use: bool,
    /// Why it was followed no further than this.
    pub(super) stop: Option<Stop>,
    /// Where the chain is as it was expected to be.
    pub(super) met: Option<Met>,
    /// Where it is as the summary has it.
    pub(super) vouched: Option<Met>,
}

/// The end of a session, and what it says.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) line: u64,
    pub(super) at: Stamp,
    pub(super) code: u8,
    pub(super) results: String,
    pub(super) unfinished: Option<String>,
    pub(super) report: Option<String>,
    /// The program's version.
    pub(super) version: String,
}

/// Why a journal was followed no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// A line is not what was written.
    Damaged { line: u64, why: &'static str },
    /// A line is sound, and of no use here.
    Misfit { line: u64, why: String },
    /// A session was killed while it wrote.
    Torn { line: u64, torn: Torn },
}

/// The hashes that the chain is to have somewhere.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The one that was given.
    pub(super) expected: Option<Chain>,
    /// The one that the summary has.
    pub(super) vouched: Option<Chain>,
}

/// The line at which the chain has such a hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    pub(super) line: u64,
    /// The session to which it belongs, from 1.
    pub(super) session: usize,
    /// When that ended, if this is its end.
    pub(super) ended: Option<Stamp>,
}

/// Follows a journal. Without a job its operations and mailboxes are only known by their numbers.
pub(super) fn follow(file: &File, seed: Chain, job: Option<&Job>, wanted: Wanted) -> io::Result<Followed> {
    let is_in_use = journal::is_locked(file)?;
    let mut follower = Follower {
        followed: Followed {
            lines: 0,
            sessions: Vec::new(),
            end: None,
            behind: 0,
            ledger: job.map(Ledger::new),
            notes: Vec::new(),
            is_in_use,
            stop: None,
            met: None,
            vouched: None,
        },
        held_back: Vec::new(),
        version: String::new(),
        wanted,
    };
    let mut tail = Tail::start(seed);
    let mut read = || {
        journal::read(file, &mut tail, |entry, at, chain| {
            job.map_or(Ok(()), |job| check(&entry, job))?;
            follower.note(entry, at, chain);
            Ok(())
        })
    };
    // It may be growing, and be looked at in the middle of a line.
    let found = match read() {
        Err(ReadError::Damaged { .. }) => read(),
        found => found,
    };
    let Follower { mut followed, held_back, .. } = follower;
    let last = followed.vouched.map_or(0, |met| met.line);
    let notes = held_back.into_iter().filter_map(|(entry, _, line)| match entry {
        Entry::Undone { by, dir, ops, .. } if line <= last => Some(Undo { by, dir, ops }),
        _ => None,
    });
    followed.notes = notes.collect();
    followed.stop = match found {
        Ok(None) => None,
        Ok(Some(torn)) => Some(Stop::Torn { line: followed.lines + 1, torn }),
        Err(ReadError::Damaged { line, why }) => Some(Stop::Damaged { line, why }),
        Err(ReadError::Misfit { line, why }) => Some(Stop::Misfit { line, why }),
        Err(ReadError::Io(fault)) => return Err(fault),
    };
    Ok(followed)
}

impl Followed {
    /// Whether the last session has not ended, or none has begun.
    pub(super) fn is_open(&self) -> bool {
        self.sessions.last().is_none_or(|session| session.ended_at.is_none())
    }
}

struct Follower {
    followed: Followed,
    /// What stands behind the last end, with its bytes.
    held_back: Vec<(Entry, u64, u64)>,
    version: String,
    wanted: Wanted,
}

impl Follower {
    fn note(&mut self, entry: Entry, at: u64, chain: Chain) {
        let Follower { followed, held_back, version, wanted } = self;
        note(&mut followed.sessions, &entry, chain);
        followed.lines += 1;
        followed.behind += 1;
        if let Entry::Session(session) = &entry {
            version.clone_from(&session.version);
        }
        let mut ended = None;
        if let Entry::Close { at, code, results, unfinished, report } = &entry {
            ended = Some(*at);
            followed.behind = 0;
            followed.end = Some(End {
                line: followed.lines,
                at: *at,
                code: *code,
                results: results.clone(),
                unfinished: unfinished.clone(),
                report: report.clone(),
                version: version.clone(),
            });
        }
        let here = || Met { line: followed.lines, session: followed.sessions.len(), ended };
        let (met, vouched) = (wanted.expected == Some(chain), wanted.vouched == Some(chain));
        let (met, vouched) = (met.then(here), vouched.then(here));
        followed.met = followed.met.or(met);
        followed.vouched = followed.vouched.or(vouched);
        let is_held_back = ended.is_none() && !followed.is_open();
        let Some(ledger) = &mut followed.ledger else { return };
        if is_held_back {
            held_back.push((entry, at, followed.lines));
            return;
        }
        for (entry, at, _) in held_back.drain(..) {
            ledger.apply(&entry, at);
        }
        ledger.apply(&entry, at);
    }
}
