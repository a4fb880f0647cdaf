//! What a command stands on: the configuration and the servers that come from it or from the flags.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::args::{LimitArgs, ServerArgs, TargetArgs};
use super::reach::SANDBOX;
use super::settings::TOKEN_VARIABLE;
use crate::engine::{Limits, SomeLimits};
use crate::fleet::{Api, Config, CredentialSource, Fleet, Login, Server};
use crate::uapi::Method;

/// The configuration, and the servers in force.
pub struct Ground {
    pub config: Config,
    /// Where the configuration was found.
    pub path: Option<PathBuf>,
    pub fleet: Fleet,
    /// Whether the servers come from the configuration, so that rows may name them.
    pub is_configured: bool,
    pub is_sandbox: bool,
}

/// The configuration that was named or found; one that says nothing where there is none.
pub fn config(named: Option<&Path>, allow_plaintext: bool) -> Result<(Config, Option<PathBuf>)> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME");
    let xdg = variable("XDG_CONFIG_HOME");
    match Config::find(named, Path::new(""), xdg.as_deref(), home.as_deref()) {
        Some(path) => Ok((Config::read(&path, home.as_deref(), allow_plaintext)?, Some(path))),
        None => Ok((Config::default(), None)),
    }
}

impl Ground {
    /// The servers that flags and configuration name. `dry_run`: none is needed.
    pub fn new(args: &ServerArgs, limits: &LimitArgs, dry_run: bool) -> Result<Ground> {
        let limits = limits.some();
        let mut ground = Ground::found(&args.target, args.method(), &limits, dry_run)?;
        if args.sandbox {
            let method = args.method().or(ground.config.method).unwrap_or_default();
            let fleet = sandbox(ground.config.limits(&limits), method);
            ground.fleet = Fleet { protect: ground.fleet.protect, ..fleet };
            ground.is_configured = false;
            ground.is_sandbox = true;
        }
        if ground.fleet.servers.is_empty() && !dry_run {
            bail!("{}, or try the job on an embedded one with --sandbox", ground.no_server());
        }
        Ok(ground)
    }

    /// The same for a command that has no job: one server is needed.
    pub fn of_servers(target: &TargetArgs) -> Result<Ground> {
        let ground = Ground::found(target, None, &SomeLimits::default(), false)?;
        if ground.fleet.servers.is_empty() {
            bail!("{}", ground.no_server());
        }
        Ok(ground)
    }

    fn found(
        target: &TargetArgs,
        method: Option<Method>,
        limits: &SomeLimits,
        dry_run: bool,
    ) -> Result<Ground> {
        let (config, path) = config(target.config.as_deref(), target.allow_plaintext)?;
        let allow_plaintext = target.allow_plaintext || config.allow_plaintext;
        let mut fleet = if target.server.is_some() {
            let method = method.or(config.method).unwrap_or_default();
            Fleet {
                servers: vec![target.single(method, config.limits(limits), allow_plaintext, dry_run)?],
                ..Fleet::default()
            }
        } else {
            let mut fleet = config.fleet(limits);
            for login in fleet.servers.iter_mut().flat_map(|server| &mut server.logins) {
                login.method = method.unwrap_or(login.method);
            }
            fleet
        };
        fleet.protect = config.protect.clone();
        for server in &fleet.servers {
            check_burst(server)?;
        }
        let is_configured = target.server.is_none() && !fleet.servers.is_empty();
        Ok(Ground { config, path, fleet, is_configured, is_sandbox: false })
    }

    /// Says that there is none, and how to name one.
    fn no_server(&self) -> String {
        let none = match &self.path {
            Some(path) => format!("no server: {} has no [[server]]: add one", path.display()),
            None => {
                "no server: there is no mailsweep.toml here; give its place with --config FILE".to_owned()
            }
        };
        format!("{none}, or name one with --server https://HOST:2083 --user ACCOUNT --token-file FILE")
    }

    /// The configured names, where rows may give them.
    pub fn names(&self) -> Option<Vec<String>> {
        self.is_configured.then(|| names(&self.fleet))
    }
}

/// A burst that was asked for must have room for what goes together.
fn check_burst(server: &Server) -> Result<()> {
    let (burst, batch) = (server.limits.burst, server.limits.batch);
    match burst {
        Some(burst) if burst.get() < batch.most() => bail!(
            "{}: a burst of {burst} has no room for --batch {batch}: leave --burst out, or give at least {}",
            server.name,
            batch.most()
        ),
        _ => Ok(()),
    }
}

/// The names that rows and flags may give: those of the entries, each once.
pub fn names(fleet: &Fleet) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for login in fleet.servers.iter().flat_map(|server| &server.logins) {
        if !names.contains(&login.name) {
            names.push(login.name.clone());
        }
    }
    names
}

/// The embedded server and its one account. Its address is found when it is started.
fn sandbox(limits: Limits, method: Method) -> Fleet {
    let login = Login {
        name: SANDBOX.to_owned(),
        user: SANDBOX.to_owned(),
        api: Api::Cpanel,
        method,
        credential: CredentialSource::TokenEnv(TOKEN_VARIABLE.to_owned()),
        account: None,
        domains: Vec::new(),
    };
    let server = Server {
        name: SANDBOX.to_owned(),
        url: "http://127.0.0.1".to_owned(),
        connect_to: None,
        ca_file: None,
        pin_sha256: None,
        limits,
        logins: vec![login],
    };
    Fleet { servers: vec![server], ..Fleet::default() }
}
