//! All that a sandbox keeps, behind one lock that is never held across a wait.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::answer::{Data, Envelope};
use super::asked::{Asked, Call, Calls};
use super::email::{self, Done};
use super::faults::Faults;
use super::gate::{Credential, Gate};
use super::handle::StopShape;
use super::log::{Log, Request};
use super::script::Fault;
use super::serve::Order;
use super::store::Store;
use super::world::World;

/// What the server's thread and the handle share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// HTTP requests so far.
    pub arrived: AtomicU64,
    pub start: Instant,
    pub orders: UnboundedSender<Order>,
}

pub(super) struct State {
    pub world: World,
    pub store: Option<Store>,
    pub faults: Faults,
    pub gate: Gate,
    pub log: Log,
    pub latency: Duration,
    pub stop_shape: StopShape,
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
    /// The credential does not open any account, or the door is shut.
    Refused,
    /// The change could not be written down and has not happened.
    NotKept(io::Error),
}

impl Shared {
    pub fn new(state: State, orders: UnboundedSender<Order>) -> Shared {
        Shared { state: Mutex::new(state), arrived: AtomicU64::new(0), start: Instant::now(), orders }
    }

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
    /// Carries out what was asked. `noted` is the request's entry in the log, to copy for the
    /// commands of a batch.
    pub fn carry_out(
        &mut self,
        asked: &Asked,
        caller: &Caller,
        fault: Option<&Fault>,
        noted: Option<usize>,
        now: Duration,
    ) -> Reply {
        let account = self.gate.admit(&self.world, caller.peer, caller.credential.as_ref(), Instant::now());
        let Some(account) = account else { return Reply::Refused };
        if let Some(Fault::ApiFailure(text)) = fault {
            return Reply::Body(Envelope::failure(text.as_str()).to_bytes());
        }
        let pretend = matches!(fault, Some(Fault::NoEffect));
        match &asked.calls {
            Calls::One => {
                let done = email::call(&mut self.world, self.store.as_mut(), account, &asked.call, pretend);
                let done = match done {
                    Ok(done) => done,
                    Err(error) => return Reply::NotKept(error),
                };
                if let Some(request) = self.log.get_mut(noted) {
                    request.carried_out = done.carried_out;
                    request.had_effect = done.had_effect;
                }
                Reply::Body(done.envelope.to_bytes())
            }
            Calls::Batch { commands, broken } => {
                let mut run = Batch::default();
                for (index, call) in commands.iter().enumerate() {
                    let fault = self.faults.for_command(call);
                    let done = if let Some(Fault::ApiFailure(text)) = &fault {
                        let envelope = Envelope::failure(text.as_str());
                        Done { envelope, carried_out: false, had_effect: false }
                    } else {
                        let pretend = pretend || matches!(fault, Some(Fault::NoEffect));
                        match email::call(&mut self.world, self.store.as_mut(), account, call, pretend) {
                            Ok(done) => done,
                            Err(error) => return Reply::NotKept(error),
                        }
                    };
                    self.note_command(noted, index, call, &done, fault.as_ref(), now);
                    run.add(&done);
                    if run.failed() {
                        break;
                    }
                }
                if let (Some(text), false) = (broken, run.failed()) {
                    let envelope = Envelope::failure(text.as_str());
                    run.add(&Done { envelope, carried_out: false, had_effect: false });
                }
                if let Some(request) = self.log.get_mut(noted) {
                    request.carried_out = run.carried_out;
                    request.had_effect = run.had_effect;
                }
                Reply::Body(run.finish(self.stop_shape))
            }
        }
    }

    fn note_command(
        &mut self,
        noted: Option<usize>,
        index: usize,
        call: &Call,
        done: &Done,
        fault: Option<&Fault>,
        now: Duration,
    ) {
        let Some(batch) = self.log.get_mut(noted).cloned() else { return };
        self.log.note(|| Request {
            command: u32::try_from(index).ok(),
            ended: Some(now),
            module: call.module.clone(),
            function: call.function.clone(),
            email: call.email().map(str::to_owned),
            carried_out: done.carried_out,
            had_effect: done.had_effect,
            fault: fault.map(Fault::word),
            ..batch
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

    fn finish(self, shape: StopShape) -> Bytes {
        let data = || {
            let mut list = Vec::with_capacity(self.items.len() + 2);
            list.push(b'[');
            list.extend_from_slice(&self.items);
            list.push(b']');
            list
        };
        let Some(error) = self.error else { return Envelope::ok(Data::Rows(data())).to_bytes() };
        match shape {
            StopShape::NoData => Envelope::failure(error).to_bytes(),
            StopShape::ShortArray => {
                let mut envelope = Envelope::failure("batch stopped");
                envelope.data = Data::Plain(data());
                envelope.to_bytes()
            }
        }
    }
}
