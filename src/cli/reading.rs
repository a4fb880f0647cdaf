//! What a run reads of its mailboxes before and after the calls: the flags, and what is kept of them.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::BoolishValueParser;
use serde::{Deserialize, Serialize};

use crate::engine::{Changes, Checks, MaxChanges, parse_time};
use crate::fleet::Config;

/// What is read, and what follows from it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "State")]
pub struct ReadingArgs {
    /// Read no state before the calls, nor after. Such a run cannot be undone, and what is so
    /// already is called for all the same.
    #[arg(long)]
    pub blind: bool,

    /// Do not read the state again after an account's last call.
    #[arg(long)]
    pub no_verify: bool,

    #[command(flatten)]
    pub guards: GuardArgs,

    /// End the sessions of all mailboxes of an account in which a login was suspended, once, after
    /// that: a suspended login does not surely end what is open. It ends the IMAP and POP sessions of
    /// the account's other mailboxes too; these can log in again.
    #[arg(long, conflicts_with = "blind")]
    pub end_sessions: bool,
}

/// What a session may be given anew.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "State")]
pub struct GuardArgs {
    /// Leave accounts whose state cannot be read, instead of calling all the same. `=false` overrides
    /// a configuration that says so.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = BoolishValueParser::new(), hide_possible_values = true,
        env = "MAILSWEEP_REQUIRE_STATE", hide_env_values = true
    )]
    pub require_state: Option<bool>,

    /// A state that was read longer ago is read again before the account's next call [default: 10m].
    #[arg(
        long, value_name = "TIME", value_parser = parse_time, env = "MAILSWEEP_STATE_MAX_AGE",
        hide_env_values = true
    )]
    pub state_max_age: Option<Duration>,

    /// Read all state first, and change nothing if more than N operations, or N% of those that could
    /// be called, would change something; a state that is not known counts as a change.
    #[arg(long, value_name = "N|N%", env = "MAILSWEEP_MAX_CHANGES", hide_env_values = true)]
    pub max_changes: Option<MaxChanges>,
}

/// The same as it is kept in `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadingSettings {
    /// Nothing is read.
    pub blind: bool,
    /// Nothing is read after the calls.
    pub no_verify: bool,
    /// Accounts whose state cannot be read are left.
    pub require_state: bool,
    /// In milliseconds; `null` is what the program thinks fit.
    pub state_max_age_ms: Option<u64>,
    /// How much may change.
    pub max_changes: Option<MaxChanges>,
    /// Whether sessions are ended.
    pub end_sessions: bool,
}

impl ReadingArgs {
    /// What is kept of it, over what the configuration says.
    pub fn settings(&self, config: &Config) -> Result<ReadingSettings> {
        let ReadingArgs { blind, no_verify, end_sessions, .. } = *self;
        let mut settings = ReadingSettings { blind, no_verify, end_sessions, ..ReadingSettings::of(config) };
        self.guards.put_into(&mut settings);
        settings.check()?;
        Ok(settings)
    }
}

impl GuardArgs {
    /// Puts in what was given.
    pub fn put_into(&self, settings: &mut ReadingSettings) {
        settings.require_state = self.require_state.unwrap_or(settings.require_state);
        settings.state_max_age_ms = self.state_max_age.map(milliseconds).or(settings.state_max_age_ms);
        settings.max_changes = self.max_changes.or(settings.max_changes);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl ReadingSettings {
    /// What a configuration says.
    pub fn of(config: &Config) -> ReadingSettings {
        ReadingSettings {
            require_state: config.require_state,
            state_max_age_ms: config.state_max_age.map(milliseconds),
            max_changes: config.max_changes,
            ..ReadingSettings::default()
        }
    }

    /// A blind run cannot keep to what it does not see.
    pub fn check(&self) -> Result<()> {
        let is_guarded = self.max_changes.is_some_and(|most| most != MaxChanges::Percent(100));
        if self.blind && is_guarded {
            bail!(
                "--max-changes needs the state that --blind does not read: leave one of them out \
                 (where the guard comes from the configuration, --max-changes 100% lifts it)"
            );
        }
        if self.blind && self.require_state {
            bail!(
                "--require-state needs the state that --blind does not read: leave one of them out \
                 (where it comes from the configuration, --require-state=false lifts it)"
            );
        }
        Ok(())
    }

    /// What the engine is told; `before` is what earlier sessions have changed.
    pub fn checks(&self, changed_before: Changes) -> Checks {
        let given = self.state_max_age_ms.map(Duration::from_millis);
        let default = Checks::default();
        Checks {
            before: !self.blind,
            required: self.require_state,
            max_age: given.unwrap_or(default.max_age),
            after: !self.blind && !self.no_verify,
            end_sessions: self.end_sessions,
            max_changes: self.max_changes.filter(|_| !self.blind),
            changed_before,
        }
    }
}
