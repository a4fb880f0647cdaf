//! A run's directory: making it, opening it, reading its journal.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::disk;
use super::entry::Stamp;
use super::facts::{FORMAT, RunFacts};
use super::journal::{self, Chain, Journal};
use super::summary::Summary;
use crate::domain::Exit;
use crate::job::Source;

pub(super) const RUN_JSON: &str = "run.json";
pub(super) const INPUT: &str = "input.csv";
pub(super) const JOURNAL: &str = "journal.jsonl";
pub(super) const RESULTS: &str = "results.csv";
pub(super) const UNFINISHED: &str = "unfinished.csv";
pub(super) const REPORT: &str = "report.html";
pub(super) const SUMMARY: &str = "summary.json";

/// A run's directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// It cannot be made or written.
    #[error("{path} cannot be made, read or written: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// It holds something already.
    #[error("{0} is not empty: name a directory that is not there yet, or leave --run-dir out")]
    NotEmpty(String),
    /// It is no directory.
    #[error("{0} is no directory: name one that is not there yet, or leave --run-dir out")]
    NotADirectory(String),
    /// The input is no longer what was checked.
    #[error("the input changed while it was read: run it again")]
    InputChanged,
    /// It is not a run, or not one that this version knows, or was altered.
    #[error("{0}")]
    NotARun(String),
    /// Another process works on it.
    #[error("{0} is in use by another mailsweep: wait for it to end, or stop it")]
    InUse(String),
}

impl DirError {
    /// The exit code that it means.
    pub fn exit(&self) -> Exit {
        match self {
            DirError::Io { .. } => Exit::Unwritable,
            DirError::NotEmpty(_) | DirError::NotADirectory(_) | DirError::InputChanged => Exit::Usage,
            DirError::NotARun(_) => Exit::NotARun,
            DirError::InUse(_) => Exit::InUse,
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> DirError {
        let path = path.display().to_string();
        move |source| DirError::Io { path, source }
    }
}

impl RunDir {
    /// Makes a run's directory: the one asked for, or a new one under `runs_dir` named after the
    /// time and the job.
    ///
    /// # Errors
    /// If it is not empty or cannot be made.
    pub fn create(
        asked: Option<&Path>,
        runs_dir: &Path,
        job_name: &str,
        at: Stamp,
    ) -> Result<RunDir, DirError> {
        if let Some(path) = asked {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent).map_err(DirError::io(parent))?;
            }
            return match disk::create_dir(path) {
                Ok(()) => Ok(RunDir { path: path.to_owned() }),
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => RunDir::take_empty(path),
                Err(fault) => Err(DirError::io(path)(fault)),
            };
        }
        std::fs::create_dir_all(runs_dir).map_err(DirError::io(runs_dir))?;
        let base = RunDir::name(None, job_name, at);
        for n in 1.. {
            let name = if n == 1 { base.clone() } else { format!("{base}-{n}") };
            let path = runs_dir.join(name);
            match disk::create_dir(&path) {
                Ok(()) => return Ok(RunDir { path }),
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
                Err(fault) => return Err(DirError::io(&path)(fault)),
            }
        }
        Err(DirError::NotEmpty(runs_dir.display().to_string()))
    }

    /// The name that a run will have, unless another one has it already.
    pub fn name(asked: Option<&Path>, job_name: &str, at: Stamp) -> String {
        match asked {
            Some(path) => RunDir { path: path.to_owned() }.run_id(),
            None => format!("{}-{}", compact(at), plain_name(job_name)),
        }
    }

