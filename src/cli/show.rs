//! What a command shows, put together from values for the view.

use std::collections::{BTreeMap, HashSet};
use std::io::{IsTerminal, Write};
use std::path::Path;

use super::args::{AuditArgs, CheckArgs, LogFormatArg, MergeArgs, OutputArgs};
use super::route::Routed;
use super::session::Closed;
use super::settings::Settings;
use crate::domain::{Action, Channel, ErrorClass, Exit, Function, Status};
use crate::engine::Observer;
use crate::fleet::Fleet;
use crate::job::{Job, MailboxId, What};
use crate::record::{RunDir, Tally};
use crate::view::{
    self, Closing, FailureLine, LeftAside, LogFormat, Notices, Options, Preview, PreviewRow, Reporter,
    ServerLimits, Terminal,
};

/// How much a command is to say, and in which form.
#[derive(Clone, Copy)]
pub struct Voice {
    quiet: bool,
    verbose: bool,
    log: LogFormat,
}

impl Default for Voice {
    fn default() -> Voice {
        Voice { quiet: false, verbose: false, log: LogFormat::Text }
    }
}

impl From<&OutputArgs> for Voice {
    fn from(output: &OutputArgs) -> Voice {
        let log = match output.log_format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        };
        Voice { quiet: output.quiet, verbose: output.verbose, log }
    }
}

impl From<&MergeArgs> for Voice {
    fn from(args: &MergeArgs) -> Voice {
        Voice { quiet: args.quiet, ..Voice::default() }
    }
}

impl From<&CheckArgs> for Voice {
    fn from(args: &CheckArgs) -> Voice {
        Voice { quiet: args.quiet, verbose: args.verbose, ..Voice::default() }
    }
}

impl From<&AuditArgs> for Voice {
    fn from(args: &AuditArgs) -> Voice {
        Voice { quiet: args.quiet, ..Voice::default() }
    }
}

/// What a preview is of.
pub struct Previewed<'a> {
    pub title: &'a str,
    pub job: &'a Job,
    pub fleet: &'a Fleet,
    pub routed: &'a Routed,
    pub settings: &'a Settings,
}

/// A command's voice: standard error, in the form that the flags ask for.
pub struct Live {
    reporter: Reporter,
    notices: Notices,
    quiet: bool,
}

impl Live {
    pub fn start(voice: impl Into<Voice>) -> Live {
        let Voice { quiet, verbose, log } = voice.into();
        let options = Options::stderr(quiet, verbose, log);
        // Hundreds of runs in a test have nothing to say to whoever reads its outcome.
        #[cfg(test)]
        let options = Options { writer: Box::new(std::io::sink()), ..options };
        let reporter = Reporter::start(options);
        let notices = reporter.notices();
        Live { reporter, notices, quiet }
    }

    /// Who watches the engine.
    pub fn observer(&mut self) -> &mut dyn Observer {
        &mut self.reporter
    }

    /// Says it even if it was asked to be quiet, and waits until it is written.
    pub fn say_and_end(self, text: &str) {
        self.notices.say(text);
        self.reporter.finish();
    }

    /// Waits until what was said is written.
    pub fn flush(&self) {
        self.notices.flush();
    }

    /// Says something, unless it was asked to be quiet.
    pub fn note(&self, text: &str) {
        self.notices.note(text);
    }

    /// Says something, even if it was asked to be quiet.
    pub fn say(&self, text: &str) {
        self.notices.say(text);
    }

    /// Shows what is about to happen.
    pub fn preview(
        &self,
        previewed: Previewed<'_>,
        held: Vec<(String, Option<u64>)>,
        run_dir: Option<&Path>,
    ) {
        let terminal = Terminal::stderr();
        let preview =
            Preview { held, run_dir: run_dir.map(Path::to_owned), ..what_is_about_to_happen(&previewed) };
        self.note(&view::preview(&preview, terminal.style(), terminal.width()));
        self.notices.flush();
    }

    /// Shows what a command found; with `-q` a line, and nothing where all is well.
    pub fn end_in_a_line(self, text: &str, line: &str, exit: Exit) {
        let Live { mut reporter, notices, quiet } = self;
        reporter.run_ended();
        if !quiet {
            notices.note(text);
        } else if exit != Exit::Ok {
            notices.say(line);
        }
        reporter.finish();
    }

