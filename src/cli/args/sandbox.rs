//! The flags of `mailsweep sandbox`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::sandbox::{Capacity, CapacityLater};

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
    /// of one for each request, perhaps more for each call in it, and places to wait [default: 100]; who
    /// finds them taken gets a 503. `4x250+20` is about 16 requests a second; with `8x100/5` a batch of
    /// 20 calls takes 200 ms.
    #[arg(long, value_name = "WORKERSxMS[/MS][+QUEUE]")]
    pub capacity: Option<Capacity>,

    /// What it can do so long after its first request, instead: with `20s=2x250+20`, and 4x250 before,
    /// half of it is gone after 20 seconds.
    #[arg(long, value_name = "TIME=WORKERSxMS[/MS][+QUEUE]")]
    pub capacity_later: Option<CapacityLater>,

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
