//! What is settled with the servers before a job is sent to them: who else is at work there, whether
//! they refused us lately, and which domains they have.

use std::ops::ControlFlow;
use std::time::Duration;

use hashbrown::HashSet;

use super::Failure;
use super::args::StateArgs;
use super::person;
use super::reach::{Credentials, Reach};
use super::run::state_failure;
use super::shard;
use super::show::Live;
use crate::domain::ErrorClass;
use crate::engine::{self, Inquiry, Known, Limiter, Limits, Listed};
use crate::fleet::{Fleet, Heard, Server};
use crate::job::Job;
use crate::record::{Asked, Holder, LockError, ServerLock, Stamp, StateDir};
use crate::uapi::{Api, Credential, Question, Reader};

/// What came of it, one entry for each server of the fleet.
pub struct Survey {
    pub heard: Vec<Heard>,
    pub known: Vec<Known>,
    /// For the journal; the numbers are those of the servers in the fleet.
    pub asked: Vec<Asked>,
    /// Held as long as the command runs.
    _locks: Vec<ServerLock>,
}

impl Survey {
    /// Nothing was asked, and nobody else is at work: for the embedded server and for rehearsals.
    pub fn silent(fleet: &Fleet, left_out: &[bool]) -> Survey {
        let heard = left_out.iter().map(|out| Heard { is_left_out: *out, ..Heard::default() });
        Survey {
            heard: heard.collect(),
            known: fleet.servers.iter().map(|_| Known::default()).collect(),
            asked: Vec::new(),
            _locks: Vec::new(),
        }
    }
}

/// Whom a survey is for.
pub struct Surveyor<'a> {
    pub fleet: &'a Fleet,
    pub credentials: &'a Credentials,
    pub reach: &'a Reach,
    pub job: &'a Job,
    pub args: &'a StateArgs,
    /// Whether nothing is changed, so that no other run need be kept away.
    pub only_looks: bool,
    pub run_id: &'a str,
    pub operator: &'a str,
    /// For each server whether it belongs to another shard of the job; empty where there are none.
    pub others: Vec<bool>,
    pub live: &'a Live,
}

impl Surveyor<'_> {
    /// Takes the servers' locks and asks who has not refused us lately. `is_needed` says of a server
    /// whether it is to be spoken to at all.
    pub fn survey(
        &self,
        state: &StateDir,
        left_out: &[bool],
        is_needed: impl Fn(usize) -> bool,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Survey, Failure> {
        let Survey { mut heard, mut known, mut asked, .. } = Survey::silent(self.fleet, left_out);
        let mut limiters: Vec<Limiter> =
            self.fleet.servers.iter().map(|server| Limiter::new(&server.limits)).collect();
        let mut locks = Vec::new();
        let is_anothers = |number: usize| self.others.get(number).copied().unwrap_or(false);
        let is_told = shard::is_told(self.job, self.fleet);
        // What belongs to another shard is called by that one, which holds its lock. It is only asked
        // what it has, and not even that where everything is told already.
        let is_spared = |number: usize| is_anothers(number) && is_told;
        (0..left_out.len())
            .filter(|number| is_spared(*number))
            .for_each(|number| heard[number].is_halted = true);
        let wanted: Vec<usize> = (0..left_out.len())
            .filter(|number| !left_out[*number] && is_needed(*number) && !is_spared(*number))
            .collect();
        let to_lock: Vec<usize> = wanted.iter().copied().filter(|number| !is_anothers(*number)).collect();
        let locked = if self.only_looks { Vec::new() } else { self.lock(state, &to_lock) };
        for (number, lock) in to_lock.iter().copied().zip(locked) {
            let server = &self.fleet.servers[number];
            match lock {
                Ok(lock) => {
                    if lock.begins_empty(Stamp::now(), refill_time(&server.limits)) {
                        limiters[number] = Limiter::emptied(&server.limits);
                    }
                    locks.push(lock);
                }
                Err(fault @ LockError::InUse(_)) if !self.args.share_servers => {
                    let why = format!(
                        "{fault}; wait for it with --wait 10m, or go on regardless with --share-servers"
                    );
                    close(server, &mut heard[number], &mut known[number], ErrorClass::ServerInUse, why);
                }
                Err(LockError::InUse(_)) => {}
                Err(LockError::State(fault)) => return Err(state_failure(fault)),
                Err(fault @ LockError::Interrupted) => return Err(anyhow::Error::from(fault).into()),
            }
        }
        for number in wanted.iter().copied() {
            let server = &self.fleet.servers[number];
            if known[number].halted.is_none()
                && !self.args.try_again
                && let Some((_, why)) = barred(state, server, &self.credentials[number])
            {
                close(server, &mut heard[number], &mut known[number], ErrorClass::Auth, why);
            }
        }

        let domains = domains(self.job);
        let to_ask: Vec<usize> =
            wanted.iter().copied().filter(|number| known[*number].halted.is_none()).collect();
        let inquiries: Vec<Inquiry<'_>> = to_ask
            .iter()
            .map(|number| Inquiry {
                limits: &self.fleet.servers[*number].limits,
                limiter: std::mem::replace(&mut limiters[*number], Limiter::new(&Limits::default())),
                logins: self.logins(*number),
                domains: &domains,
                held: &[],
            })
            .collect();
        let begun = Stamp::now();
        if inquiries.iter().any(|inquiry| inquiry.logins.iter().any(|login| login.question.is_some())) {
            let many = to_ask.len();
            let whom = if many == 1 {
                self.fleet.servers[to_ask[0]].name.clone()
            } else {
                format!("{many} servers")
            };
            self.live.note(&format!("asking {whom} which domains they have"));
        }
        let told = runtime.block_on(engine::ask(inquiries, fastrand::u64(..)));
        for (number, told) in to_ask.into_iter().zip(told) {
            let server = &self.fleet.servers[number];
            let refused = told.refused.map(|login| (number, login));
            note_refusals(state, self.fleet, self.credentials, self.run_id, refused.as_slice(), self.live);
            if told.requests > 0 {
                asked.push(entry(number, begun, &told));
            }
            if let Some((_, reason)) = &told.known.halted {
                self.live.note(&format!("{}: {reason}", server.name));
            }
            heard[number].is_halted = told.known.halted.is_some();
            heard[number].lists = told.lists;
            known[number] = told.known;
        }
        Ok(Survey { heard, known, asked, _locks: locks })
    }

    fn lock(&self, state: &StateDir, wanted: &[usize]) -> Vec<Result<ServerLock, LockError>> {
        let names: Vec<String> =
            wanted.iter().map(|number| self.fleet.servers[*number].host_port()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let holder = Holder {
            run_id: self.run_id.to_owned(),
            operator: self.operator.to_owned(),
            pid: std::process::id(),
            host: person::host(),
            since: Stamp::now(),
        };
        let wait = if self.args.share_servers { Duration::ZERO } else { self.args.wait };
        state.lock_all(&names, &holder, wait, |waiting| {
            if waiting.is_new {
                self.live.note(&waiting.to_string());
            }
            ControlFlow::Continue(())
        })
    }

    fn logins(&self, number: usize) -> Vec<engine::Login<'_>> {
        let server = &self.fleet.servers[number];
        let is_alone = self.fleet.servers.len() == 1 && server.logins.len() == 1;
        let logins = server.logins.iter().zip(&self.reach.transports[number]);
        logins
            .map(|(login, transport)| engine::Login {
                reader: transport as &dyn Reader,
                wants_tokens: false,
                question: match login.api {
                    Api::Whm => Some(Question::DomainInfo),
                    // Its account is known; which domains it has is asked only where that decides.
                    Api::Cpanel if login.domains.is_empty() && !is_alone => Some(Question::MailDomains),
                    Api::Cpanel => None,
                },
            })
            .collect()
    }
}