    /// Shows what a command found; with `-q`, little, and nothing where all is well.
    pub fn end_with(self, text: &str, tally: &Tally, exit: Exit) {
        let Live { mut reporter, notices, quiet } = self;
        reporter.run_ended();
        if !quiet {
            notices.note(text);
            let failures = failure_lines(tally);
            let shown: Vec<String> = failures.map(|line| format!("  {}", line.sentence(240))).collect();
            if !shown.is_empty() {
                notices.note(&format!("The first that cannot be done:\n{}\n", shown.join("\n")));
            }
        } else if exit != Exit::Ok {
            let counts: Vec<String> =
                tally.counts.iter().map(|(status, number)| format!("{number} {status}")).collect();
            notices.say(&format!("{}\n", counts.join(", ")));
        }
        reporter.finish();
    }

    /// Shows how it ended; with `-q`, little, and nothing where all is well.
    pub fn close(self, dir: &RunDir, output: &OutputArgs, closed: &Closed, exit: Exit) {
        self.end(output, closed, &closing(dir, closed), exit);
    }

    /// The same for what several runs came to; the first of them that left something may be resumed.
    pub fn close_merged(self, dir: &RunDir, output: &OutputArgs, closed: &Closed, left: Option<&RunDir>) {
        let resume_command = left.map(|left| resume_command(left, &[]));
        let closing = Closing { resume_command, ..closing(dir, closed) };
        self.end(output, closed, &closing, closed.exit);
    }

