//! What is to be said of each file, in the order in which each vouches for the next.

use std::fs::File;
use std::io;

use sha2::{Digest, Sha256};

use super::super::facts::{RunFacts, who};
use super::super::rundir::{INPUT, JOURNAL, REPORT, RUN_JSON, RunDir, SUMMARY};
use super::evidence::{Evidence, is_ours};
use super::follow::{End, Followed, Stop};
use super::summary;
use super::tables::{Anew, Table, hash_of};
use super::{Finding, Verdict};
use crate::job::{self, Job, Source};

/// What is to be said of a file whose end is lost.
const NO_END: &str = "the journal cannot be followed to the end that it is of";

impl Evidence<'_> {
    pub(super) fn run_json(&self) -> Finding {
        let finding = |verdict, says: String| Finding::new(RUN_JSON, verdict, says);
        let RunFacts { operator, unix_user, host, started_at, .. } = self.facts;
        let by = format!("begun {started_at} by {} on {host}", who(operator, unix_user));
        match &self.journal {
            Ok((_, followed)) if followed.lines > 0 => finding(Verdict::Ok, by),
            Ok((_, Followed { stop: Some(Stop::Damaged { .. }), .. })) => finding(
                Verdict::Doubtful,
                format!("line 1 of {JOURNAL} does not follow from it: one of the two was altered"),
            ),
            _ => finding(Verdict::NotYet, format!("{by}; nothing vouches for it yet")),
        }
    }

    pub(super) fn journal(&self, anew: Option<&Anew>) -> Finding {
        let followed = match &self.journal {
            Ok((_, followed)) => followed,
            Err(fault) => return self.no_journal(fault),
        };
        unsound(followed)
            .or_else(|| self.cut(followed))
            .or_else(|| not_ended(followed))
            .or_else(|| self.other_results(followed, anew))
            .unwrap_or_else(|| {
                let notes = match followed.behind {
                    0 => String::new(),
                    1 => ", 1 note behind the last end".to_owned(),
                    n => format!(", {n} notes behind the last end"),
                };
                let says = format!("{} lines, {}{notes}", followed.lines, sessions(followed));
                Finding::new(JOURNAL, Verdict::Ok, says)
            })
    }

    fn no_journal(&self, fault: &io::Error) -> Finding {
        let finding = |verdict, says: &str| Finding::new(JOURNAL, verdict, says);
        if fault.kind() != io::ErrorKind::NotFound {
            return finding(Verdict::Unread, &format!("cannot be read: {fault}"));
        }
        match self.remembered.is_there() || self.dir.results().exists() {
            true => finding(Verdict::Missing, "is not there, though a session has ended"),
            false => finding(Verdict::NotEnded, "is not there yet: nothing was done"),
        }
    }

    /// Whether the journal cannot be followed to the end that the other files are of.
    fn has_lost_its_end(&self, followed: &Followed) -> bool {
        let is_stopped = matches!(followed.stop, Some(Stop::Damaged { .. } | Stop::Misfit { .. }));
        is_stopped || self.remembered.lost(followed).is_some()
    }

    /// Whether the journal had an end that it has no more.
    fn cut(&self, followed: &Followed) -> Option<Finding> {
        let (lines, lost) = (followed.lines, self.remembered.lost(followed)?);
        let says = format!(
            "ends at line {lines} and lacks the end that {SUMMARY} speaks of ({lost}): it was cut or \
             replaced, or {SUMMARY} was altered"
        );
        Some(Finding::new(JOURNAL, Verdict::Altered, says).at(lines))
    }

    /// Whether its lines come to other results than those whose hashes it has.
    fn other_results(&self, followed: &Followed, anew: Option<&Anew>) -> Option<Finding> {
        let end = followed.end.as_ref().filter(|end| is_ours(end))?;
        if anew.is_none() || self.vouched(anew).is_some() {
            return None;
        }
        let says = "it has other results than the lines before it come to";
        Some(Finding::new(JOURNAL, Verdict::Altered, says).at(end.line))
    }

    pub(super) fn table(&self, table: Table, anew: Option<&Anew>) -> Finding {
        let finding = |verdict, says: String| Finding::new(table.name(), verdict, says);
        let found = match table.found(self.dir) {
            Ok(found) => found,
            Err(fault) => return finding(Verdict::Unread, format!("cannot be read: {fault}")),
        };
        let Ok((_, followed)) = &self.journal else {
            return match found {
                Some(_) => finding(Verdict::Unread, "there is no journal to hold it against".to_owned()),
                None => finding(Verdict::NotYet, "is not there".to_owned()),
            };
        };
        // A session may have been killed between writing it and saying so.
        let is_new = anew.is_some_and(|anew| anew.of(table) == found.as_deref());
        match &followed.end {
            Some(end) => by_hash(table, found.as_deref(), end).unwrap_or_else(|| {
                if is_new && followed.is_open() {
                    return finding(Verdict::Ok, "as the journal comes to".to_owned());
                }
                if self.has_lost_its_end(followed) {
                    return finding(Verdict::Unread, NO_END.to_owned());
                }
                self.compared(table, end, anew)
            }),
            None if found.is_none() => finding(Verdict::NotYet, "is not there yet".to_owned()),
            None if is_new => finding(Verdict::Ok, "as the journal comes to".to_owned()),
            None if self.has_lost_its_end(followed) => finding(Verdict::Unread, NO_END.to_owned()),
            None => {
                let says = "is not what the journal comes to, and no end vouches for it";
                finding(Verdict::Altered, says.to_owned())
            }
        }
    }

    /// What comparing a table with what is made anew says. It can be compared only with what is made
    /// of the lines before its end.
    fn compared(&self, table: Table, end: &End, anew: Option<&Anew>) -> Finding {
        let finding = |verdict, says: String| Finding::new(table.name(), verdict, says);
        let compared = match self.vouched(anew) {
            Some(end) if end.of(table).is_none() => {
                return finding(Verdict::Altered, "is there, though nothing was unfinished".to_owned());
            }
            Some(_) => self.material(|material| table.compared(self.dir, &material)),
            None => None,
        };
        match compared {
            Some(Ok(compared)) => compared,
            Some(Err(fault)) => finding(Verdict::Unread, format!("cannot be compared: {fault}")),
            None => {
                let says = format!("is not what line {} of {JOURNAL} has the hash of", end.line);
                finding(Verdict::Altered, says)
            }
        }
    }

    /// The page for people. That it is another one is no fault: it may be written again at any time,
    /// and nothing is read from it.
    pub(super) fn report(&self) -> Option<Finding> {
        let end = self.journal.as_ref().ok()?.1.end.as_ref()?;
        let (line, wanted) = (end.line, end.report.as_deref()?);
        let (verdict, says) = match hash_of(&self.dir.report()).ok()?.as_deref() {
            Some(found) if found == wanted => (Verdict::Ok, format!("line {line} of {JOURNAL} has its hash")),
            Some(_) => {
                let says = format!(
                    "is another one than line {line} of {JOURNAL} has the hash of: it was written again since, or altered"
                );
                (Verdict::NotYet, says)
            }
            None => (Verdict::NotYet, "is not there; the command report writes it".to_owned()),
        };
        Some(Finding::new(REPORT, verdict, says))
    }

    pub(super) fn summary(&self, anew: Option<&Anew>) -> Finding {
        let Ok((_, followed)) = &self.journal else {
            let verdict = if self.remembered.is_there() { Verdict::Unread } else { Verdict::NotYet };
            return Finding::new(SUMMARY, verdict, "there is no journal to hold it against");
        };
        let expected = self.vouched(anew).zip(anew).and_then(|(end, anew)| {
            let (run_id, sessions) = (&self.facts.run_id, followed.sessions.clone());
            let mut summary =
                self.material(|material| summary::anew(self.dir, run_id, &material, anew, end, sessions))?;
            summary.undone = followed.ledger.as_ref()?.undone_with(&followed.notes);
            Some(summary)
        });
        self.remembered.judge(self.dir, followed, expected.as_ref())
    }
}

