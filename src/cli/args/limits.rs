//! How fast, how often, how long.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::domain::Classes;
use crate::engine::{Batch, MaxErrors, Rate, parse_time};

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

    /// Calls in one request: a number up to 50, or auto. It spares the server processes and time where
    /// it, and not the rate, is what bounds the run: the rate counts calls, together or not. `release`
    /// goes by itself always [default: 1].
    #[arg(long, value_name = "N|auto", env = "MAILSWEEP_BATCH", hide_env_values = true)]
    pub batch: Option<Batch>,

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

    /// Error classes that are as good as done: they keep their status, but count neither for the exit
    /// code nor for --max-errors nor for unfinished.csv [default: none].
    #[arg(long, value_name = "CLASS[,CLASS]", env = "MAILSWEEP_TOLERATE", hide_env_values = true)]
    pub tolerate: Option<Classes>,
}
