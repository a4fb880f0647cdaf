//! Which servers, and how they are spoken to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::fleet::Api;

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    /// How calls are sent: with get the mailbox's address is in the URL, which servers log, with
    /// post it is not. `release` is always post [default: get].
    #[arg(long, value_name = "METHOD", value_enum)]
    pub method: Option<MethodArg>,

    /// Use an embedded imitation server, filled with the job's own mailboxes, instead of a real one.
    #[arg(long, conflicts_with = "server")]
    pub sandbox: bool,
}

/// Which servers there are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct TargetArgs {
    /// The servers, as a configuration file lists them [default: mailsweep.toml here, then
    /// mailsweep/mailsweep.toml in the configuration directory].
    #[arg(long, value_name = "FILE", env = "MAILSWEEP_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,

    /// One server: scheme, host and port, such as https://web01.example.net:2083.
    #[arg(long, value_name = "URL", requires = "user")]
    pub server: Option<String>,

    /// The cPanel account that owns the mailboxes, or the WHM user: a login name, not an address.
    #[arg(long, value_name = "NAME", requires = "server")]
    pub user: Option<String>,

    #[command(flatten)]
    pub credential: CredentialArgs,

    /// Which API the server offers at its port: cpanel for one account, whm for all that the user may
    /// enter [default: whm for 2087 and 2086, else cpanel].
    #[arg(long, value_name = "API", requires = "server")]
    pub api: Option<Api>,

    /// Send the credential over plain http to a host that is not loopback.
    #[arg(long)]
    pub allow_plaintext: bool,
}

/// Flattened into the commands that read a configuration.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ConfigArgs {
    /// The servers and what holds for all runs [default: ./mailsweep.toml, then
    /// ~/.config/mailsweep/mailsweep.toml].
    #[arg(long, value_name = "FILE", env = "MAILSWEEP_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MethodArg {
    Get,
    Post,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct CredentialArgs {
    /// File that holds an API token and nothing else [`run` without it: MAILSWEEP_TOKEN].
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Shell command that prints an API token.
    #[arg(long, value_name = "COMMAND")]
    pub token_command: Option<String>,

    /// File that holds the account's password [`run` without it: MAILSWEEP_PASSWORD].
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}