    fn end(self, output: &OutputArgs, closed: &Closed, closing: &Closing, exit: Exit) {
        let Live { mut reporter, notices, quiet } = self;
        reporter.run_ended();
        if output.json
            && let Ok(text) = serde_json::to_string_pretty(&closed.summary)
        {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
        let terminal = Terminal::stderr();
        if !quiet {
            notices.note(&view::summary(&closed.summary, closing, terminal.style(), terminal.width()));
        } else if exit != Exit::Ok {
            notices.say(&view::summary_quiet(&closed.summary, closing));
        }
        reporter.finish();
    }
}

/// Says why a command could not be carried out. With `-q`, in at most 15 lines.
pub fn fault(error: &anyhow::Error, voice: Voice) {
    const QUIET_LINES: usize = 15;
    let mut text = String::from("error");
    for cause in error.chain().map(ToString::to_string) {
        // Many say themselves what lies beneath them.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    if voice.quiet && text.lines().count() > QUIET_LINES {
        let first: Vec<&str> = text.lines().take(QUIET_LINES - 1).collect();
        text = format!("{}\n(more without -q)", first.join("\n"));
    }
    Live::start(voice).say_and_end(&text);
}

/// Says something outside a run.
pub fn say(text: &str) {
    Live::start(Voice::default()).say_and_end(text);
}

fn unasked() -> anyhow::Error {
    anyhow::anyhow!("not started: there is no terminal to ask at; add --yes to start without a question")
}

/// Whether there is a terminal to ask at: that there is none is said before anything is sent.
pub fn can_ask(job: &Path) -> Result<(), anyhow::Error> {
    let can = if job == Path::new("-") {
        std::fs::File::options().read(true).write(true).open("/dev/tty").is_ok()
    } else {
        std::io::stdin().is_terminal()
    };
    if can { Ok(()) } else { Err(unasked()) }
}

/// Asks whether to go on. With no terminal to ask at, the answer is no, and it says what to type.
pub fn may_go_on(job: &Path) -> Result<(), anyhow::Error> {
    const PROMPT: &str = "Go on?";
    let is_yes = if job == Path::new("-") {
        let terminal =
            std::fs::File::options().read(true).write(true).open("/dev/tty").map_err(|_| unasked())?;
        view::ask(PROMPT, std::io::BufReader::new(&terminal), &terminal)
    } else if std::io::stdin().is_terminal() {
        view::ask(PROMPT, std::io::stdin().lock(), std::io::stderr())
    } else {
        return Err(unasked());
    };
    if is_yes { Ok(()) } else { Err(anyhow::anyhow!("not started: the answer was no; nothing was sent")) }
}

/// What is done to one server, or to what has no server yet.
#[derive(Default)]
struct Share {
    calls: [u64; Function::ALL.len()],
    mailboxes: [u64; Function::ALL.len()],
    accounts: HashSet<u32>,
}

fn what_is_about_to_happen(previewed: &Previewed<'_>) -> Preview {
    let Previewed { title, job, fleet, routed, settings } = *previewed;
    let mut shares: Vec<Share> = (0..=fleet.servers.len()).map(|_| Share::default()).collect();
    let mut aside: BTreeMap<(Status, Option<ErrorClass>), u64> = BTreeMap::new();
    // Which functions a mailbox is called for, one bit each.
    let mut touched = vec![0u8; job.mailboxes.len()];
    let share_of = |mailbox| {
        let place = routed.places.number_of(mailbox);
        place.map_or(fleet.servers.len(), |place| routed.ways[place as usize].0)
    };
    for (op, operation) in (0u32..).zip(&job.operations) {
        let function = match operation.what {
            What::Call(function) => function,
            What::Duplicate(_) => {
                *aside.entry((Status::Duplicate, None)).or_default() += 1;
                continue;
            }
            What::Invalid => {
                *aside.entry((Status::Invalid, Some(ErrorClass::InvalidRow))).or_default() += 1;
                continue;
            }
        };
        if let Some(settled) = routed.settled.get(&op) {
            *aside.entry((settled.status, settled.class)).or_default() += 1;
            continue;
        }
        let share = &mut shares[share_of(operation.mailbox)];
        share.calls[function as usize] += 1;
        share.accounts.extend(routed.places.number_of(operation.mailbox));
        touched[operation.mailbox.index()] |= 1 << function as u8;
    }
    for (id, mask) in (0u32..).zip(&touched).filter(|(_, mask)| **mask != 0) {
        let share = &mut shares[share_of(MailboxId(id))];
        for (bit, mailboxes) in share.mailboxes.iter_mut().enumerate() {
            *mailboxes += u64::from(mask >> bit & 1);
        }
    }
    let reading = &settings.reading;
    let ends_sessions = reading.end_sessions.then(|| accounts_shut(job, routed));
    let mut rows = Vec::new();
    let mut limits = Vec::new();
    for (number, share) in shares
        .iter()
        .enumerate()
        .filter(|(_, share)| !share.accounts.is_empty() || share.calls.iter().any(|n| *n > 0))
    {
        let server = fleet.servers.get(number);
        let accounts: Vec<&str> = share
            .accounts
            .iter()
            .map(|place| routed.places.list()[*place as usize].account.as_str())
            .collect();
        let account = match accounts.as_slice() {
            [] | [""] => None,
            [account] => Some((*account).to_owned()),
            accounts => Some(format!("{} accounts", accounts.len())),
        };
        let called = Function::ALL.into_iter().filter(|function| share.calls[*function as usize] > 0);
        rows.extend(called.map(|function| PreviewRow {
            server: server.map(|server| server.name.clone()),
            account: account.clone(),
            action: function.action(),
            channel: function.channel(),
            operations: share.calls[function as usize],
            mailboxes: share.mailboxes[function as usize],
        }));
        if server.is_none() && fleet.servers.len() > 1 {
            // How long it takes depends on which of them it belongs to.
            continue;
        }
        let own = server.or(fleet.servers.first()).map(|server| &server.limits);
        let own = own.cloned().unwrap_or_default();
        limits.push(ServerLimits {
            server: server.map_or_else(|| "the server".to_owned(), |server| server.name.clone()),
            rate_per_s: own.rate.calls_per_second(),
            burst: u64::from(own.effective_burst().get()),
            jobs: u64::from(own.jobs.get()),
            operations: share.calls.iter().sum(),
        });
    }
    let aside = aside.into_iter();
    Preview {
        title: title.to_owned(),
        rows,
        mailboxes: touched.iter().filter(|mask| **mask != 0).count() as u64,
        limits,
        left_aside: aside
            .map(|((status, class), operations)| LeftAside { status, class, operations })
            .collect(),
        blind: reading.blind,
        max_changes: reading.max_changes.map(|most| most.to_string()),
        ends_sessions,
        protect: settings.protect.patterns().map(str::to_owned).collect(),
        warnings: job.warnings.iter().chain(&routed.warnings).cloned().collect(),
        ..Preview::default()
    }
}

/// In how many accounts a login may be suspended; nothing where only the servers know.
fn accounts_shut(job: &Job, routed: &Routed) -> Option<u64> {
    let operations = (0u32..).zip(&job.operations);
    let shut = operations
        .filter(|(op, operation)| {
            operation.what == What::Call(Function::SuspendLogin) && !routed.settled.contains_key(op)
        })
        .map(|(_, operation)| routed.places.number_of(operation.mailbox));
    let places: Option<HashSet<u32>> = shut.collect();
    let places = places?;
    let is_known = |place: &u32| !routed.places.list()[*place as usize].account.is_empty();
    places.iter().all(is_known).then_some(places.len() as u64)
}

/// What to type to go on with a run.
pub fn resume_command(dir: &RunDir, flags: &[&str]) -> String {
    command(dir, "resume", flags)
}

/// A command about a run, to be pasted.
pub fn command(dir: &RunDir, verb: &str, more: &[&str]) -> String {
    // A name that looks like a flag must not be taken for one.
    let path = dir.path();
    let looks_like_a_flag = path.as_os_str().as_encoded_bytes().starts_with(b"-");
    let path = if looks_like_a_flag { Path::new(".").join(path) } else { path.to_owned() };
    let words = ["mailsweep", verb].map(std::ffi::OsStr::new).into_iter().chain([path.as_os_str()]);
    view::command(words.chain(more.iter().map(std::ffi::OsStr::new)))
}

/// What another run is called in a command: its name where that finds it, else its place.
pub fn named(run_id: &str, place: &Path, runs_dir: &Path) -> String {
    let is_found = Path::new(run_id).exists() || runs_dir.join(run_id).exists();
    if is_found || !place.exists() { run_id.to_owned() } else { place.display().to_string() }
}

/// The first operations that did not end well.
fn failure_lines(tally: &Tally) -> impl Iterator<Item = FailureLine> {
    tally.first_failures.iter().map(|failure| FailureLine {
        row: failure.row,
        mailbox: failure.mailbox.clone(),
        action: failure.action.parse::<Action>().ok(),
        channel: failure.channel.parse::<Channel>().ok(),
        status: failure.status,
        class: failure.class,
        error: failure.error.clone(),
    })
}

fn closing(dir: &RunDir, closed: &Closed) -> Closing {
    let Closed { summary, tally, .. } = closed;
    // After a fault of the disk not all of them may be there.
    let mut files = vec![
        ("results".to_owned(), dir.results()),
        ("unfinished".to_owned(), dir.unfinished()),
        ("report".to_owned(), dir.report()),
    ];
    files.retain(|(_, path)| path.exists());
    files.push(("everything".to_owned(), dir.path().to_owned()));
    let is_passing = |class: &ErrorClass| {
        use ErrorClass::{BadAnswer, Connect, Http, Throttled, Timeout};
        matches!(class, BadAnswer | Connect | Http | Throttled | Timeout)
    };
    // Those of them that were not attempted are taken up unasked.
    let has_failed_in_passing = summary.error_classes.iter().any(|(class, number)| {
        let left = tally.left_classes.get(class).copied().unwrap_or(0);
        is_passing(class) && !closed.tolerated.has(Some(*class)) && *number > left
    });
    let given: Vec<&str> = closed.given.iter().map(String::as_str).collect();
    let mut flags: Vec<&str> = closed.again.iter().map(String::as_str).collect();
    flags.extend(&given);
    if has_failed_in_passing && !flags.iter().any(|flag| flag.starts_with("--retry")) {
        flags.push("--retry-failed");
    }
    let halts = summary.servers.iter().filter_map(|server| server.halted.as_deref());
    if halts.into_iter().any(|why| why.starts_with(ErrorClass::ServerInUse.word())) {
        flags.extend(["--wait", "10m"]);
    }
    let is_of_use = closed.left > 0 || has_failed_in_passing;
    let resume_command = is_of_use.then(|| resume_command(dir, &flags));
    let of = |status| summary.counts.get(&status).copied().unwrap_or(0);
    let later = closed.later.iter().filter_map(|verb| {
        let what = match *verb {
            "verify" if of(Status::Ok) + of(Status::Unchanged) > 0 => "does it still hold?",
            "undo" if of(Status::Ok) > 0 => "take it back",
            _ => return None,
        };
        Some((what, command(dir, verb, &given)))
    });
    Closing {
        first_failures: failure_lines(tally).collect(),
        failures_in_all: tally.failures,
        files,
        later: later.collect(),
        resume_command,
        stopped_because: closed.stopped.clone(),
        left: tally.left_classes.clone(),
        tolerated: closed.tolerated,
        halted: summary
            .servers
            .iter()
            .filter_map(|server| Some((server.name.clone(), server.halted.clone()?)))
            .collect(),
        elapsed: closed.elapsed,
    }
}
