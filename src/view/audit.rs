//! What an audit found, for people: one line for each file, what the hashes vouch for, what to type.

use super::terminal::Style;
use super::words::{count, counted, printable, shown, wrap};
use crate::record::{Audit, Expected, Finding, Verdict};

/// What may be typed next, quoted for the shell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditCommands {
    /// Writes the results again.
    pub rewrite: String,
    /// Goes on with the run.
    pub resume: String,
}

/// A file's words are cut here.
const MOST_CHARS: usize = 500;
/// So many files that nothing vouches for are named.
const MOST_UNVOUCHED: usize = 5;

/// The findings, ending with a line break.
pub fn audit(audit: &Audit, commands: &AuditCommands, style: Style, width: usize) -> String {
    let mut lines = vec![style.bold(&format!("Audit of {}:", shown(&audit.run_id, 100)))];
    let verdict_wide = audit.files.iter().map(|finding| finding.verdict.word().len()).max().unwrap_or(0);
    let file_wide = audit.files.iter().map(|finding| finding.file.len()).max().unwrap_or(0);
    for finding in &audit.files {
        let Finding { file, verdict, .. } = finding;
        let head = format!("  {file:<file_wide$}  {:<verdict_wide$}  ", verdict.word());
        let text = wrap(&format!("{head}{}", finding.sentence()), head.len(), width);
        lines.push(if verdict.is_sound() { text } else { style.yellow(&text) });
    }
    let unvouched = &audit.unvouched;
    if !unvouched.is_empty() {
        let named: Vec<String> = unvouched.iter().take(MOST_UNVOUCHED).map(|name| shown(name, 60)).collect();
        let more = unvouched.len().saturating_sub(MOST_UNVOUCHED);
        let more = if more > 0 { format!(" and {} more", count(more as u64)) } else { String::new() };
        lines.push(wrap(&format!("Nothing vouches for: {}{more}", named.join(", ")), 2, width));
    }
    let total = audit.total();
    lines.push(wrap(&if audit.is_well() { style.green(&total) } else { style.red(&total) }, 2, width));
    let last = audit.sessions.last().filter(|_| audit.ended);
    lines.extend(last.map(|last| format!("Chain hash {}", last.chain)));
    lines.extend(audit.vouching().map(|text| wrap(&text, 2, width)));
    lines.extend(audit.advice(commands));
    lines.join("\n") + "\n"
}

/// The same for `-q`: nothing where all is well, else few lines without marks.
pub fn audit_quiet(audit: &Audit, commands: &AuditCommands) -> String {
    if audit.is_well() {
        return String::new();
    }
    let mut lines = vec![format!("mailsweep audit: {}: {}", shown(&audit.run_id, 100), audit.total())];
    let unsound = audit.files.iter().filter(|finding| !finding.verdict.is_sound());
    lines.extend(
        unsound.map(|finding| format!("{} {}: {}", finding.file, finding.verdict.word(), finding.sentence())),
    );
    if audit.expected.as_ref().is_some_and(|expected| expected.line.is_none()) {
        lines.extend(audit.vouching());
    }
    lines.extend(audit.advice(commands));
    lines.join("\n") + "\n"
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::NotYet => "-",
            Verdict::NotEnded => "NOT ENDED",
            Verdict::SavedAgain => "SAVED AGAIN",
            Verdict::Unread => "UNREAD",
            Verdict::Missing => "MISSING",
            Verdict::Doubtful => "DOUBTFUL",
            Verdict::Altered => "ALTERED",
        }
    }
}

impl Finding {
    fn sentence(&self) -> String {
        let line = self.line.map_or(String::new(), |line| format!("line {}: ", count(line)));
        format!("{line}{}", shown(&self.says, MOST_CHARS))
    }
}

impl Audit {
    /// What it comes to, in a line.
    fn total(&self) -> String {
        let last = self.sessions.last().filter(|_| self.ended);
        let Some(last) = last else {
            return match (self.in_use, self.can_resume) {
                (true, _) => "A process is at work on it: look again when it has ended",
                (_, true) => "The run has not ended",
                _ => "Not all is as it was written, and its end cannot be relied on",
            }
            .to_owned();
        };
        let verdict = if self.is_well() {
            "All is whole and agrees"
        } else if self.files.iter().all(|finding| finding.verdict.is_sound()) {
            "All agrees, but not with the hash that was expected"
        } else {
            "Not all is as it was written"
        };
        format!("{verdict}; ended {} with code {}", last.at, last.exit_code)
    }

