//! Which part of the work, and how to live with others on the same servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Which part of it: by list and by server.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Part of it")]
pub struct SelectArgs {
    /// Only mailboxes of this list: addresses, or a CSV with a column email, and channels if it has
    /// that column; a results.csv will do.
    #[arg(long, value_name = "FILE")]
    pub only: Option<PathBuf>,

    /// All but the mailboxes of this list.
    #[arg(long, value_name = "FILE")]
    pub except: Option<PathBuf>,

    #[command(flatten)]
    pub which: WhichArgs,
}

/// Which of the servers.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Part of it")]
pub struct WhichArgs {
    /// Only these servers, by their configured names.
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub servers: Vec<String>,

    /// All but these servers.
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub except_servers: Vec<String>,
}

/// How to live with others on the same servers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Others at work")]
pub struct StateArgs {
    /// Wait so long for servers that another run works on, such as 10m.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    pub wait: Duration,

    /// Go on although another run works on a server: together they may exceed its rate.
    #[arg(long)]
    pub share_servers: bool,

    /// Send a credential again that a server refused twice in the last minutes.
    #[arg(long)]
    pub try_again: bool,
}