    /// Whether a directory that was asked for could be made, as far as can be told beforehand.
    ///
    /// # Errors
    /// If something is in it already, or it is no directory.
    pub fn check(asked: Option<&Path>) -> Result<(), DirError> {
        let Some(path) = asked else { return Ok(()) };
        let is_empty = match std::fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => true,
            Err(_) if path.exists() && !path.is_dir() => {
                return Err(DirError::NotADirectory(path.display().to_string()));
            }
            Err(fault) => return Err(DirError::io(path)(fault)),
        };
        if is_empty { Ok(()) } else { Err(DirError::NotEmpty(path.display().to_string())) }
    }

    /// A directory that is there already, if it is empty.
    fn take_empty(path: &Path) -> Result<RunDir, DirError> {
        RunDir::check(Some(path))?;
        disk::make_private(path).map_err(DirError::io(path))?;
        Ok(RunDir { path: path.to_owned() })
    }

    /// The directory of a run that exists: a path, or the bare name of one under `runs_dir`.
    ///
    /// # Errors
    /// If there is no such run, or it is of another version's layout.
    pub fn open(named: &Path, runs_dir: &Path) -> Result<(RunDir, RunFacts), DirError> {
        let beside = runs_dir.join(named);
        let is_bare = named.components().count() == 1;
        RunDir::at(if is_bare && !named.join(RUN_JSON).exists() { &beside } else { named })
    }

    /// The run whose directory this is.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn at(path: &Path) -> Result<(RunDir, RunFacts), DirError> {
        let dir = RunDir { path: path.to_owned() };
        let facts = dir.facts()?;
        Ok((dir, facts))
    }

    fn facts(&self) -> Result<RunFacts, DirError> {
        let shown = self.path.display();
        let text = match std::fs::read(self.file(RUN_JSON)) {
            Ok(text) => text,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                return Err(DirError::NotARun(format!("{shown} is not a run: it has no {RUN_JSON}")));
            }
            Err(fault) => {
                return Err(DirError::NotARun(format!("{shown}/{RUN_JSON} cannot be read: {fault}")));
            }
        };
        let broken =
            |fault: serde_json::Error| DirError::NotARun(format!("{shown}/{RUN_JSON} is not sound: {fault}"));
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(broken)?;
        match value["format"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => serde_json::from_value(value).map_err(broken),
            Some(format) => Err(DirError::NotARun(format!(
                "{shown} was written by another version of mailsweep (layout {format}, this one knows {FORMAT})"
            ))),
            None => Err(DirError::NotARun(format!("{shown}/{RUN_JSON} is not a run's"))),
        }
    }

    /// Every run under a directory, newest first by name.
    pub fn list(runs_dir: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(runs_dir) else { return Vec::new() };
        let mut runs: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join(RUN_JSON).is_file())
            .collect();
        runs.sort();
        runs.reverse();
        runs
    }

    /// Every run under a directory, and what looks like one that has lost a file, oldest first by
    /// name; none if the directory is not there.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list_all(runs_dir: &Path) -> Result<Vec<PathBuf>, DirError> {
        let entries = match std::fs::read_dir(runs_dir) {
            Ok(entries) => entries,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(fault) => return Err(DirError::io(runs_dir)(fault)),
        };
        let is_run =
            |path: &PathBuf| [RUN_JSON, JOURNAL, RESULTS].iter().any(|name| path.join(name).exists());
        let mut runs = Vec::new();
        for entry in entries {
            let path = entry.map_err(DirError::io(runs_dir))?.path();
            // What cannot be looked into may be one.
            if is_run(&path) || (path.is_dir() && std::fs::read_dir(&path).is_err()) {
                runs.push(path);
            }
        }
        runs.sort();
        Ok(runs)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name.
    pub fn run_id(&self) -> String {
        let full = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        full.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the journal stands.
    pub fn journal(&self) -> PathBuf {
        self.file(JOURNAL)
    }

    /// Where the results stand.
    pub fn results(&self) -> PathBuf {
        self.file(RESULTS)
    }

    /// Where the unfinished rows stand, if there are any.
    pub fn unfinished(&self) -> PathBuf {
        self.file(UNFINISHED)
    }

    /// Where the summary stands.
    pub fn summary(&self) -> PathBuf {
        self.file(SUMMARY)
    }

    /// Where the report for people stands.
    pub fn report(&self) -> PathBuf {
        self.file(REPORT)
    }

    /// Where an embedded sandbox keeps its state.
    pub fn sandbox(&self) -> PathBuf {
        self.file("sandbox.json")
    }

    /// The input, as it was.
    ///
    /// # Errors
    /// If it is gone: then it is no run any more.
    pub fn input(&self) -> Result<Source, DirError> {
        Source::file(self.file(INPUT)).map_err(|fault| DirError::NotARun(format!("the run's input: {fault}")))
    }

    /// Writes what the run is and copies its input.
    ///
    /// # Errors
    /// If it cannot be written, or the input is no longer what was checked.
    pub fn write_facts(&self, facts: &RunFacts, input: &Source) -> Result<(), DirError> {
        let path = self.file(INPUT);
        let digest =
            disk::write_whole(&path, |out| copy_and_hash(input.open()?, out)).map_err(DirError::io(&path))?;
        if digest != facts.input.sha256 {
            return Err(DirError::InputChanged);
        }
        let path = self.file(RUN_JSON);
        disk::write_whole(&path, |out| {
            serde_json::to_writer_pretty(&mut *out, facts)?;
            out.write_all(b"\n")
        })
        .map_err(DirError::io(&path))
    }

    /// Begins the journal, locked for this process.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn start_journal(&self, facts: &RunFacts) -> Result<Journal, DirError> {
        let path = self.file(JOURNAL);
        let seed = self.seed(facts)?;
        Journal::create(&path, seed).map_err(DirError::io(&path))
    }

    /// Where the chain of its journal begins.
    pub(super) fn seed(&self, facts: &RunFacts) -> Result<Chain, DirError> {
        let path = self.file(RUN_JSON);
        let text = std::fs::read(&path).map_err(DirError::io(&path))?;
        Ok(Chain::seed(&text, &facts.input.sha256))
    }

    /// The summary, if a session has written one.
    ///
    /// # Errors
    /// If there is one that cannot be read: it could hide that the journal was cut.
    pub(super) fn remembered(&self) -> Result<Option<Summary>, DirError> {
        let shown = self.path.display();
        match std::fs::read(self.summary()) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| self.summary_altered()),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(DirError::NotARun(format!("{shown}/{SUMMARY} cannot be read: {fault}"))),
        }
    }

    /// The chain hash for which the summary vouches; none if there is no summary.
    ///
    /// # Errors
    /// If there is a summary, and it does not tell.
    pub(super) fn vouched_for(&self) -> Result<Option<Chain>, DirError> {
        let Some(summary) = self.remembered()? else { return Ok(None) };
        let chain = summary.vouched_for().and_then(Chain::read);
        chain.map(Some).ok_or_else(|| self.summary_altered())
    }

    fn summary_altered(&self) -> DirError {
        let shown = self.path.display();
        DirError::NotARun(format!(
            "{shown}/{SUMMARY} was altered: see what «mailsweep audit {shown}» says of the journal, and move \
             {SUMMARY} away if that is whole"
        ))
    }

    /// Keeps other processes from working on a run, for as long as what is returned lives.
    ///
    /// # Errors
    /// If one does already, or there is no journal.
    pub(super) fn hold(&self) -> Result<std::fs::File, DirError> {
        let path = self.file(JOURNAL);
        let file = std::fs::File::open(&path).map_err(DirError::io(&path))?;
        self.lock(&file)?;
        Ok(file)
    }

    /// Locks the run's journal for this process.
    ///
    /// # Errors
    /// If another one has it.
    pub(super) fn lock(&self, journal: &std::fs::File) -> Result<(), DirError> {
        journal::lock(journal).map_err(|fault| match fault.kind() {
            io::ErrorKind::WouldBlock => DirError::InUse(self.path.display().to_string()),
            _ => DirError::io(&self.file(JOURNAL))(fault),
        })
    }

    /// What the last session that ended in good order has written; `None` if none did.
    pub fn last_summary(&self) -> Option<Summary> {
        serde_json::from_slice(&std::fs::read(self.summary()).ok()?).ok()
    }

    /// Whether a process works on it.
    pub fn is_in_use(&self) -> bool {
        std::fs::File::open(self.journal()).is_ok_and(|file| journal::is_locked(&file).unwrap_or(false))
    }

    /// Whether the last session has ended in good order, as far as the journal's last line tells.
    pub fn looks_closed(&self) -> bool {
        std::fs::File::open(self.file(JOURNAL))
            .is_ok_and(|file| journal::looks_closed(&file).unwrap_or(false))
    }
}

