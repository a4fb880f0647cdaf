//! The way to the servers: a transport for each credential, real servers or the embedded one.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};

use crate::domain::Secret;
use crate::engine::Way;
use crate::fleet::{Fleet, Login, Server};
use crate::job::Job;
use crate::sandbox::{self, Sandbox, World};
use crate::uapi::{Api, Credential, Endpoint, HttpOptions, HttpTransport, Trust};

/// The embedded server's name in results, and its one account.
pub const SANDBOX: &str = "sandbox";

/// What proves to the embedded server who asks. It guards nothing.
const SANDBOX_TOKEN: &str = "SANDBOX-TOKEN";

/// The secrets of each login, by server.
pub type Credentials = Vec<Vec<Credential>>;

/// Where the embedded server's state comes from, and where it goes.
pub enum Kept {
    /// It is new, and forgotten.
    Nowhere,
    /// In this file.
    In(PathBuf),
    /// It begins as this file has it, which may be another process's: the file is left alone.
    AsIn(PathBuf),
}

/// Servers that can be spoken to: by server of the fleet, then by login.
pub struct Reach {
    pub transports: Vec<Vec<HttpTransport>>,
    /// Serves as long as it is held.
    _sandbox: Option<Sandbox>,
}

/// Reads the secret of every login, so that a missing one is found before a run directory is made.
/// Servers that are left out need none.
pub fn credentials(fleet: &Fleet, is_left_out: impl Fn(&Server) -> bool) -> Result<Credentials> {
    let mut faults = Vec::new();
    let mut read = |login: &Login| match login.credential.read() {
        Ok(credential) => credential,
        Err(fault) => {
            faults.push(format!("{}: {fault}", login.name));
            Credential::Token(Secret::new(String::new()))
        }
    };
    let of = |server: &Server| match is_left_out(server) {
        true => Vec::new(),
        false => server.logins.iter().map(&mut read).collect(),
    };
    let credentials = fleet.servers.iter().map(of).collect();
    match faults.as_slice() {
        [] => Ok(credentials),
        [fault] if fleet.servers.len() == 1 => {
            let bare = fault.split_once(": ").map_or(fault.as_str(), |(_, bare)| bare);
            Err(anyhow!("{bare}"))
        }
        faults => Err(anyhow!(
            "{}\nCorrect the configuration, or go on without these with --except-servers",
            faults.join("\n")
        )),
    }
}

impl Reach {
    /// Makes ready what is needed to speak to the servers. Opens no connection.
    pub fn servers(fleet: &Fleet, credentials: &Credentials, run_id: &str) -> Result<Reach> {
        let mut transports = Vec::new();
        for (server, credentials) in fleet.servers.iter().zip(credentials) {
            let logins = server.logins.iter().zip(credentials);
            let of_login = |(login, credential): (&Login, &Credential)| {
                transport(server, login, credential, run_id, false)
            };
            transports.push(logins.map(of_login).collect::<Result<Vec<_>>>()?);
        }
        Ok(Reach { transports, _sandbox: None })
    }

    /// The ways to each server by which calls can be made.
    pub fn ways(&self) -> Vec<Vec<Way<'_>>> {
        self.each(|transport| Way::Act(transport))
    }

    /// The ways to each server by which nothing can be changed.
    pub fn ways_to_look(&self) -> Vec<Vec<Way<'_>>> {
        self.each(|transport| Way::Look(transport))
    }

    fn each<'a>(&'a self, way: impl Fn(&'a HttpTransport) -> Way<'a>) -> Vec<Vec<Way<'a>>> {
        self.transports.iter().map(|logins| logins.iter().map(&way).collect()).collect()
    }

    /// Starts the embedded server, filled with the job's own mailboxes unless its state was kept.
    pub fn sandbox(server: &Server, kept: Kept, run_id: &str, job: &Job) -> Result<Reach> {
        let addresses = job.mailboxes.iter().map(|(_, address)| address);
        let anew = || World::for_mailboxes(SANDBOX, SANDBOX_TOKEN, addresses);
        let (store, world) = match kept {
            Kept::Nowhere => (None, anew()),
            Kept::In(path) => (Some(path), anew()),
            Kept::AsIn(path) => match World::load(&path) {
                Ok(world) => (None, world),
                Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => (None, anew()),
                Err(fault) => return Err(fault).with_context(|| format!("the sandbox's {}", path.display())),
            },
        };
        let sandbox = Sandbox::start(sandbox::Options {
            world,
            store,
            log_requests: false,
            ..sandbox::Options::default()
        })
        .context("the embedded sandbox cannot be started")?;
        let base: reqwest::Url = sandbox.url().parse().context("the sandbox's own address")?;
        let credential = Credential::Token(Secret::new(SANDBOX_TOKEN.to_owned()));
        let transports = server.logins.iter().map(|login| {
            let options = options(server, login, run_id);
            HttpTransport::new(
                &Endpoint::new(base.clone(), Api::Cpanel),
                SANDBOX,
                credential.clone(),
                &options,
            )
        });
        let transports = vec![transports.collect::<std::result::Result<Vec<_>, _>>()?];
        Ok(Reach { transports, _sandbox: Some(sandbox) })
    }
}

/// Makes ready what is needed to speak to a server by one of its logins. Opens no connection.
pub fn transport(
    server: &Server,
    login: &Login,
    credential: &Credential,
    run_id: &str,
    wants_certificate: bool,
) -> Result<HttpTransport> {
    let options = HttpOptions { wants_certificate, ..options(server, login, run_id) };
    let endpoint = endpoint(server, login.api)?;
    HttpTransport::new(&endpoint, &login.user, credential.clone(), &options)
        .with_context(|| login.name.clone())
}

fn options(server: &Server, login: &Login, run_id: &str) -> HttpOptions {
    HttpOptions {
        method: login.method,
        timeout: server.limits.timeout,
        connect_timeout: server.limits.connect_timeout,
        connections: server.limits.jobs.get() as usize,
        run_id: run_id.to_owned(),
        wants_certificate: false,
    }
}

fn endpoint(server: &Server, api: Api) -> Result<Endpoint> {
    let ca_pem = server.ca_file.as_ref().map(|path| {
        std::fs::read(path).with_context(|| format!("{}: ca_file {}", server.name, path.display()))
    });
    let pin =
        server.pin_sha256.as_ref().map(|pin| pin.parse().map_err(|fault| anyhow!("pin_sha256: {fault}")));
    let trust = Trust { ca_pem: ca_pem.transpose()?, pin_sha256: pin.transpose()? };
    Ok(Endpoint { base: server.base()?, api, trust, connect_to: server.connect_to.clone() })
}