/// What the hash alone says of a table, if that says it all.
fn by_hash(table: Table, found: Option<&str>, end: &End) -> Option<Finding> {
    let line = end.line;
    let finding = |verdict, says: String| Some(Finding::new(table.name(), verdict, says));
    match (found, end.of(table)) {
        (None, None) => finding(Verdict::Ok, "is not there: nothing was unfinished".to_owned()),
        (found, wanted) if found == wanted => {
            finding(Verdict::Ok, format!("line {line} of {JOURNAL} has its hash"))
        }
        (None, Some(_)) => {
            finding(Verdict::Missing, format!("is not there; line {line} of {JOURNAL} has its hash"))
        }
        _ => None,
    }
}

/// What is wrong with a line, if one is not as it was written.
fn unsound(followed: &Followed) -> Option<Finding> {
    let finding = |verdict, line, says: String| Some(Finding::new(JOURNAL, verdict, says).at(line));
    match followed.stop.as_ref()? {
        Stop::Damaged { line: 1, why } => {
            let says = format!("it does not follow from {RUN_JSON} ({why}): one of the two was altered");
            finding(Verdict::Altered, 1, says)
        }
        Stop::Damaged { line, why } => {
            let says = format!("it is not what was written ({why}); the lines before it are sound");
            finding(Verdict::Altered, *line, says)
        }
        Stop::Misfit { line, why } => finding(Verdict::Unread, *line, why.clone()),
        Stop::Torn { .. } => None,
    }
}

