//! What the flags come to: resolved once, kept in `run.json`, read again by `resume`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::args::{CredentialArgs, InputArgs, LimitArgs, MethodArg, ServerArgs, TargetArgs};
use super::reading::ReadingSettings;
use super::shard::Shard;
use crate::domain::{Classes, ErrorClass, Status};
use crate::engine::{ChannelOrder, Foreseen, Limits, SomeLimits};
use crate::fleet::{CredentialSource, Protect, Server};
use crate::job::InputOptions;
use crate::record::{Plan, Settled, in_rows, rows_have};
use crate::uapi::Method;

/// Everything about a run but its input and servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether the server is the embedded one.
    pub sandbox: bool,
    /// Where the embedded one keeps its state, if not in the run's own directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_in: Option<PathBuf>,
    /// Which channels go first.
    pub channel_order: ChannelOrder,
    /// Mailboxes that are not touched.
    pub protect: Protect,
    /// Error classes that count for nothing.
    #[serde(default)]
    pub tolerate: Classes,
    /// Which part of its job it is.
    #[serde(default)]
    pub shard: Option<Shard>,
    /// What is read of the mailboxes.
    #[serde(default)]
    pub reading: ReadingSettings,
    /// The plan that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What is not called for, whatever a later session finds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<Aside>,
}

/// Operations that a run was told to leave, and how they end. That is the run's, and not a session's: one
/// that was killed before its first record must not do them when it is resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aside {
    /// How they end.
    pub status: Status,
    /// Why.
    pub class: ErrorClass,
    /// Why, for people.
    pub error: String,
    /// Which: first and last of each row of them.
    pub ops: Vec<(u32, u32)>,
}

impl Aside {
    /// What of this is settled for good.
    pub fn of(settled: &HashMap<u32, Settled>) -> Vec<Aside> {
        use ErrorClass::{Excluded, NeedsRelease, NoPriorState};
        let mut found: BTreeMap<(Status, ErrorClass, &str), Vec<u32>> = BTreeMap::new();
        for (op, Settled { status, class, error }) in settled {
            if let Some(class @ (Excluded | NeedsRelease | NoPriorState)) = *class {
                found.entry((*status, class, error)).or_default().push(*op);
            }
        }
        let aside = found.into_iter().map(|((status, class, error), mut ops)| {
            ops.sort_unstable();
            Aside { status, class, error: error.to_owned(), ops: in_rows(ops) }
        });
        aside.collect()
    }
}

impl Settings {
    /// How an operation ends that is not called for, whatever else is found.
    pub fn aside(&self, op: u32) -> Option<&Aside> {
        self.aside.iter().find(|aside| rows_have(&aside.ops, op))
    }

    /// What the plan has foreseen for an operation; where there is none, that it is called.
    pub fn foreseen(&self, op: u32) -> Foreseen {
        match &self.plan {
            None => Foreseen::Planned,
            Some(plan) if plan.is_planned(op) => Foreseen::Planned,
            Some(plan) if plan.is_unchanged(op) => Foreseen::Unchanged,
            Some(_) => Foreseen::Otherwise,
        }
    }
}

/// The variables that serve `--server`.
pub const TOKEN_VARIABLE: &str = "MAILSWEEP_TOKEN";
pub const PASSWORD_VARIABLE: &str = "MAILSWEEP_PASSWORD";

impl InputArgs {
    pub fn options(&self) -> InputOptions {
        InputOptions {
            action: self.action,
            channels: self.channel.as_ref().map(|channels| channels.0.clone()).unwrap_or_default(),
            no_header: self.no_header,
            delimiter: self.delimiter,
            skip_invalid: self.skip_invalid,
            allow_empty: self.allow_empty,
            allow_conflicts: self.allow_conflicts,
            servers: None,
        }
    }
}

impl LimitArgs {
    /// What was given, by flag or variable.
    pub fn some(&self) -> SomeLimits {
        SomeLimits {
            rate: self.rate,
            burst: self.burst,
            jobs: self.jobs,
            retries: self.retries,
            batch: self.batch,
            max_errors: self.max_errors,
            max_outage: self.max_outage,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
        }
    }
}

impl ServerArgs {
    /// The way of calling that was asked for.
    pub fn method(&self) -> Option<Method> {
        self.method.map(|method| match method {
            MethodArg::Get => Method::Get,
            MethodArg::Post => Method::Post,
        })
    }
}

impl TargetArgs {
    /// The one server of `--server`.
    pub fn single(
        &self,
        method: Method,
        limits: Limits,
        allow_plaintext: bool,
        dry_run: bool,
    ) -> Result<Server> {
        let url = self.server.as_deref().unwrap_or_default();
        let user = self.user.as_deref().unwrap_or_default();
        let given = if dry_run { self.credential.flag()? } else { self.credential.source()? };
        let source = match given {
            Some(source) => source,
            // A dry run uses none; what is recorded is where one would be looked for.
            None if dry_run => CredentialSource::TokenEnv(TOKEN_VARIABLE.to_owned()),
            None => bail!(
                "no credential for {user}: name one with --token-file FILE, --token-command COMMAND or \
                 --password-file FILE, or set {TOKEN_VARIABLE} or {PASSWORD_VARIABLE}"
            ),
        };
        Ok(Server::new_single(url, user, self.api, method, source, limits, allow_plaintext)?)
    }
}

impl CredentialArgs {
    /// Where the credential comes from by the flag that was given, if one was.
    pub fn flag(&self) -> Result<Option<CredentialSource>> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
        };
        if let Some(path) = &self.token_file {
            return Ok(Some(CredentialSource::TokenFile(absolute(path)?)));
        }
        if let Some(command) = &self.token_command {
            return Ok(Some(CredentialSource::TokenCommand(command.clone())));
        }
        if let Some(path) = &self.password_file {
            return Ok(Some(CredentialSource::PasswordFile(absolute(path)?)));
        }
        Ok(None)
    }

    /// Where the credential comes from: the flag that was given, else the environment.
    pub fn source(&self) -> Result<Option<CredentialSource>> {
        if let Some(source) = self.flag()? {
            return Ok(Some(source));
        }
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match (is_set(TOKEN_VARIABLE), is_set(PASSWORD_VARIABLE)) {
            (true, true) => Err(anyhow!("both {TOKEN_VARIABLE} and {PASSWORD_VARIABLE} are set: unset one")),
            (true, false) => Ok(Some(CredentialSource::TokenEnv(TOKEN_VARIABLE.to_owned()))),
            (false, true) => Ok(Some(CredentialSource::PasswordEnv(PASSWORD_VARIABLE.to_owned()))),
            (false, false) => Ok(None),
        }
    }
}
