use clap::Args;

/// Who does it, and why.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who and why")]
pub struct WhoArgs {
    /// Who does this; the Unix user is kept beside it [default: operator in the configuration, then
    /// who called sudo, then the login name].
    #[arg(long, value_name = "NAME", env = "MAILSWEEP_OPERATOR", hide_env_values = true)]
    pub operator: Option<String>,

    /// Why it is done, such as the number of an incident; kept with each session.
    #[arg(long, value_name = "TEXT")]
    pub ticket: Option<String>,
}
