//! All that a sandbox keeps, behind one lock that is never held across a wait.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::answer::{Data, Envelope};
use super::asked::{Asked, Call, Calls};
use super::capacity::Workers;
use super::email::{self, Done};
use super::faults::Faults;
use super::gate::{Credential, Entry, Gate, Refusal, Side};
use super::handle::{Sides, StopShape};
use super::log::{Log, LogId, Request};
use super::script::Fault;
use super::serve::Order;
use super::store::Store;
use super::tls::Shown;
use super::whm;
use super::world::{AccountId, World};

/// What the server's thread and the handle share.
pub(super) struct Shared {
    pub state: Mutex<State>,
    /// HTTP requests so far.
    pub arrived: AtomicU64,
    pub start: Instant,
    pub orders: UnboundedSender<Order>,
    pub workers: Arc<Workers>,
    pub tls: Option<Shown>,
    pub seed: u64,
}

pub(super) struct State {
    pub world: World,
    pub store: Option<Store>,
    pub faults: Faults,
    pub gate: Gate,
    pub log: Log,
    pub latency: Duration,
    pub stop_shape: StopShape,
    pub sides: Sides,
    pub refuse_domain_info: bool,
}

/// Who asked, and with what right.
pub(super) struct Caller {
    pub peer: IpAddr,
    pub credential: Option<Credential>,
}

/// What comes of carrying a request out.
pub(super) enum Reply {
    /// The body of a 200.
    Body(Bytes),
    /// The credential does not open anything, or the door is shut.
    Refused,
    /// This side is not served here, or the credential is the other side's.
    Denied,
    /// The change could not be written down and has not happened.
    NotKept(io::Error),
}

/// A call as it is carried out: what it meets, where it is noted, what the time is.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub fault: Option<&'a Fault>,
    pub noted: LogId,
    pub now: Duration,
}

/// An answer's body, and what there is behind it.
pub(super) struct Answered {
    pub body: Bytes,
    pub carried_out: bool,
    pub had_effect: bool,
}

impl Shared {
    /// The state. Nothing leaves it half-changed, so a panic elsewhere does not spoil it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of an HTTP request that has come.
    pub fn number(&self) -> u64 {
        self.arrived.fetch_add(1, Ordering::Relaxed)
    }
}

impl State {
    /// Carries out what was asked.
    pub fn carry_out(&mut self, asked: &Asked, caller: &Caller, course: Course<'_>) -> Reply {
        let side = asked.call.way.side();
        let is_served = match self.sides {
            Sides::Both => true,
            Sides::Cpanel => side == Side::Cpanel,
            Sides::Whm => side == Side::Whm,
        };
        if !is_served {
            return Reply::Denied;
        }
        let credential = caller.credential.as_ref();
        let answered = match self.gate.admit(&self.world, caller.peer, credential, side, Instant::now()) {
            Err(Refusal::Login) => return Reply::Refused,
            Err(Refusal::Side) => return Reply::Denied,
            Ok(Entry::Account(account)) => self.uapi(account, asked, course).map(|done| {
                let Done { envelope, carried_out, had_effect } = done;
                Answered { body: envelope.to_bytes(), carried_out, had_effect }
            }),
            Ok(Entry::Whm(user)) => whm::answer(self, user, asked, course),
        };
        match answered {
            Err(error) => Reply::NotKept(error),
            Ok(Answered { body, carried_out, had_effect }) => {
                if let Some(request) = self.log.get_mut(course.noted) {
                    (request.carried_out, request.had_effect) = (carried_out, had_effect);
                }
                Reply::Body(body)
            }
        }
    }

    /// Carries out a call of UAPI for an account.
    ///
    /// # Errors
    /// A change could not be written down.
    pub fn uapi(&mut self, account: AccountId, asked: &Asked, course: Course<'_>) -> io::Result<Done> {
        if let Some(Fault::ApiFailure(text)) = course.fault {
            return Ok(Done::no(text));
        }
        let pretend = matches!(course.fault, Some(Fault::NoEffect));
        let Calls::Strict { commands, broken } = &asked.calls else {
            return email::call(&mut self.world, self.store.as_mut(), account, &asked.call, pretend);
        };
        let mut run = Batch::default();
        for (index, call) in commands.iter().enumerate() {
            let fault = self.faults.for_command(call);
            let done = if let Some(Fault::ApiFailure(text)) = &fault {
                Done::no(text)
            } else {
                let pretend = pretend || matches!(fault, Some(Fault::NoEffect));
                email::call(&mut self.world, self.store.as_mut(), account, call, pretend)?
            };
            let course = Course { fault: fault.as_ref(), ..course };
            self.note_command(index, call, (done.carried_out, done.had_effect), course);
            run.add(&done);
            if run.failed() {
                break;
            }
        }
        if let (Some(text), false) = (broken, run.failed()) {
            run.add(&Done::no(text));
        }
        Ok(run.finish(self.stop_shape))
    }

    /// Notes a command of a list behind its list: whether it was carried out and had effect.
    pub fn note_command(&mut self, index: usize, call: &Call, went: (bool, bool), course: Course<'_>) {
        let Some(list) = self.log.get_mut(course.noted).cloned() else { return };
        self.log.note(|| Request {
            command: u32::try_from(index).ok(),
            ended: Some(course.now),
            through: call.way.command().or(list.through),
            account: call.account.clone().or(list.account),
            module: call.module.clone(),
            function: call.function.clone(),
            email: call.email().map(str::to_owned),
            domain: call.domain().map(str::to_owned),
            carried_out: went.0,
            had_effect: went.1,
            fault: course.fault.map(Fault::word),
            ..list
        });
    }
}

/// A `Batch::strict` as it goes: what its calls answered, up to the first failure.
#[derive(Default)]
struct Batch {
    items: Vec<u8>,
    error: Option<String>,
    carried_out: bool,
    had_effect: bool,
}

impl Batch {
    fn failed(&self) -> bool {
        self.error.is_some()
    }

    fn add(&mut self, done: &Done) {
        if !self.items.is_empty() {
            self.items.push(b',');
        }
        done.envelope.write(&mut self.items);
        self.error.clone_from(&done.envelope.error);
        self.carried_out |= done.carried_out;
        self.had_effect |= done.had_effect;
    }

    fn finish(self, shape: StopShape) -> Done {
        let data = || {
            let mut list = Vec::with_capacity(self.items.len() + 2);
            list.push(b'[');
            list.extend_from_slice(&self.items);
            list.push(b']');
            list
        };
        let envelope = match (self.error.clone(), shape) {
            (None, _) => Envelope::ok(Data::Rows(data())),
            (Some(error), StopShape::NoData) => Envelope::failure(error),
            (Some(_), StopShape::ShortArray) => {
                Envelope { data: Data::Plain(data()), ..Envelope::failure("batch stopped") }
            }
        };
        Done { envelope, carried_out: self.carried_out, had_effect: self.had_effect }
    }
}