/// What is still to come, if the last session has not ended.
fn not_ended(followed: &Followed) -> Option<Finding> {
    let finding = |says: String| Some(Finding::new(JOURNAL, Verdict::NotEnded, says));
    if let Some(Stop::Torn { line, torn }) = &followed.stop {
        let says = match followed.is_in_use {
            true => "it is just being written".to_owned(),
            false => format!("a kill has torn it: {} bytes, which resume cuts off", torn.bytes),
        };
        return finding(says).map(|finding| finding.at(*line));
    }
    match followed.lines {
        0 => finding("is empty: nothing was done".to_owned()),
        lines if followed.is_open() => {
            finding(format!("{lines} lines, {}, the last of which has not ended", sessions(followed)))
        }
        _ => None,
    }
}

fn sessions(followed: &Followed) -> String {
    match followed.sessions.len() {
        1 => "1 session".to_owned(),
        n => format!("{n} sessions"),
    }
}

/// The input, if it is as it was when the run began.
pub(super) fn input(dir: &RunDir, facts: &RunFacts) -> (Finding, Option<(Source, Job)>) {
    let finding = |verdict, says: String| (Finding::new(INPUT, verdict, says), None);
    let sha256 = File::open(dir.file(INPUT)).and_then(|mut file| {
        let mut hasher = Sha256::new();
        io::copy(&mut file, &mut hasher)?;
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    });
    match sha256 {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            return finding(Verdict::Missing, "is not there: the run cannot be gone on with".to_owned());
        }
        Err(fault) => return finding(Verdict::Unread, format!("cannot be read: {fault}")),
        Ok(sha256) if sha256 != facts.input.sha256 => {
            let says = format!("its SHA-256 is {sha256}, and {RUN_JSON} has {}", facts.input.sha256);
            return finding(Verdict::Altered, says);
        }
        Ok(_) => {}
    }
    let read = dir.input().map_err(|fault| fault.to_string()).and_then(|source| {
        let job = job::read(&source, &facts.input.options).map_err(|fault| fault.to_string())?;
        Ok((source, job))
    });
    match read {
        Ok((source, job)) => {
            let says = format!("{} operations in {} rows", job.operations.len(), job.rows);
            (Finding::new(INPUT, Verdict::Ok, says), Some((source, job)))
        }
        Err(fault) => finding(Verdict::Unread, format!("is as it was, and cannot be understood: {fault}")),
    }
}
