//! The files of a run, read, and what each of them is found to be.

use std::fs::File;
use std::io;

use sha2::{Digest, Sha256};

use super::super::facts::{RunFacts, who};
use super::super::journal::Chain;
use super::super::results::{Material, Outcomes};
use super::super::rundir::{
    DirError, INPUT, JOURNAL, REPORT, RESULTS, RUN_JSON, RunDir, SUMMARY, UNFINISHED,
};
use super::follow::{self, End, Followed, Stop, Wanted};
use super::summary::{self, Remembered};
use super::tables::{Anew, Table, hash_of};
use super::{Audit, Expected, Finding, SessionEnd, Verdict};
use crate::job::{self, Job, Source};

/// A run's files, as far as they could be read.
pub(super) struct Evidence<'a> {
    dir: &'a RunDir,
    facts: &'a RunFacts,
    expected: Option<Chain>,
    input: Finding,
    /// The input and what it asks for, if it is as it was.
    job: Option<(Source, Job)>,
    /// The journal, and what it says; or why it could not be read.
    journal: io::Result<(File, Followed)>,
    remembered: Remembered,
}

impl<'a> Evidence<'a> {
    pub(super) fn gather(dir: &'a RunDir, facts: &'a RunFacts, expected: Option<Chain>) -> Evidence<'a> {
        let (input, job) = read_input(dir, facts);
        // What it vouches for was in the journal before it, so it is read before it.
        let remembered = Remembered::read(dir);
        let wanted = Wanted { expected, vouched: remembered.vouched_for() };
        let journal = File::open(dir.file(JOURNAL)).and_then(|file| {
            let seed = dir.seed(facts).map_err(io::Error::other)?;
            let followed = follow::follow(&file, seed, job.as_ref().map(|(_, job)| job), wanted)?;
            Ok((file, followed))
        });
        Evidence { dir, facts, expected, input, job, journal, remembered }
    }

    /// What there is to say of each file.
    pub(super) fn judge(self) -> Audit {
        let anew = self.material(|material| Anew::new(&material));
        // The input could be read a moment ago: what cannot be made anew is said of each file.
        let anew = anew.and_then(Result::ok);
        let mut files = vec![self.run_json(), self.input.clone(), self.journal(anew.as_ref())];
        let tables = Table::ALL.map(|table| self.table(table, anew.as_ref()));
        let can_rewrite = self.vouched(anew.as_ref()).is_some()
            && files.iter().all(|finding| finding.verdict.is_sound())
            && tables.iter().any(|finding| !finding.verdict.is_sound());
        let summary = self.summary(anew.as_ref());
        let can_resume = self.can_resume(&files, &summary);
        files.extend(tables);
        files.extend(self.report());
        files.push(summary);
        let is_found = |name: &str| files.iter().any(|finding| finding.file == name);
        let unvouched = others(self.dir).into_iter().filter(|name| !is_found(name)).collect();
        let followed = self.journal.as_ref().ok().map(|(_, followed)| followed);
        let expected = self.expected.map(|chain| {
            let met = followed.and_then(|followed| followed.met);
            Expected {
                chain: chain.to_string(),
                line: met.map(|met| met.line),
                session: met.map(|met| met.session),
                ended_at: met.and_then(|met| met.ended).map(|at| at.to_string()),
            }
        });
        let ended = followed.is_some_and(|followed| followed.stop.is_none() && !followed.is_open());
        let is_met = expected.as_ref().is_none_or(|expected| expected.line.is_some());
        Audit {
            run_id: self.facts.run_id.clone(),
            sound: is_met && files.iter().all(|finding| finding.verdict.is_sound()),
            ended,
            files,
            sessions: followed.map(ends).unwrap_or_default(),
            lines: followed.map_or(0, |followed| followed.lines),
            expected,
            in_use: self.is_in_use(),
            can_rewrite,
            can_resume,
            unvouched,
        }
    }

    /// Writes the tables again that are not as the journal has them; see [`RunDir::rewrite_results`].
    pub(super) fn rewrite(self) -> Result<Vec<&'static str>, DirError> {
        let path = self.dir.path();
        let anew = self.material(|material| Anew::new(&material)).transpose().map_err(DirError::io(path))?;
        let Some(end) = self.vouched(anew.as_ref()) else { return Ok(Vec::new()) };
        let mut written = Vec::new();
        for table in Table::ALL {
            let found = table.found(self.dir).map_err(DirError::io(&self.dir.file(table.name())))?;
            if found.as_deref() != end.of(table) {
                self.material(|material| table.rewrite(self.dir, &material, end.of(table))).transpose()?;
                written.push(table.name());
            }
        }
        Ok(written)
    }

    /// What the results are made of, if all of it is there.
    fn material<T>(&self, make: impl FnOnce(Material<'_>) -> T) -> Option<T> {
        let (Some((input, job)), Ok((journal, followed))) = (&self.job, &self.journal) else { return None };
        let ledger = followed.ledger.as_ref()?;
        let (options, outcomes) = (&self.facts.input.options, Outcomes::Done { ledger, journal });
        let tolerated = self.facts.tolerated();
        Some(make(Material { job, input, options, tolerated, outcomes }))
    }

    /// The end that closes a journal that is whole, if its lines come to the results that it has the
    /// hashes of.
    fn vouched(&self, anew: Option<&Anew>) -> Option<&End> {
        let (_, followed) = self.journal.as_ref().ok()?;
        // A session that was killed before its first line was whole has changed nothing.
        let is_whole = matches!(followed.stop, None | Some(Stop::Torn { .. })) && !followed.is_open();
        let end = followed.end.as_ref().filter(|_| is_whole)?;
        let anew = anew?;
        Table::ALL.into_iter().all(|table| anew.of(table) == end.of(table)).then_some(end)
    }

    fn is_in_use(&self) -> bool {
        self.journal.as_ref().is_ok_and(|(_, followed)| followed.is_in_use)
    }

    /// Whether a resume would take the run up. `files` are those that it looks at beside the summary.
    fn can_resume(&self, files: &[Finding], summary: &Finding) -> bool {
        let lets_go_on =
            |finding: &Finding| finding.verdict.is_sound() || finding.verdict == Verdict::NotEnded;
        let is_summary_bad = matches!(summary.verdict, Verdict::Altered | Verdict::Doubtful);
        let waits = files.iter().chain([summary]).any(|finding| !finding.verdict.is_sound());
        waits && files.iter().all(lets_go_on) && !is_summary_bad && !self.is_in_use()
    }

    fn run_json(&self) -> Finding {
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

    fn journal(&self, anew: Option<&Anew>) -> Finding {
        let finding = |verdict, says: String| Finding::new(JOURNAL, verdict, says);
        let followed = match &self.journal {
            Ok((_, followed)) => followed,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let has_ended = self.remembered.is_there() || self.dir.results().exists();
                return match has_ended {
                    true => finding(Verdict::Missing, "is not there, though a session has ended".to_owned()),
                    false => finding(Verdict::NotEnded, "is not there yet: nothing was done".to_owned()),
                };
            }
            Err(fault) => return finding(Verdict::Unread, format!("cannot be read: {fault}")),
        };
        let lines = followed.lines;
        match &followed.stop {
            Some(Stop::Damaged { line: 1, why }) => {
                let says =
                    format!("line 1 does not follow from {RUN_JSON} ({why}): one of the two was altered");
                return finding(Verdict::Altered, says).at(1);
            }
            Some(Stop::Damaged { line, why }) => {
                let says =
                    format!("it is not what was written ({why}); the {lines} lines before it are sound");
                return finding(Verdict::Altered, says).at(*line);
            }
            Some(Stop::Misfit { line, why }) => return finding(Verdict::Unread, why.clone()).at(*line),
            _ => {}
        }
        if let Some(lost) = self.remembered.lost(followed) {
            let says = format!(
                "ends at line {lines} and lacks the end that {SUMMARY} speaks of ({lost}): it was cut or \
                 replaced, or {SUMMARY} was altered"
            );
            return finding(Verdict::Altered, says).at(lines);
        }
        if let Some(Stop::Torn { line, torn }) = &followed.stop {
            let says = format!(
                "its last session was killed; {} bytes are torn, which resume cuts off: nothing that had counted",
                torn.bytes
            );
            return finding(Verdict::NotEnded, says).at(*line);
        }
        let sessions = match followed.sessions.len() {
            1 => "1 session".to_owned(),
            n => format!("{n} sessions"),
        };
        if lines == 0 {
            return finding(Verdict::NotEnded, "is empty: nothing was done".to_owned());
        }
        if followed.is_open() {
            return finding(
                Verdict::NotEnded,
                format!("{lines} lines, {sessions}, the last of which has not ended"),
            );
        }
        if let (Some(end), Some(anew)) = (&followed.end, anew)
            && self.vouched(Some(anew)).is_none()
            && is_ours(end)
        {
            let says = "it has other results than the lines before it come to".to_owned();
            return finding(Verdict::Altered, says).at(end.line);
        }
        let notes = match followed.behind {
            0 => String::new(),
            1 => ", 1 note behind the last end".to_owned(),
            n => format!(", {n} notes behind the last end"),
        };
        finding(Verdict::Ok, format!("{lines} lines, {sessions}{notes}"))
    }

    fn table(&self, table: Table, anew: Option<&Anew>) -> Finding {
        let found = match table.found(self.dir) {
            Ok(found) => found,
            Err(fault) => {
                return Finding::new(table.name(), Verdict::Unread, format!("cannot be read: {fault}"));
            }
        };
        let finding = |verdict, says: String| Finding::new(table.name(), verdict, says);
        let Ok((_, followed)) = &self.journal else {
            return match found {
                Some(_) => finding(Verdict::Unread, "there is no journal to hold it against".to_owned()),
                None => finding(Verdict::NotYet, "is not there".to_owned()),
            };
        };
        let comes_to = anew.map(|anew| anew.of(table));
        let Some(end) = &followed.end else {
            return match found.as_deref() {
                None => finding(Verdict::NotYet, "is not there yet".to_owned()),
                // The session was killed between writing it and saying so.
                found if comes_to == Some(found) => {
                    finding(Verdict::Ok, "as the journal comes to".to_owned())
                }
                _ => finding(
                    Verdict::Altered,
                    "is not what the journal comes to, and no end vouches for it".to_owned(),
                ),
            };
        };
        let line = end.line;
        match (found.as_deref(), end.of(table)) {
            (None, None) => finding(Verdict::Ok, "is not there: nothing was unfinished".to_owned()),
            (found, wanted) if found == wanted => {
                finding(Verdict::Ok, format!("line {line} of {JOURNAL} has its hash"))
            }
            (None, Some(_)) => {
                finding(Verdict::Missing, format!("is not there; line {line} of {JOURNAL} has its hash"))
            }
            (Some(_), None) => {
                finding(Verdict::Altered, "is there, though nothing was unfinished".to_owned())
            }
            (found, _) if followed.is_open() && comes_to == Some(found) => {
                finding(Verdict::Ok, "as the journal comes to".to_owned())
            }
            // It can be compared only with what is made of the same lines.
            _ if self.vouched(anew).is_none() => {
                finding(Verdict::Altered, format!("is not what line {line} of {JOURNAL} has the hash of"))
            }
            _ => {
                let compared = self.material(|material| table.compared(self.dir, &material));
                let unread =
                    |fault: io::Error| finding(Verdict::Unread, format!("cannot be compared: {fault}"));
                match compared {
                    Some(compared) => compared.unwrap_or_else(unread),
                    None => unread(io::Error::other("there is nothing to hold it against")),
                }
            }
        }
    }

    /// The page for people, if it is the one that the last end has the hash of. Another one is no
    /// fault: it can be written again at any time, and nothing is read from it.
    fn report(&self) -> Option<Finding> {
        let end = self.journal.as_ref().ok()?.1.end.as_ref()?;
        let found = hash_of(&self.dir.report()).ok()??;
        let says = || format!("line {} of {JOURNAL} has its hash", end.line);
        (end.report == Some(found)).then(|| Finding::new(REPORT, Verdict::Ok, says()))
    }

    fn summary(&self, anew: Option<&Anew>) -> Finding {
        let Ok((_, followed)) = &self.journal else {
            let verdict = if self.remembered.is_there() { Verdict::Unread } else { Verdict::NotYet };
            return Finding::new(SUMMARY, verdict, "there is no journal to hold it against");
        };
        let vouched = self.vouched(anew);
        let expected = vouched.zip(anew).and_then(|(end, anew)| {
            self.material(|material| {
                summary::anew(self.dir, &self.facts.run_id, &material, anew, end, followed.sessions.clone())
            })
        });
        self.remembered.judge(self.dir, followed, expected.as_ref())
    }
}

/// Whether an end was written by this version, whose results this version can make anew.
pub(super) fn is_ours(end: &End) -> bool {
    end.version == env!("CARGO_PKG_VERSION")
}

fn ends(followed: &Followed) -> Vec<SessionEnd> {
    let sessions = followed.sessions.iter().enumerate();
    sessions
        .filter_map(|(number, session)| {
            Some(SessionEnd {
                session: number + 1,
                operator: who(&session.operator, &session.unix_user),
                at: session.ended_at.clone()?,
                exit_code: session.exit_code?,
                chain: session.chain.clone()?,
            })
        })
        .collect()
}

/// The input, if it is as it was when the run began.
fn read_input(dir: &RunDir, facts: &RunFacts) -> (Finding, Option<(Source, Job)>) {
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

/// What else is in the directory.
fn others(dir: &RunDir) -> Vec<String> {
    let known = [RUN_JSON, INPUT, JOURNAL, RESULTS, UNFINISHED, SUMMARY];
    let Ok(entries) = std::fs::read_dir(dir.path()) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.filter(|name| !known.contains(&name.as_str())).collect();
    names.sort();
    names
}