/// The time in the form of a directory's name.
pub(super) fn compact(at: Stamp) -> String {
    let text: String = at.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let seconds = text.split('.').next().unwrap_or_default().to_owned();
    seconds + "Z"
}

/// A job's name as part of a directory's: letters, digits and a few signs.
fn plain_name(name: &str) -> String {
    let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .take(60)
        .collect();
    let plain = plain.trim_start_matches(['.', '-']);
    if plain.is_empty() { "job".to_owned() } else { plain.to_owned() }
}

fn copy_and_hash(mut from: impl Read, out: &mut impl Write) -> io::Result<String> {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_name_is_its_time_and_its_job() {
        assert_eq!(compact(Stamp(1_795_460_400_123)), "20261123T190000Z");
        for (name, plain) in [
            ("breach.csv", "breach"),
            ("/tmp/my list (2).csv", "my_list__2_"),
            ("-", "job"),
            ("..", "job"),
            ("ünï.txt", "_n_"),
        ] {
            assert_eq!(plain_name(name), plain, "{name}");
        }
    }

    #[test]
    fn a_second_run_in_the_same_second_gets_a_number() {
        let runs = tempfile::tempdir().unwrap();
        let at = Stamp(1_795_460_400_123);
        let make = || RunDir::create(None, runs.path(), "a.csv", at).unwrap().run_id();
        assert_eq!(make(), "20261123T190000Z-a");
        assert_eq!(make(), "20261123T190000Z-a-2");
        assert_eq!(make(), "20261123T190000Z-a-3");
    }

    #[test]
    fn an_empty_directory_may_be_used_and_a_full_one_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        let asked = runs.path().join("deep/er");
        RunDir::create(Some(&asked), runs.path(), "a", Stamp(0)).unwrap();
        RunDir::create(Some(&asked), runs.path(), "a", Stamp(0)).unwrap();
        std::fs::write(asked.join("x"), "").unwrap();
        let refused = RunDir::create(Some(&asked), runs.path(), "a", Stamp(0)).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
    }
}
