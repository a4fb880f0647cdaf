//! What `summary.json` says, held against what the journal comes to.

use serde_json::Value;

use super::super::journal::Chain;
use super::super::results::Material;
use super::super::rundir::{RunDir, SUMMARY};
use super::super::summary::{SessionFigures, Summary};
use super::evidence::is_ours;
use super::follow::{End, Followed};
use super::tables::Anew;
use super::{Finding, Verdict};
use crate::domain::Exit;

/// The summary, as it is found.
pub(super) enum Remembered {
    Missing,
    /// It cannot be read: the line, if it is one's fault, and why.
    Unread(Option<u64>, String),
    Read {
        text: Vec<u8>,
        summary: Box<Summary>,
    },
}

impl Remembered {
    pub(super) fn read(dir: &RunDir) -> Remembered {
        match std::fs::read(dir.summary()) {
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Remembered::Missing,
            Err(fault) => Remembered::Unread(None, format!("cannot be read: {fault}")),
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(summary) => Remembered::Read { text, summary },
                Err(fault) => {
                    let line = (fault.line() > 0).then_some(fault.line() as u64);
                    Remembered::Unread(line, format!("is no summary any more: {fault}"))
                }
            },
        }
    }

    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Remembered::Missing)
    }

    /// The chain hash that the journal has had.
    pub(super) fn vouched_for(&self) -> Option<Chain> {
        let Remembered::Read { summary, .. } = self else { return None };
        summary.vouched_for().and_then(Chain::read)
    }

    /// The same, if the journal has it no more, or it is none.
    pub(super) fn lost(&self, followed: &Followed) -> Option<&str> {
        let Remembered::Read { summary, .. } = self else { return None };
        followed.vouched.is_none().then(|| summary.vouched_for().unwrap_or("none"))
    }

    /// What there is to say of it. `expected` is what the journal comes to, where that can be told.
    pub(super) fn judge(&self, dir: &RunDir, followed: &Followed, expected: Option<&Summary>) -> Finding {
        let finding = |verdict, says: String| Finding::new(SUMMARY, verdict, says);
        let (text, summary) = match self {
            Remembered::Missing if followed.end.is_none() => {
                return finding(Verdict::NotYet, "is not there yet".to_owned());
            }
            Remembered::Missing => {
                let says = "is not there, though a session has ended: resume writes it again";
                return finding(Verdict::Missing, says.to_owned());
            }
            Remembered::Unread(line, why) => {
                let finding = finding(Verdict::Altered, why.clone());
                return Finding { line: *line, ..finding };
            }
            Remembered::Read { text, summary } => (text, summary),
        };
        if let Some(lost) = self.lost(followed) {
            let says =
                format!("speaks of an end that the journal does not have, as far as it is sound ({lost})");
            return finding(Verdict::Doubtful, says);
        }
        let chains = |sessions: &[SessionFigures]| -> Vec<Option<String>> {
            sessions.iter().map(|session| session.chain.clone()).collect()
        };
        let (said, known) = (chains(&summary.sessions), chains(&followed.sessions));
        if !known.starts_with(&said) {
            return finding(Verdict::Altered, "has other sessions than the journal".to_owned());
        }
        if said.len() < known.len() {
            let is_open = followed.is_open() || followed.stop.is_some();
            let why = if is_open {
                ""
            } else {
                ": the last one was killed at its very end, and resume writes it again"
            };
            let verdict = if is_open { Verdict::Ok } else { Verdict::NotEnded };
            return finding(verdict, format!("is as of session {}{why}", said.len()));
        }
        if followed.end.as_ref().is_some_and(|end| !is_ours(end)) {
            return finding(Verdict::Ok, "has the journal's sessions; another version wrote it".to_owned());
        }
        let wanted = expected.and_then(|expected| {
            // The directory may have another name by now, and a note behind the end may have come
            // later than this.
            let run_id = if summary.run_id == dir.run_id() { &summary.run_id } else { &expected.run_id };
            let is_later = |_: &String| {
                let end = followed.end.as_ref().map(|end| end.line);
                followed.vouched.map(|met| met.line) >= end
            };
            let chain = summary.chain.clone().filter(is_later).or_else(|| expected.chain.clone());
            Summary { run_id: run_id.clone(), chain, ..expected.clone() }.text().ok()
        });
        let Some(wanted) = wanted else {
            return finding(
                Verdict::Unread,
                "has the journal's sessions; its figures could not be made anew".to_owned(),
            );
        };
        if *text == wanted {
            return finding(
                Verdict::Ok,
                format!("{} operations, as the journal comes to", summary.operations),
            );
        }
        let values = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        match first_difference(&values(text), &values(&wanted), "") {
            None => finding(Verdict::SavedAgain, "the same content in another layout".to_owned()),
            Some(what) => {
                let finding = finding(Verdict::Altered, what);
                Finding { line: first_line_that_differs(text, &wanted), ..finding }
            }
        }
    }
}

/// The summary that the journal comes to.
pub(super) fn anew(
    dir: &RunDir,
    run_id: &str,
    material: &Material<'_>,
    anew: &Anew,
    end: &End,
    sessions: Vec<SessionFigures>,
) -> Summary {
    let mut summary = dir.summarise(material, &anew.tally, sessions, Exit::Internal, end.at);
    summary.exit_code = end.code;
    run_id.clone_into(&mut summary.run_id);
    summary
}

/// The first member, in the order of their names, that is not the same, and what it is in each.
fn first_difference(found: &Value, wanted: &Value, path: &str) -> Option<String> {
    match (found, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let missing = b.keys().find(|key| !a.contains_key(*key));
            if let Some(key) = missing {
                return Some(format!("{} is missing", inner(key)));
            }
            a.iter().find_map(|(key, value)| match b.get(key) {
                Some(wanted) => first_difference(value, wanted, &inner(key)),
                None => Some(format!("{} is not of this run", inner(key))),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.into_iter().find_map(|(n, (a, b))| first_difference(a, b, &format!("{path}[{n}]")))
        }
        (a, b) if a == b => None,
        (Value::Array(a), Value::Array(b)) => {
            Some(format!("{path} has {} entries and had {}", a.len(), b.len()))
        }
        (a, b) => Some(format!("{path} is {a} and was {b}")),
    }
}

fn first_line_that_differs(found: &[u8], wanted: &[u8]) -> Option<u64> {
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (found, wanted) = (lines(found), lines(wanted));
    let same = found.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
    u64::try_from(same).ok().map(|same| same + 1)
}
