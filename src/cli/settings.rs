//! What the flags come to: resolved once, kept in `run.json`, read again by `resume`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::args::{CredentialArgs, InputArgs, LimitArgs, MethodArg, ServerArgs};
use crate::engine::{Limits, SomeLimits};
use crate::fleet::{Api, CredentialSource, ServerSpec};
use crate::job::InputOptions;
use crate::uapi::Method;

/// Everything about a run but its input and servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// How much may be asked of each server.
    pub limits: Limits,
    /// Whether the server is the embedded one.
    pub sandbox: bool,
    /// How calls to the embedded server are sent.
    pub method: Method,
}

/// The variables that serve `--server`.
const TOKEN_VARIABLE: &str = "MAILSWEEP_TOKEN";
const PASSWORD_VARIABLE: &str = "MAILSWEEP_PASSWORD";

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
            max_errors: self.max_errors,
            max_outage: self.max_outage,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
        }
    }

    /// These limits where they were given, the others as they are.
    pub fn over(&self, limits: Limits) -> Limits {
        self.some().over(limits)
    }
}

impl ServerArgs {
    pub fn method(&self) -> Method {
        match self.method {
            MethodArg::Get => Method::Get,
            MethodArg::Post => Method::Post,
        }
    }

    /// The server that was named; `None` for the sandbox, or where none is needed.
    pub fn spec(&self, dry_run: bool) -> Result<Option<ServerSpec>> {
        let Some(url) = &self.server else {
            if self.sandbox || dry_run {
                return Ok(None);
            }
            bail!(
                "no server: name one with --server https://HOST:2083 --user ACCOUNT --token-file FILE, \
                 or try the job on an embedded one with --sandbox"
            );
        };
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
        let spec = ServerSpec::new(url, user, self.api, self.method(), source, self.allow_plaintext)?;
        if spec.api == Api::Whm {
            bail!(
                "{url}: this version speaks to single cPanel accounts (port 2083), not to WHM; \
                 use the account's own port, or --api cpanel if this is one"
            );
        }
        Ok(Some(spec))
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
