//! Several servers at once, and the configuration that names them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailsweep::sandbox::{Options, Request, Sandbox, Script, World};

use crate::support::{Place, TOKEN};

/// Accounts and their mailboxes, as in `alfa: u0@a.example u1@a.example`.
pub type Accounts<'a> = &'a [(&'a str, &'a str)];

/// The world of a server with these accounts. Each account's token is its name behind `TOKEN-`; root's
/// is [`TOKEN`].
pub fn world(accounts: Accounts<'_>) -> World {
    let mut world = World::new();
    world.add_whm_user("root", TOKEN, TOKEN).unwrap();
    for (user, mailboxes) in accounts {
        let token = format!("TOKEN-{user}");
        world.add_account(user, &token, &token).unwrap();
        for address in mailboxes.split_whitespace() {
            world.add_mailbox(user, address).unwrap();
        }
    }
    world
}

pub fn serve(accounts: Accounts<'_>) -> Sandbox {
    serve_with(accounts, Options::default())
}

pub fn serve_with(accounts: Accounts<'_>, options: Options) -> Sandbox {
    Sandbox::start(Options { world: world(accounts), ..options }).unwrap()
}

/// A server that takes so long for each request.
pub fn serve_slowly(accounts: Accounts<'_>, latency_ms: u64) -> Sandbox {
    serve_with(accounts, Options { latency: Duration::from_millis(latency_ms), ..Options::default() })
}

pub fn misbehaving(accounts: Accounts<'_>, script: Script) -> Sandbox {
    serve_with(accounts, Options { script, ..Options::default() })
}

/// A `[[server]]` of WHM, root's.
pub fn whm(name: &str, url: &str) -> String {
    format!(
        "\n[[server]]\nname = \"{name}\"\nurl = \"{url}\"\nuser = \"root\"\napi = \"whm\"\n\
         token_file = \"token\"\n"
    )
}

/// A `[[server]]` that is one account; its token file is named like it.
pub fn cpanel(name: &str, url: &str, user: &str) -> String {
    format!(
        "\n[[server]]\nname = \"{name}\"\nurl = \"{url}\"\nuser = \"{user}\"\napi = \"cpanel\"\n\
         token_file = \"{user}.token\"\n"
    )
}

/// `mailboxes` mailboxes of a domain, as [`Accounts`] has them.
pub fn many(mailboxes: usize, domain: &str) -> String {
    (0..mailboxes).map(|i| format!("u{i}@{domain} ")).collect()
}

/// A row for each mailbox: its login is suspended.
pub fn logins(mailboxes: &[&str]) -> String {
    let rows = mailboxes.iter().flat_map(|list| list.split_whitespace());
    let rows = rows.map(|address| format!("{address},suspend,login\n"));
    std::iter::once("email,action,channel\n".to_owned()).chain(rows).collect()
}

/// An address at which connections are counted and never answered.
pub fn counting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

impl Place {
    /// Writes `mailsweep.toml`: no limit on the rate, few tries, and these servers.
    pub fn configure(&self, servers: &[String]) {
        self.configure_as("mailsweep.toml", servers);
    }

    pub fn configure_as(&self, name: &str, servers: &[String]) {
        let defaults = "[defaults]\nrate = \"none\"\nretries = 1\n";
        self.write(name, defaults.to_owned() + &servers.concat());
        for user in ["alfa", "beta"] {
            self.write(&format!("{user}.token"), format!("TOKEN-{user}"));
        }
    }

    /// `run job.csv` into `run`.
    pub fn fleet_run(&self, args: &[&str]) -> Command {
        self.fleet_run_of("job.csv", "run", args)
    }

    pub fn fleet_run_of(&self, job: &str, run: &str, args: &[&str]) -> Command {
        let mut command = self.mailsweep(&["run", job, "--yes", "--run-dir", run]);
        command.args(args);
        command
    }

    pub fn resume(&self, args: &[&str]) -> Command {
        let mut command = self.mailsweep(&["resume", "run"]);
        command.args(args);
        command
    }

    /// The results of `run`, each as `STATUS/CLASS`, or the status alone.
    pub fn ends(&self) -> Vec<String> {
        let end = |row: std::collections::BTreeMap<String, String>| {
            let (status, class) = (&row["status"], &row["error_class"]);
            if class.is_empty() { status.clone() } else { format!("{status}/{class}") }
        };
        self.results("run").into_iter().map(end).collect()
    }

    /// Each result's `SERVER/ACCOUNT`.
    pub fn places(&self) -> Vec<String> {
        let rows = self.results("run").into_iter();
        rows.map(|row| format!("{}/{}", row["server"], row["account"])).collect()
    }

    /// Why a server was halted, as the summary has it; empty if it was not.
    pub fn halted(&self, server: &str) -> String {
        let summary = self.summary("run");
        let mut servers = summary["servers"].as_array().unwrap().iter();
        let figures = servers.find(|figures| figures["name"] == server).unwrap_or_else(|| {
            panic!("no {server} in {}", summary["servers"]);
        });
        figures["halted"].as_str().unwrap_or_default().to_owned()
    }
}

/// The calls for mailboxes, without what was asked before.
pub fn calls(sandbox: &Sandbox) -> Vec<Request> {
    sandbox.requests().into_iter().filter(|request| request.email.is_some()).collect()
}

/// The mailboxes that were called for, in order.
pub fn called(sandbox: &Sandbox) -> Vec<String> {
    calls(sandbox).into_iter().filter_map(|request| request.email).collect()
}

/// The functions that were called, in order.
pub fn functions(sandbox: &Sandbox) -> Vec<String> {
    sandbox.requests().into_iter().map(|request| request.function).collect()
}
