//! `mailsweep check`: ask each server whether it can be worked with, and until when.
//!
//! Nothing that could change anything is held here: servers are asked through
//! [`Reader`](crate::uapi::Reader)s, by the same rules as before a run.

use std::io::Write;

use anyhow::Context;

use super::Failure;
use super::args::CheckArgs;
use super::findings::{Judge, Standing, exit};
use super::ground::Ground;
use super::reach::{self, Credentials};
use super::run::state_failure;
use super::show::Live;
use super::survey::{barred, note_refusals};
use crate::domain::{Exit, Secret};
use crate::engine::{self, Inquiry, Limiter, Told};
use crate::fleet::{Fleet, Server};
use crate::record::{Stamp, StateDir};
use crate::uapi::{Api, Credential, Question, Reader};
use crate::view::{self, Checkup, Terminal};

/// Carries out the command.
pub fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let ground = Ground::of_servers(&args.target)?;
    let left_out = args.which.left_out(&ground.fleet)?;
    let mut fleet = ground.fleet;
    let mut left_out = left_out.into_iter();
    fleet.servers.retain(|_| left_out.next() == Some(false));
    let state = StateDir::from_environment().map_err(state_failure)?;
    let live = Live::start(args);
    let whom = match fleet.servers.as_slice() {
        [server] => server.name.clone(),
        servers => format!("{} servers", servers.len()),
    };
    fleet.servers.iter().flat_map(Server::slips).for_each(|slip| live.note(&slip));
    live.note(&format!("asking {whom}"));

    // The name that reaches the servers' logs, and that tells this session's refusals from others'.
    let run_id = format!("check-{}", Stamp::now());
    let prepared: Vec<Prepared> =
        fleet.servers.iter().map(|server| Prepared::new(server, &state, args.try_again, &run_id)).collect();
    let to_ask: Vec<usize> =
        (0..prepared.len()).filter(|number| !prepared[*number].readers.is_empty()).collect();
    let inquiries: Vec<Inquiry<'_>> =
        to_ask.iter().map(|n| prepared[*n].inquiry(&fleet.servers[*n])).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let answers = runtime.block_on(engine::ask(inquiries, fastrand::u64(..)));
    runtime.shutdown_background();

    let mut told: Vec<Option<Told>> = fleet.servers.iter().map(|_| None).collect();
    for (number, answer) in to_ask.into_iter().zip(answers) {
        told[number] = Some(answer);
    }
    remember(&state, &fleet, &prepared, &told, &run_id, &live);
    let judge = Judge { now: Stamp::now(), warn_days: args.warn_days };
    let servers = fleet.servers.iter().zip(&prepared).zip(&told);
    let servers: Vec<_> = servers
        .map(|((server, prepared), told)| judge.server(server, &prepared.standings, told.as_ref()))
        .collect();
    let exit = exit(&servers);
    tell(args, live, &judge.checkup(servers));
    Ok(exit)
}

/// A server and what is needed to ask it.
struct Prepared {
    /// One for each login.
    standings: Vec<Standing>,
    credentials: Vec<Credential>,
    /// Those who are asked.
    readers: Vec<Asking>,
}

/// A way to ask, for one login.
struct Asking {
    login: usize,
    reader: Box<dyn Reader>,
    question: Question<'static>,
    wants_tokens: bool,
}

impl Prepared {
    /// Reads the credentials and makes the readers ready. What is amiss with one login keeps no other
    /// from being asked, but for a credential that must not be sent: each further login from here
    /// would count as well.
    fn new(server: &Server, state: &StateDir, try_again: bool, run_id: &str) -> Prepared {
        let mut standings = Vec::new();
        let mut credentials = Vec::new();
        let mut readers = Vec::new();
        for (place, login) in server.logins.iter().enumerate() {
            let ready = login.credential.read().map_err(anyhow::Error::from).and_then(|credential| {
                let reader = reach::transport(server, login, &credential, run_id, true)?;
                Ok((credential, reader))
            });
            match ready {
                Ok((credential, reader)) => {
                    let is_token = matches!(credential, Credential::Token(_));
                    let (question, wants_tokens) = match login.api {
                        Api::Whm => (Question::DomainInfo, false),
                        Api::Cpanel => (Question::MailDomains, is_token),
                    };
                    standings.push(Standing::Asked(readers.len()));
                    credentials.push(credential);
                    readers.push(Asking { login: place, reader: Box::new(reader), question, wants_tokens });
                }
                Err(fault) => {
                    standings.push(Standing::Unready(format!("{fault:#}")));
                    credentials.push(Credential::Token(Secret::new(String::new())));
                }
            }
        }
        if !try_again && let Some((login, why)) = barred(state, server, &credentials) {
            readers.clear();
            for (place, standing) in standings.iter_mut().enumerate() {
                match standing {
                    Standing::Asked(_) if place == login => *standing = Standing::Barred(why.clone()),
                    Standing::Asked(_) => *standing = Standing::Spared,
                    _ => {}
                }
            }
        }
        Prepared { standings, credentials, readers }
    }

    fn inquiry<'a>(&'a self, server: &'a Server) -> Inquiry<'a> {
        let logins = self.readers.iter().map(|asking| engine::Login {
            reader: &*asking.reader,
            question: Some(asking.question),
            wants_tokens: asking.wants_tokens,
        });
        let limits = &server.limits;
        Inquiry { limits, limiter: Limiter::new(limits), logins: logins.collect(), domains: &[], held: &[] }
    }
}

/// Notes who was refused, for the commands to come.
fn remember(
    state: &StateDir,
    fleet: &Fleet,
    prepared: &[Prepared],
    told: &[Option<Told>],
    run_id: &str,
    live: &Live,
) {
    let refused = |(number, told): (usize, &Option<Told>)| {
        let door = told.as_ref()?.refused?;
        Some((number, prepared[number].readers.get(door)?.login))
    };
    let refused: Vec<(usize, usize)> = told.iter().enumerate().filter_map(refused).collect();
    let credentials: Credentials = prepared.iter().map(|prepared| prepared.credentials.clone()).collect();
    note_refusals(state, fleet, &credentials, run_id, &refused, live);
}

fn tell(args: &CheckArgs, live: Live, checkup: &Checkup) {
    if args.json
        && let Ok(text) = serde_json::to_string_pretty(checkup)
    {
        // Whoever reads it may have gone.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
    if args.quiet {
        return live.say_and_end(&view::check_quiet(checkup));
    }
    let terminal = Terminal::stderr();
    // In a file or a pipe a server's line stays one, to be looked for by its name.
    let width = terminal.interactive.then(|| terminal.width());
    live.say_and_end(&view::check(checkup, args.verbose, terminal.style(), width));
}
