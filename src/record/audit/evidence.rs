//! The files of a run, read, and what each of them is found to be.

use std::fs::File;
use std::io;

use super::super::facts::{RunFacts, who};
use super::super::journal::Chain;
use super::super::results::{Material, Outcomes};
use super::super::rundir::{DirError, INPUT, JOURNAL, RESULTS, RUN_JSON, RunDir, SUMMARY, UNFINISHED};
use super::files;
use super::follow::{self, End, Followed, Stop, Wanted};
use super::summary::Remembered;
use super::tables::{Anew, Table};
use super::{Audit, Expected, Finding, SessionEnd, Verdict};
use crate::job::{Job, Source};

/// A run's files, as far as they could be read.
pub(super) struct Evidence<'a> {
    pub(super) dir: &'a RunDir,
    pub(super) facts: &'a RunFacts,
    expected: Option<Chain>,
    input: Finding,
    /// The input and what it asks for, if it is as it was.
    job: Option<(Source, Job)>,
    /// The journal, and what it says; or why it could not be read.
    pub(super) journal: io::Result<(File, Followed)>,
    pub(super) remembered: Remembered,
}

impl<'a> Evidence<'a> {
    pub(super) fn gather(dir: &'a RunDir, facts: &'a RunFacts, expected: Option<Chain>) -> Evidence<'a> {
        let (input, job) = files::input(dir, facts);
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
    pub(super) fn material<T>(&self, make: impl FnOnce(Material<'_>) -> T) -> Option<T> {
        let (Some((input, job)), Ok((journal, followed))) = (&self.job, &self.journal) else { return None };
        let ledger = followed.ledger.as_ref()?;
        let (options, outcomes) = (&self.facts.input.options, Outcomes::Done { ledger, journal });
        let tolerated = self.facts.tolerated();
        Some(make(Material { job, input, options, tolerated, outcomes }))
    }

    /// The end that closes a journal that is whole, if its lines come to the results that it has the
    /// hashes of.
    pub(super) fn vouched(&self, anew: Option<&Anew>) -> Option<&End> {
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

/// What else is in the directory.
fn others(dir: &RunDir) -> Vec<String> {
    let known = [RUN_JSON, INPUT, JOURNAL, RESULTS, UNFINISHED, SUMMARY];
    let Ok(entries) = std::fs::read_dir(dir.path()) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.filter(|name| !known.contains(&name.as_str())).collect();
    names.sort();
    names
}
