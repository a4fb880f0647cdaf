//! A run's directory: making it, finding it again, what stands where in it.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, remedy};
use super::entry::Stamp;
use super::facts::{FORMAT, RunFacts};
use super::room::{Estimate, size};
use super::team::{our_uid, user};
use super::trust;
use crate::domain::Exit;
use crate::job::Source;

/// What a run has of files; see the table in README.
pub(super) const FILES: [&str; 8] = [RUN_JSON, INPUT, JOURNAL, RESULTS, UNFINISHED, REPORT, SUMMARY, SANDBOX];

pub(super) const RUN_JSON: &str = "run.json";
pub(super) const INPUT: &str = "input.csv";
pub(super) const JOURNAL: &str = "journal.jsonl";
pub(super) const RESULTS: &str = "results.csv";
pub(super) const UNFINISHED: &str = "unfinished.csv";
pub(super) const REPORT: &str = "report.html";
pub(super) const SUMMARY: &str = "summary.json";
const SANDBOX: &str = "sandbox.json";

/// A run's directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    pub(super) path: PathBuf,
    pub(super) disk: Disk,
}

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// It cannot be made or written.
    #[error("{path} cannot be made, read or written: {source}{}", remedy(source))]
    Io {
        /// The file or directory.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The run cannot fit where it is to be kept.
    #[error(
        "there is no room for this run: it needs about {} (journal {}, results {}, input {}, and a margin), \
         and {path} has {} free: make room there, or keep the run elsewhere with --run-dir",
        size(needed.sum()), size(needed.journal), size(needed.results), size(needed.input), size(*free)
    )]
    NoRoom {
        /// Where.
        path: String,
        /// How much is free there, in bytes.
        free: u64,
        /// How much is needed.
        needed: Estimate,
    },
    /// It holds something already.
    #[error("{0} is not empty: name a directory that is not there yet")]
    NotEmpty(String),
    /// It is nothing that a run could be kept in.
    #[error("{0}: name a directory that is not there yet")]
    Unfit(String),
    /// The input is no longer what was checked.
    #[error("the input changed while it was read: run it again")]
    InputChanged,
    /// It is not a run, or not one that this version knows, or was altered.
    #[error("{0}")]
    NotARun(String),
    /// Another process works on it.
    #[error(
        "{0} is in use by another mailsweep: to see it, mailsweep status {0}; to end it, mailsweep stop {0}"
    )]
    InUse(String),
}

impl DirError {
    /// The exit code that it means.
    pub fn exit(&self) -> Exit {
        match self {
            DirError::Io { .. } | DirError::NoRoom { .. } => Exit::Unwritable,
            DirError::NotEmpty(_) | DirError::Unfit(_) | DirError::InputChanged => Exit::Usage,
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
        disk: &Disk,
        asked: Option<&Path>,
        runs_dir: &Path,
        job_name: &str,
        at: Stamp,
    ) -> Result<RunDir, DirError> {
        if let Some(path) = asked {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                disk.create_dirs(parent).map_err(DirError::io(parent))?;
            }
            return match disk.create_dir(path) {
                Ok(()) => Ok(RunDir::new(disk, path)),
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => RunDir::take_empty(disk, path),
                Err(fault) => Err(DirError::io(path)(fault)),
            };
        }
        disk.create_dirs(runs_dir).map_err(DirError::io(runs_dir))?;
        let base = RunDir::name(None, job_name, at);
        for n in 1.. {
            let name = if n == 1 { base.clone() } else { format!("{base}-{n}") };
            let path = runs_dir.join(name);
            match disk.create_dir(&path) {
                Ok(()) => return Ok(RunDir::new(disk, path)),
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
                Err(fault) => return Err(DirError::io(&path)(fault)),
            }
        }
        Err(DirError::NotEmpty(runs_dir.display().to_string()))
    }

    /// The name that a run will have, unless another one has it already.
    pub fn name(asked: Option<&Path>, job_name: &str, at: Stamp) -> String {
        match asked {
            Some(path) => run_id(path),
            None => format!("{}-{}", compact(at), plain_name(job_name)),
        }
    }

    /// Whether a directory that was asked for could be made, as far as can be told beforehand.
    ///
    /// # Errors
    /// If something is in it already, or it is no directory.
    pub fn check(asked: Option<&Path>) -> Result<(), DirError> {
        let Some(path) = asked else { return Ok(()) };
        let shown = path.display();
        let found = match std::fs::symlink_metadata(trust::without_slash(path)) {
            Ok(found) => found,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(fault) => return Err(DirError::io(path)(fault)),
        };
        if let Some(why) = trust::alien(path, &found, true) {
            return Err(DirError::Unfit(format!("{shown} {why}")));
        }
        let mut entries = std::fs::read_dir(path).map_err(DirError::io(path))?;
        if entries.next().is_some() {
            return Err(DirError::NotEmpty(shown.to_string()));
        }
        if found.uid() != our_uid() {
            return Err(DirError::Unfit(format!("{shown} belongs to {}", user(found.uid()))));
        }
        Ok(())
    }

