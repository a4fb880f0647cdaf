//! The command line as typed. Nothing here decides: [`super::settings`] makes settings of it.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::domain::{Action, Channel, ErrorClass};
use crate::engine::{MaxErrors, Rate, parse_time};
use crate::fleet::Api;
use crate::job::{parse_channels, parse_delimiter};
use crate::sandbox::Capacity;

/// Suspend and restore thousands of cPanel mailboxes from a CSV.
///
/// Reads rows of (email, action, channel), makes the matching cPanel UAPI calls under a rate limit
/// with retries, and leaves one result per operation. A run can be rehearsed (--dry-run), killed at
/// any moment and resumed.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Try it without a server:
  mailsweep run samples/breach.csv --sandbox

Exit codes:
  0         every operation is in its wanted state
  1         finished, but some operations did not end well
  2         wrong command line or input, or the answer was no; nothing was sent
  3         stopped by --max-errors
  4         every server was halted: credential, TLS, unreachable
  5         the run is in use by another process
  6         not a run, or altered
  7         internal error
  8         the run directory cannot be written or has no room; can be resumed
  130, 143  interrupted by SIGINT, SIGTERM; can be resumed";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Carry out the operations of a CSV.
    Run(RunArgs),
    /// Go on with a run that was interrupted, stopped or killed.
    #[command(after_help = RESUME_NOTES)]
    Resume(ResumeArgs),
    /// Ask each server whether it can be reached, takes its credential, and until when.
    Check(CheckArgs),
    /// Serve an embedded imitation of cPanel and WHM on loopback, to try mailsweep on.
    Sandbox(SandboxArgs),
}

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// The CSV of operations, or `-` for standard input.
    ///
    /// Columns email (or address, mailbox), action and channel, in any order, with a header; other
    /// columns are carried through to the results. Actions: suspend, unsuspend, and for channel
    /// outgoing hold, release. Channels: login, incoming, outgoing, login+outgoing, all. A bare list
    /// of addresses needs --action and --channel.
    pub job: PathBuf,

    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub server: ServerArgs,

    #[command(flatten)]
    pub select: SelectArgs,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub state: StateArgs,

    /// Channels to call first, over all mailboxes of a server, such as outgoing,login; operations on
    /// the same flag of a mailbox keep the file's order [default: the file's order].
    #[arg(long, value_name = "CHANNEL[,CHANNEL]", value_parser = channels, help_heading = "Run")]
    pub channel_order: Option<Channels>,

    /// Why this is done, such as the number of an incident; kept with the run.
    #[arg(long, value_name = "TEXT", help_heading = "Run")]
    pub ticket: Option<String>,

    /// Check the input and show and write what would be done; send nothing, need no server.
    #[arg(short = 'n', long, help_heading = "Run")]
    pub dry_run: bool,

    /// Do not ask before the first call; needed where there is no terminal.
    #[arg(short, long, help_heading = "Run")]
    pub yes: bool,

    /// Where to keep the results and all that `resume` needs; must be new or empty [default:
    /// mailsweep-runs/<time>-<job>].
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub run_dir: Option<PathBuf>,

    /// Do not read mailboxes' state before, nor verify after. This version always works so, with or
    /// without this flag.
    #[arg(long, help_heading = "Run")]
    pub blind: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

const RUN_EXAMPLES: &str = "\
Examples:
  mailsweep run job.csv --sandbox
  mailsweep run job.csv --dry-run
  mailsweep run addresses.txt --action suspend --channel login,outgoing --dry-run
  mailsweep run job.csv --server https://web01.example.net:2083 \\
      --user exampleu --token-file exampleu.token

Start with --dry-run. On an interruption the command that resumes is printed.";

const RESUME_NOTES: &str = "\
What has not ended, or ended not_attempted, is taken up; what ended is left alone. The server, the
settings and the place of the credential are those of the run; limits and a credential given here
hold for this session. It starts without a question.";

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Action for rows that name none: suspend, unsuspend, hold or release (outgoing only).
    #[arg(long, value_name = "ACTION")]
    pub action: Option<Action>,

    /// Channels for rows that name none: login, incoming, outgoing, or all; several with commas.
    #[arg(long, value_name = "CHANNEL[,CHANNEL]", value_parser = channels)]
    pub channel: Option<Channels>,

    /// The file has no header: its columns are email, action, channel.
    #[arg(long)]
    pub no_header: bool,

    /// What separates the cells: `,` `;` or `tab` [default: found from the first line].
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub delimiter: Option<u8>,

    /// Go on with the sound rows when others are faulty; those end as `invalid`.
    #[arg(long)]
    pub skip_invalid: bool,

    /// Take an input without a data row as nothing to do, instead of an error.
    #[arg(long)]
    pub allow_empty: bool,

    /// Allow opposite operations on the same mailbox and channel; they run in file order.
    #[arg(long)]
    pub allow_conflicts: bool,
}

/// Several channels in one value.
#[derive(Clone, Debug)]
pub struct Channels(pub Vec<Channel>);

fn channels(text: &str) -> Result<Channels, String> {
    parse_channels(text).map(Channels).map_err(|e| e.to_string())
}

fn delimiter(text: &str) -> Result<u8, String> {
    parse_delimiter(text).map_err(|e| e.to_string())
}

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

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (resume keeps those of its run)")]
pub struct LimitArgs {
    /// Most calls per server, each try counted: 10/s, 600/m, 100/h, or none [default: 10/s].
    #[arg(long, value_name = "N/UNIT", env = "MAILSWEEP_RATE", hide_env_values = true)]
    pub rate: Option<Rate>,

