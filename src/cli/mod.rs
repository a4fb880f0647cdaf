//! The command line: flags as typed, settled once, and one file per command.
//!
//! This room builds the parts that the others own and ties them together. No flag is known below it.

mod afterwards;
mod args;
mod audit;
mod check;
#[cfg(test)]
mod disk_tests;
mod findings;
mod follow;
mod ground;
mod held;
mod help;
mod history;
#[cfg(test)]
mod journal_tests;
mod lanes;
mod look;
mod merge;
mod person;
mod plan;
mod prepare;
mod process;
mod reach;
mod reading;
mod recorded;
mod report;
mod resume;
mod route;
mod run;
mod runs;
mod sandbox;
mod sandbox_fleet;
mod select;
mod session;
mod settings;
mod shard;
mod show;
mod start;
mod status;
mod stop;
mod survey;
mod taken_back;
#[cfg(test)]
mod testing;
mod to_do;
mod undo;
mod verify;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches};
use tokio::signal::unix::{SignalKind, signal};

use crate::domain::{Action, Exit};
use crate::record::Disk;
use args::{Cli, Command};
use show::Voice;

/// Parses the command line, carries out the command and says how it ended. Everything that is to be
/// said has been said by then.
pub fn main() -> Exit {
    let command = without_empty_variables(Cli::command());
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are told the same way, and are no error. A closed pipe is none either.
            let _ = told.print();
            if let Some(ContextValue::String(word)) = told.get(ContextKind::InvalidSubcommand)
                && let Ok(action) = word.parse::<Action>()
            {
                show::say(&format!(
                    "to {action} mailboxes: mailsweep run FILE --action {action} --channel login (or as help run says)"
                ));
            }
            return if told.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    let disk = Disk::default();
    let_writes_fail();
    let (done, voice) = match &cli.command {
        Command::Run(args) => (run::run(args, &disk), Voice::from(&args.output)),
        Command::Plan(args) => (plan::plan(args, &disk), Voice::from(&args.output)),
        Command::Resume(args) => (resume::resume(args, &disk), Voice::from(&args.output)),
        Command::Undo(args) => (undo::undo(args, &disk), Voice::from(&args.output)),
        Command::Verify(args) => (verify::verify(args, &disk), Voice::from(&args.output)),
        Command::Audit(args) => (audit::audit(args, &disk), Voice::from(args)),
        Command::Report(args) => (report::report(args, &disk), Voice::default()),
        Command::History(args) => (history::history(args, &disk), Voice::default()),
        Command::Status(args) => (status::status(args, &disk), Voice::default()),
        Command::Runs(args) => (runs::runs(args, &disk), Voice::default()),
        Command::Stop(args) => (stop::stop(args, &disk), Voice::default()),
        Command::Merge(args) => (merge::merge(args, &disk), Voice::from(args)),
        Command::Check(args) => (check::check(args, &disk), Voice::from(args)),
        Command::Sandbox(args) => (sandbox::serve(args, &disk), Voice::default()),
        Command::Completions(args) => (help::completions(args), Voice::default()),
        Command::Man(args) => (help::man(args, &disk), Voice::default()),
        Command::Help(args) => (help::help(args), Voice::default()),
    };
    done.unwrap_or_else(|failure| {
        show::fault(&failure.error, voice);
        failure.exit
    })
}

/// A file that outgrows a limit on its size (`ulimit -f`) is to us what a full disk is: the write
/// fails, and that is told. The signal that comes with it would end the process, unless there is a
/// handler for it; one that was set up once stays.
fn let_writes_fail() {
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        let _inside = runtime.enter();
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    }
}

/// A variable that is set to nothing is as good as not set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// Why a command could not be carried out, and the exit code that it means.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit, error: error.into() }
    }
}

/// What is wrong with flags, input or configuration is found before anything is sent.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure { exit: Exit::Usage, error }
    }
}

impl From<crate::record::DirError> for Failure {
    fn from(fault: crate::record::DirError) -> Failure {
        Failure { exit: fault.exit(), error: fault.into() }
    }
}

impl From<crate::job::InputError> for Failure {
    fn from(fault: crate::job::InputError) -> Failure {
        Failure { exit: Exit::Usage, error: fault.into() }
    }
}