    /// A directory that is there already, if it is empty.
    fn take_empty(disk: &Disk, path: &Path) -> Result<RunDir, DirError> {
        RunDir::check(Some(path))?;
        disk.close(path).map_err(DirError::io(path))?;
        Ok(RunDir::new(disk, path))
    }

    fn new(disk: &Disk, path: impl Into<PathBuf>) -> RunDir {
        RunDir { path: path.into(), disk: disk.clone() }
    }

    /// The directory of a run that exists: a path, or the bare name of one under `runs_dir`.
    ///
    /// # Errors
    /// If there is no such run, if it is of another version's layout, or if it is not to be trusted.
    pub fn open(disk: &Disk, named: &Path, runs_dir: &Path) -> Result<(RunDir, RunFacts), DirError> {
        let beside = runs_dir.join(named);
        let is_bare = named.components().count() == 1;
        let is_here = std::fs::symlink_metadata(named.join(RUN_JSON)).is_ok();
        RunDir::at(disk, if is_bare && !is_here { &beside } else { named })
    }

    /// The run whose directory this is.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn at(disk: &Disk, path: &Path) -> Result<(RunDir, RunFacts), DirError> {
        trust::check(disk, path)?;
        let dir = RunDir::new(disk, path);
        let facts = dir.facts()?;
        Ok((dir, facts))
    }

    fn facts(&self) -> Result<RunFacts, DirError> {
        let shown = self.path.display();
        let text = match std::fs::read(self.file(RUN_JSON)) {
            Ok(text) => text,
            Err(fault) if trust::is_missing(&fault) => {
                let why = if self.path.exists() {
                    format!("{shown} is not a run: it has no {RUN_JSON}")
                } else {
                    format!("{shown} is not a run: it is not there; mailsweep runs lists those that are")
                };
                return Err(DirError::NotARun(why));
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

    /// What it is written by.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name.
    pub fn run_id(&self) -> String {
        run_id(&self.path)
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
        self.file(SANDBOX)
    }

    /// The input, as it was.
    ///
    /// # Errors
    /// If it is gone: then it is no run any more.
    pub fn input(&self) -> Result<Source, DirError> {
        Source::file(self.file(INPUT)).map_err(|fault| DirError::NotARun(format!("the run's input: {fault}")))
    }

    /// Writes what the run is and copies its input. If that fails there is no run: what has come of
    /// it is taken away again, as far as that goes.
    ///
    /// # Errors
    /// If it cannot be written, or the input is no longer what was checked.
    pub fn write_facts(&self, facts: &RunFacts, input: &Source) -> Result<(), DirError> {
        self.try_to_write_facts(facts, input).inspect_err(|_| self.take_away())
    }

    /// Takes the directory away, with what a run has of files. If that cannot be, so be it.
    pub fn take_away(&self) {
        for name in FILES {
            let _ = self.disk.remove(&self.file(name));
        }
        let _ = self.disk.remove_dir(&self.path);
    }

    fn try_to_write_facts(&self, facts: &RunFacts, input: &Source) -> Result<(), DirError> {
        let path = self.file(INPUT);
        let copied = self.disk.write_whole(&path, |out| copy_and_hash(input.open()?, out));
        if copied.map_err(DirError::io(&path))? != facts.input.sha256 {
            return Err(DirError::InputChanged);
        }
        let path = self.file(RUN_JSON);
        let written = self.disk.write_whole(&path, |out| {
            serde_json::to_writer_pretty(&mut *out, facts)?;
            out.write_all(b"\n")
        });
        written.map_err(DirError::io(&path))
    }
}

/// A run's name: that of its directory.
fn run_id(path: &Path) -> String {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    full.file_name().unwrap_or_default().to_string_lossy().into_owned()
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
        let make = || RunDir::create(&Disk::default(), None, runs.path(), "a.csv", at).unwrap().run_id();
        assert_eq!(make(), "20261123T190000Z-a");
        assert_eq!(make(), "20261123T190000Z-a-2");
        assert_eq!(make(), "20261123T190000Z-a-3");
    }

    #[test]
    fn an_empty_directory_may_be_used_and_a_full_one_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        let asked = runs.path().join("deep/er");
        RunDir::create(&Disk::default(), Some(&asked), runs.path(), "a", Stamp(0)).unwrap();
        RunDir::create(&Disk::default(), Some(&asked), runs.path(), "a", Stamp(0)).unwrap();
        std::fs::write(asked.join("x"), "").unwrap();
        let refused = RunDir::create(&Disk::default(), Some(&asked), runs.path(), "a", Stamp(0)).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
    }
}
