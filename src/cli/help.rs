//! `mailsweep help`, `completions` and `man`: the flags, told in other forms. All of it is made from
//! the flags when it is asked for, so that it cannot fall behind them.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::Failure;
use super::args::{Cli, CompletionsArgs, ERRORS, HelpArgs, ManArgs, Shell};
use crate::domain::{ErrorClass, Exit};
use crate::record::Disk;
use crate::view::{self, Terminal};

const NAME: &str = "mailsweep";

/// Prints the help of a command, or that of all.
pub fn help(args: &HelpArgs) -> Result<Exit, Failure> {
    let topic = args.topic.as_deref();
    if topic == Some(ERRORS) {
        let terminal = Terminal::stdout();
        print(view::error_classes(terminal.style(), terminal.width().min(100)).as_bytes());
    } else if let Some(class) = topic.and_then(|topic| topic.parse::<ErrorClass>().ok()) {
        let terminal = Terminal::stdout();
        print(view::error_class(class, terminal.style(), terminal.width().min(100)).as_bytes());
    } else {
        // The same as with the flag, to the letter.
        let typed = [Some(NAME), topic, Some("--help")].into_iter().flatten();
        if let Err(told) = Cli::command().try_get_matches_from(typed) {
            // Whoever reads it may have gone.
            let _ = told.print();
        }
    }
    Ok(Exit::Ok)
}

/// Prints the completions of a shell.
pub fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    print(&script);
    Ok(Exit::Ok)
}

/// Prints the manual page, or writes all of them.
pub fn man(args: &ManArgs, disk: &Disk) -> Result<Exit, Failure> {
    let pages = pages()?;
    match &args.dir {
        Some(dir) => write(disk, dir, &pages)?,
        None => print(&pages[0].1),
    }
    Ok(Exit::Ok)
}

/// The pages with their files' names, that of the whole first.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command();
    command.build();
    let mut pages = vec![page(command.clone())?];
    for command in command.get_subcommands() {
        let name = format!("{NAME}-{}", command.get_name());
        // A page has to be named without a blank, and says so at its top.
        pages.push(page(command.clone().display_name(name))?);
    }
    Ok(pages)
}

fn page(command: clap::Command) -> Result<(String, Vec<u8>)> {
    let man = clap_mangen::Man::new(command)
        .source(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    man.render(&mut text).context("the page cannot be made")?;
    // What stands below the flags has its usual heading.
    let text = String::from_utf8_lossy(&text).replace("\n.SH EXTRA\n", "\n.SH NOTES\n");
    Ok((man.get_filename(), text.into_bytes()))
}

fn write(disk: &Disk, dir: &Path, pages: &[(String, Vec<u8>)]) -> Result<()> {
    disk.create_dirs_out(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    for (name, text) in pages {
        let path = dir.join(name);
        disk.write_out(&path, |out| out.write_all(text))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn print(text: &[u8]) {
    // Whoever reads it may have gone.
    let _ = std::io::stdout().lock().write_all(text);
}
