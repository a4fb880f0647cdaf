//! A running sandbox, as those see it who started it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::unbounded_channel;

use super::capacity::{Capacity, CapacityLater, Workers};
use super::faults::Faults;
use super::gate::{Gate, Lockout};
use super::log::{Log, Request};
use super::script::Script;
use super::serve::{self, Order};
use super::state::{Shared, State};
use super::store::Store;
use super::tls::{Shown, Tls};
use super::world::World;

/// How a sandbox is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// What there is. Not heeded if `store` names a file that exists.
    pub world: World,
    /// How long each request takes before it is carried out.
    pub latency: Duration,
    /// What the script's chances are drawn from.
    pub seed: u64,
    /// In which ways to misbehave.
    pub script: Script,
    /// The file to keep the state in; it is made if it does not exist. Not for two sandboxes at once.
    pub store: Option<PathBuf>,
    /// Whether to note what arrives, for [`Sandbox::requests`].
    pub log_requests: bool,
    /// When bad logins shut an address out; `None` for never.
    pub lockout: Option<Lockout>,
    /// What a batch that was stopped looks like.
    pub stop_shape: StopShape,
    /// How much it can do; `None` for anything.
    pub capacity: Option<Capacity>,
    /// How much it can do after a while, instead.
    pub capacity_later: Option<CapacityLater>,
    /// The certificate to serve with; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Whose functions it answers.
    pub sides: Sides,
    /// Refuses WHM's `get_domain_info`, as for a token without the right to it; `getdomainowner` is
    /// answered all the same.
    pub refuse_domain_info: bool,
}

/// Whose functions a port answers. A call of the other side's is denied with the recorded 403: what
/// people got who had found the wrong port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sides {
    /// An account's (`/execute`) and WHM's (`/json-api`); a real server has a port for each.
    #[default]
    Both,
    /// An account's, as on port 2083.
    Cpanel,
    /// WHM's, as on port 2087.
    Whm,
}

/// The answer to a `Batch::strict` of which a command failed. Nobody has recorded one: a client has
/// to live with either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopShape {
    /// `status` 0, and `data` has the answers up to the failure.
    #[default]
    ShortArray,
    /// `status` 0 with the failure's error, and no `data`.
    NoData,
}

impl Default for Options {
    /// An empty, prompt and well-behaved server on any port, with a request log and the usual lock,
    /// kept in memory.
    fn default() -> Options {
        Options {
            port: 0,
            world: World::new(),
            latency: Duration::ZERO,
            seed: 0,
            script: Script::default(),
            store: None,
            log_requests: true,
            lockout: Some(Lockout::default()),
            stop_shape: StopShape::default(),
            capacity: None,
            capacity_later: None,
            tls: None,
            sides: Sides::default(),
            refuse_domain_info: false,
        }
    }
}

/// A running imitation. It stops when it is dropped.
///
/// Its methods take a lock for a moment, or wait for the server's thread; they may be called from
/// anywhere.
pub struct Sandbox {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a server on a thread of its own. When this returns it takes connections.
    ///
    /// # Errors
    /// The port is taken, the store cannot be read or made, or the certificate cannot be made.
    pub fn start(options: Options) -> io::Result<Sandbox> {
        let Options { port, world, latency, seed, script, store, log_requests, lockout, .. } = options;
        let Options { stop_shape, capacity, capacity_later, tls, sides, refuse_domain_info, .. } = options;
        let tls = tls.map(Shown::new).transpose()?;
        let socket = serve::take_port(port)?;
        let port = socket.local_addr()?.port();
        let (store, world) = match store {
            None => (None, world),
            Some(path) => {
                let (store, world) = Store::open(&path, world)?;
                (Some(store), world)
            }
        };
        let state = State {
            world,
            store,
            faults: Faults::new(script, seed),
            gate: Gate::new(lockout),
            log: Log::new(log_requests),
            latency,
            stop_shape,
            sides,
            refuse_domain_info,
        };
        let (orders, inbox) = unbounded_channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            arrived: AtomicU64::new(0),
            start: Instant::now(),
            orders,
            workers: Workers::new(capacity, capacity_later),
            tls,
            seed,
        });
        let (ready, wait) = mpsc::sync_channel(1);
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || serve::run(socket, &for_thread, inbox, &ready))?;
        wait.recv().map_err(io::Error::other)??;
        Ok(Sandbox { port, shared, thread: Some(thread) })
    }

    /// Where it is: `http://127.0.0.1:PORT`, with TLS `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The certificate of the authority that signed its own, in PEM; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(|shown| shown.ca_pem.as_str())
    }

    /// The SHA-256, in hex, of its certificate's public key (SubjectPublicKeyInfo, DER); `None` without
    /// TLS.
    pub fn pin_sha256(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(|shown| shown.pin_sha256.as_str())
    }

    /// The port it has.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it: closes everything, drops what is under way, waits for the thread. What it was and
    /// what it saw can still be asked for.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Neither can fail but for a thread that has ended already.
            let _ = self.shared.orders.send(Order::Stop);
            let _ = thread.join();
        }
    }

    /// A copy of what there is now.
    pub fn world(&self) -> World {
        self.shared.state().world.clone()
    }

    /// Changes what there is, as the server's owner or a colleague might. With a store the whole
    /// state is written anew.
    ///
    /// # Errors
    /// The state could not be written; it has changed in memory all the same.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> io::Result<T> {
        let mut state = self.shared.state();
        let state = &mut *state;
        let result = change(&mut state.world);
        if let Some(store) = &mut state.store {
            store.rewrite(&state.world)?;
        }
        Ok(result)
    }

    /// Gives an account another token: whether there is such an account.
    ///
    /// # Errors
    /// As [`Sandbox::change`].
    pub fn set_token(&self, user: &str, token: &str) -> io::Result<bool> {
        self.change(|world| world.set_token(user, token))
    }

    /// Misbehaves by another script from the next request on. Counting begins anew.
    pub fn set_script(&self, script: Script) {
        self.shared.state().faults = Faults::new(script, self.shared.seed);
    }

    /// Takes so long for each request from the next one on.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }

    /// Can do so much from now on. What is worked on ends as it began; who waits, waits on.
    pub fn set_capacity(&self, capacity: Option<Capacity>) {
        self.shared.workers.set(capacity);
    }

    /// How many requests are worked on and how many wait for a worker; with a capacity alone.
    pub fn load(&self) -> (usize, usize) {
        self.shared.workers.load()
    }

    /// Dies: closes all connections and refuses new ones; or comes back, on the same port. When this
    /// returns it is so. Calls whose wait had begun are carried out all the same.
    ///
    /// # Errors
    /// The port cannot be had back, or the sandbox has been stopped.
    pub fn set_dead(&self, dead: bool) -> io::Result<()> {
        let (done, wait) = mpsc::sync_channel(1);
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the sandbox has been stopped");
        self.shared.orders.send(Order::Dead { dead, done: Some(done) }).map_err(|_| gone())?;
        wait.recv().map_err(|_| gone())?
    }

    /// Forgets all bad logins and lets every address in again.
    pub fn forgive_logins(&self) {
        self.shared.state().gate.forgive();
    }

    /// What arrived, in the order of its arrival: up to about a million, none if the log is off.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().log.requests().to_vec()
    }

    /// How many HTTP requests arrived, with the log off too.
    pub fn requests_seen(&self) -> u64 {
        self.shared.arrived.load(Ordering::Relaxed)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({})", self.url())
    }
}
