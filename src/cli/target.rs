//! The server that a session speaks to: a real one, or the embedded one.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::settings::Settings;
use crate::domain::Secret;
use crate::engine::Limits;
use crate::fleet::ServerSpec;
use crate::job::Job;
use crate::record::RunDir;
use crate::sandbox::{self, Sandbox, World};
use crate::uapi::{Api, Credential, Endpoint, HttpOptions, HttpTransport};

/// The embedded server's name in results, and its one account.
pub const SANDBOX: &str = "sandbox";

/// What proves to the embedded server who asks. It guards nothing.
const SANDBOX_TOKEN: &str = "SANDBOX-TOKEN";

/// A server that can be spoken to.
pub struct Target {
    pub transport: HttpTransport,
    /// Serves as long as it is held.
    _sandbox: Option<Sandbox>,
}

/// The secret of a server, read before a run directory is made, so that a missing one costs nothing.
pub fn credential(server: Option<&ServerSpec>) -> Result<Option<Credential>> {
    Ok(server.map(|server| server.credential.read()).transpose()?)
}

/// Makes ready what a session needs to speak to its server. Opens no connection.
pub fn prepare(
    server: Option<(&ServerSpec, Credential)>,
    settings: &Settings,
    limits: &Limits,
    dir: &RunDir,
    job: &Arc<Job>,
) -> Result<Target> {
    let mut options = HttpOptions {
        method: settings.method,
        timeout: limits.timeout,
        connect_timeout: limits.connect_timeout,
        connections: limits.jobs.get() as usize,
        run_id: dir.run_id(),
        wants_certificate: false,
    };
    match server {
        Some((server, credential)) => {
            options.method = server.method;
            let endpoint = Endpoint::new(server.base()?, server.api);
            let transport = HttpTransport::new(&endpoint, &server.user, credential, &options)?;
            Ok(Target { transport, _sandbox: None })
        }
        None => {
            let world = World::for_mailboxes(
                SANDBOX,
                SANDBOX_TOKEN,
                job.mailboxes.iter().map(|(_, address)| address),
            );
            let sandbox = Sandbox::start(sandbox::Options {
                world,
                store: Some(dir.sandbox()),
                log_requests: false,
                ..sandbox::Options::default()
            })
            .context("the embedded sandbox cannot be started")?;
            let credential = Credential::Token(Secret::new(SANDBOX_TOKEN.to_owned()));
            let base = sandbox.url().parse().context("the sandbox's own address")?;
            let endpoint = Endpoint::new(base, Api::Cpanel);
            let transport = HttpTransport::new(&endpoint, SANDBOX, credential, &options)?;
            Ok(Target { transport, _sandbox: Some(sandbox) })
        }
    }
}