    /// What the hash that was expected vouches for, or that none was.
    fn vouching(&self) -> Option<String> {
        let Some(Expected { chain, line, session, ended_at }) = &self.expected else {
            let text = "That all of it was written anew, hashes and all, cannot be excluded without a chain hash \
                        that was kept elsewhere: give it with --expect HASH";
            return self.is_well().then(|| text.to_owned());
        };
        let Some(line) = line else {
            return Some(format!(
                "No line of the journal, as far as it is sound, has the hash {chain}: it is another run's, or \
                 what it stood for was altered"
            ));
        };
        let session = session.unwrap_or_default();
        let place = match ended_at {
            Some(at) => format!("the end of session {session} at {at}"),
            None => format!("in session {session}"),
        };
        let later = match self.lines.saturating_sub(*line) {
            0 => String::new(),
            later => format!("; {} came later", counted(later, "line", "lines")),
        };
        Some(format!(
            "{chain} vouches for run.json, input.csv and the journal up to line {}, {place}{later}",
            count(*line)
        ))
    }

    fn advice(&self, commands: &AuditCommands) -> Vec<String> {
        let mut lines = Vec::new();
        if self.can_rewrite {
            lines.push(
                "The journal is whole, so the results can be written again from it, over the file:"
                    .to_owned(),
            );
            lines.push(format!("  {}", printable(&commands.rewrite)));
        }
        if self.can_resume {
            lines.push(format!("To go on:\n  {}", printable(&commands.resume)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SessionEnd;

    fn finding(file: &'static str, verdict: Verdict, line: Option<u64>, says: &str) -> Finding {
        Finding { file, verdict, line, says: says.into() }
    }

    fn example() -> (Audit, AuditCommands) {
        let end = SessionEnd {
            session: 1,
            operator: "anna".into(),
            at: "2026-08-01T12:41:40.000Z".into(),
            exit_code: 0,
            chain: "0123456789abcdef0123456789abcdef".into(),
        };
        let found = Audit {
            run_id: "leak".into(),
            sound: false,
            ended: true,
            files: vec![
                finding("journal.jsonl", Verdict::Ok, None, "53 lines, 1 session"),
                finding("results.csv", Verdict::Altered, Some(1204), "status is “ok” and was “failed”"),
            ],
            sessions: vec![end],
            lines: 53,
            expected: None,
            in_use: false,
            can_rewrite: true,
            can_resume: false,
            unvouched: vec!["sandbox.json".into()],
        };
        let commands = AuditCommands {
            rewrite: "mailsweep audit leak --rewrite-results".into(),
            resume: "mailsweep resume leak".into(),
        };
        (found, commands)
    }

    #[test]
    fn it_says_of_each_file_how_it_is_and_ends_with_what_to_type() {
        let (found, commands) = example();
        let text = "\
Audit of leak:
  journal.jsonl  ok       53 lines, 1 session
  results.csv    ALTERED  line 1,204: status is “ok” and was “failed”
Nothing vouches for: sandbox.json
Not all is as it was written; ended 2026-08-01T12:41:40.000Z with code 0
Chain hash 0123456789abcdef0123456789abcdef
The journal is whole, so the results can be written again from it, over the file:
  mailsweep audit leak --rewrite-results
";
        assert_eq!(audit(&found, &commands, Style::PLAIN, 80), text);
        let quiet = "\
mailsweep audit: leak: Not all is as it was written; ended 2026-08-01T12:41:40.000Z with code 0
results.csv ALTERED: line 1,204: status is “ok” and was “failed”
The journal is whole, so the results can be written again from it, over the file:
  mailsweep audit leak --rewrite-results
";
        assert_eq!(audit_quiet(&found, &commands), quiet);
        let well = Audit { sound: true, can_rewrite: false, ..found };
        assert_eq!(audit_quiet(&well, &commands), "");
        assert!(audit(&well, &commands, Style::PLAIN, 80).contains("cannot be excluded"));
    }

    #[test]
    fn foreign_words_cannot_move_the_cursor() {
        let (mut found, mut commands) = example();
        found.run_id = "a\u{1b}[2J\r".into();
        found.files[1].says = "x\u{9b}2J\u{202e}\ny".into();
        found.unvouched = vec!["\u{7}b".into(); 9];
        commands.rewrite = "mailsweep\u{1b}[2J".into();
        for text in [audit(&found, &commands, Style::PLAIN, 80), audit_quiet(&found, &commands)] {
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        }
    }
}
