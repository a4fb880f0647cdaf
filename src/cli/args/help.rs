//! The flags of the commands that explain the others.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};

use crate::domain::ErrorClass;

#[derive(Debug, Args)]
pub struct HelpArgs {
    /// A command; `errors` for what each error class means and what to do about it, or one of these classes.
    #[arg(value_name = "COMMAND", value_parser = PossibleValuesParser::new(topics()))]
    pub topic: Option<String>,
}

/// The topic that is no command.
pub const ERRORS: &str = "errors";

/// What there is help about.
const TOPICS: [&str; 18] = [
    ERRORS,
    "run",
    "plan",
    "resume",
    "undo",
    "verify",
    "audit",
    "report",
    "history",
    "status",
    "runs",
    "stop",
    "merge",
    "check",
    "sandbox",
    "completions",
    "man",
    "help",
];

/// The same, and the classes, which are not listed with them.
fn topics() -> Vec<PossibleValue> {
    let classes = ErrorClass::ALL.iter().map(|class| PossibleValue::new(class.word()).hide(true));
    TOPICS.into_iter().map(PossibleValue::new).chain(classes).collect()
}

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_NOTES)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

const COMPLETIONS_NOTES: &str = "\
To have them in each new shell:
  bash  mailsweep completions bash > ~/.local/share/bash-completion/completions/mailsweep
  zsh   mailsweep completions zsh > DIR/_mailsweep, where DIR is a directory of $fpath
  fish  mailsweep completions fish > ~/.config/fish/completions/mailsweep.fish";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
#[command(after_help = "To read it at once: mailsweep man | man -l -")]
pub struct ManArgs {
    /// Write a page for each command into this directory, which is made if it is not there.
    pub dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    #[test]
    fn there_is_help_about_every_command() {
        let command = Cli::command();
        let mut known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        known.push(ERRORS);
        known.sort_unstable();
        let mut topics = TOPICS;
        topics.sort_unstable();
        assert_eq!(topics[..], known);
    }
}