    /// Calls that may come at once after a lull [default: 2, or more at high rates].
    #[arg(long, value_name = "N", env = "MAILSWEEP_BURST", hide_env_values = true)]
    pub burst: Option<NonZeroU32>,

    /// Most requests in flight per server; how many are in use adapts below it [default: 16].
    #[arg(short, long, value_name = "N", env = "MAILSWEEP_JOBS", hide_env_values = true)]
    pub jobs: Option<NonZeroU32>,

    /// Further tries of an operation after passing faults, such as time-outs and 503 [default: 4].
    #[arg(long, value_name = "N", env = "MAILSWEEP_RETRIES", hide_env_values = true)]
    pub retries: Option<u32>,

    /// How long one try may take in all, such as 30s or 2m [default: 60s].
    #[arg(long, value_name = "TIME", value_parser = parse_time, env = "MAILSWEEP_TIMEOUT", hide_env_values = true)]
    pub timeout: Option<Duration>,

    /// How long making a connection may take [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = parse_time, env = "MAILSWEEP_CONNECT_TIMEOUT", hide_env_values = true)]
    pub connect_timeout: Option<Duration>,

    /// Stop once more than N operations failed, or halt a server where more than N% of at least 100
    /// did [default: 50%].
    #[arg(long, value_name = "N|N%", env = "MAILSWEEP_MAX_ERRORS", hide_env_values = true)]
    pub max_errors: Option<MaxErrors>,

    /// Halt a server that has given no good answer for so long [default: 5m].
    #[arg(long, value_name = "TIME", value_parser = parse_time, env = "MAILSWEEP_MAX_OUTAGE", hide_env_values = true)]
    pub max_outage: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Write results.csv there too; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print the summary as JSON on standard output.
    #[arg(long)]
    pub json: bool,

    /// Say nothing if all went well, and little if not.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say what happens to each operation.
    #[arg(short, long)]
    pub verbose: bool,

    /// The form of what is logged on standard error.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormatArg::Text)]
    pub log_format: LogFormatArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run's directory, or its name under mailsweep-runs [default: the newest there that can be
    /// resumed, if not older than a day].
    pub run_dir: Option<PathBuf>,

    /// Also take up operations that ended `failed` or `unknown`.
    #[arg(long)]
    pub retry_failed: bool,

    /// Also take up operations that ended with one of these error classes, such as timeout,api.
    #[arg(long, value_name = "CLASS[,CLASS]", value_delimiter = ',', value_parser = error_class)]
    pub retry: Vec<ErrorClass>,

    /// Take the servers anew from this configuration, instead of those that the run recorded.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub config: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Server")]
    pub credential: CredentialArgs,

    #[command(flatten)]
    pub select: SelectArgs,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub state: StateArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

fn error_class(text: &str) -> Result<ErrorClass, String> {
    text.trim().parse()
}

#[derive(Debug, Args)]
#[command(after_help = CHECK_NOTES)]
pub struct CheckArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub which: WhichArgs,

    /// Say so, with code 1, where a certificate or a token ends within so many days.
    #[arg(long, value_name = "N", default_value_t = 14, help_heading = "Check")]
    pub warn_days: u32,

    /// Send a credential again that a server refused twice in the last minutes.
    #[arg(long, help_heading = "Check")]
    pub try_again: bool,

    /// Print all that was found as JSON on standard output.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Say nothing if all is well, and little if not.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// Say more: dates, the names of tokens, how many requests were made.
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,
}

const CHECK_NOTES: &str = "\
It changes nothing: it asks for lists of domains and, of cPanel accounts, of tokens. The first request
to a server goes alone, and after a refusal none follows. The code is 0 if all is well, 1 if something
is wrong or ends soon somewhere, 4 if no server is sound.";

#[derive(Debug, Args)]
#[command(after_help = "It prints the commands to try in another terminal. Stop it with Ctrl-C.")]
pub struct SandboxArgs {
    /// Port to listen on, on loopback [default: a free one].
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,

    /// How long each answer takes.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "80ms")]
    pub latency: Duration,

    /// What the invented accounts and the chance of faults are drawn from: the same N, the same server.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Faults to act out and how often, such as `reset-after=2%,429:30=5%,500-after=1%,delay:3s=10%`;
    /// a wrong one lists all kinds.
    #[arg(long, value_name = "KIND=SHARE[,…]")]
    pub faults: Option<String>,

    /// What the server can do at once, each server for itself: so many workers, so many milliseconds
    /// of one for each request, and places to wait [default: 100]; who finds them taken gets a 503.
    /// `4x250+20` is about 16 requests a second.
    #[arg(long, value_name = "WORKERSxMS[+QUEUE]")]
    pub capacity: Option<Capacity>,

    /// Directory for each account's token file and sample job; with --servers for mailsweep.toml, the
    /// servers' tokens and one job [default: mailsweep-sandbox].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Serve so many WHM servers, each on a port of its own (from --port on, if that is given).
    #[arg(long, value_name = "N", help_heading = "Fleet", value_parser = clap::value_parser!(u16).range(1..=99))]
    pub servers: Option<u16>,

    /// Accounts on each of them.
    #[arg(long, value_name = "M", help_heading = "Fleet", default_value_t = 20, requires = "servers")]
    pub accounts: usize,

    /// Mailboxes of each account.
    #[arg(long, value_name = "K", help_heading = "Fleet", default_value_t = 25, requires = "servers")]
    pub mailboxes: usize,

    /// Serve by TLS, with a certificate of an authority made for this (ca.pem).
    #[arg(long, help_heading = "Fleet", requires = "servers")]
    pub tls: bool,
}