/// The login of a server whose credential it refused so often of late that nothing is to be sent there,
/// and why, with what to do. A login without a credential is none.
pub fn barred(state: &StateDir, server: &Server, credentials: &[Credential]) -> Option<(usize, String)> {
    let mut logins = server.logins.iter().zip(credentials).enumerate();
    logins.find_map(|(place, (login, credential))| {
        let (Credential::Token(secret) | Credential::Password(secret)) = credential;
        let barred = state.is_barred(&server.host_port(), &login.user, secret, Stamp::now())?;
        let why = format!(
            "it refused this credential of {} {} times lately, and a few more lock this address out: \
             put a new one in its place, or wait until {}, or add --try-again",
            login.user, barred.refusals, barred.until
        );
        Some((place, why))
    })
}

/// Remembers which servers refused which login's credential, for the commands to come.
pub fn note_refusals(
    state: &StateDir,
    fleet: &Fleet,
    credentials: &Credentials,
    run_id: &str,
    refused: &[(usize, usize)],
    live: &Live,
) {
    let session = format!("{run_id} {}", std::process::id());
    for (number, login) in refused.iter().copied() {
        let server = &fleet.servers[number];
        let (Some(spec), Some(credential)) = (server.logins.get(login), credentials[number].get(login))
        else {
            continue;
        };
        let (Credential::Token(secret) | Credential::Password(secret)) = credential;
        let noted = state.note_refusal(&server.host_port(), &spec.user, secret, &session, Stamp::now());
        if let Err(fault) = noted {
            live.note(&format!("the refusal could not be remembered: {fault}"));
        }
    }
}

/// Nothing is sent to a server in this session.
fn close(server: &Server, heard: &mut Heard, known: &mut Known, class: ErrorClass, why: String) {
    heard.is_halted = true;
    heard.lists = server.logins.iter().map(|_| Listed::Silent { class, error: why.clone() }).collect();
    known.halted = Some((class, why));
}

/// How long it takes until a burst is whole again.
fn refill_time(limits: &Limits) -> Duration {
    let burst = f64::from(limits.effective_burst().get());
    limits.rate.calls_per_second().map_or(Duration::ZERO, |rate| Duration::from_secs_f64(burst / rate))
}

/// The domains of the job's mailboxes, each once.
fn domains(job: &Job) -> Vec<String> {
    let mailboxes = job.mailboxes.iter().filter_map(|(_, address)| address.rsplit_once('@'));
    // A million addresses have some thousand domains.
    let domains: HashSet<&str> = mailboxes.map(|(_, domain)| domain).collect();
    let mut domains: Vec<String> = domains.into_iter().map(str::to_owned).collect();
    domains.sort_unstable();
    domains
}

fn entry(number: usize, at: Stamp, told: &engine::Told) -> Asked {
    let mut domains = 0;
    let mut fault = None;
    for list in &told.lists {
        match list {
            Listed::Domains(list) => domains += list.len(),
            Listed::Silent { class, error } => fault = fault.or(Some((*class, error.as_str()))),
            Listed::NotAsked => {}
        }
    }
    Asked {
        at,
        server: u16::try_from(number).unwrap_or(u16::MAX),
        requests: told.requests,
        ms: u32::try_from(told.took.as_millis()).unwrap_or(u32::MAX),
        domains: u32::try_from(domains).unwrap_or(u32::MAX),
        class: fault.map(|(class, _)| class),
        error: fault.map_or("", |(_, error)| error).into(),
    }
}
