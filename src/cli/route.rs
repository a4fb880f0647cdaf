//! Every mailbox of a job on its way: to a server and account, or to nowhere with a reason.

use std::collections::{HashMap, HashSet};

use super::select::Lists;
use crate::domain::{ErrorClass, Status};
use crate::fleet::{Fleet, Heard, Left, Route, Router, Said};
use crate::job::{Job, MailboxId, What};
use crate::record::{Place, Places, Settled};

/// Where everything goes.
pub struct Routed {
    /// The place of each mailbox that has one.
    pub places: Places,
    /// For each place: the server in the fleet, and the login there if calls can be made.
    pub ways: Vec<(usize, Option<usize>)>,
    /// Operations that end without a call.
    pub settled: HashMap<u32, Settled>,
    /// Operations that a session leaves alone although they are its run's.
    pub left_alone: Vec<u32>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// Whether something could not be placed because servers were silent.
    pub is_unrouted: bool,
}

/// What is to be routed.
pub struct Routing<'a> {
    pub job: &'a Job,
    pub fleet: &'a Fleet,
    pub heard: &'a [Heard],
    pub lists: &'a Lists,
    /// The names that rows may give, as they were when the input was first read.
    pub names: &'a [String],
    /// Where mailboxes were put in earlier sessions.
    pub recorded: Option<&'a Places>,
    /// Whether nothing was asked on purpose.
    pub is_rehearsal: bool,
}

impl Routing<'_> {
    /// Routes the mailboxes of these operations. For those in `anew` what was recorded does not count.
    pub fn route(&self, to_do: impl Iterator<Item = u32>, anew: &HashSet<MailboxId>) -> Routed {
        let Routing { job, fleet, heard, .. } = *self;
        let router = Router::new(fleet, heard, self.is_rehearsal);
        let is_resumed = self.recorded.is_some();
        let mut routed = Routed {
            places: Places::new(job.mailboxes.len()),
            ways: Vec::new(),
            settled: HashMap::new(),
            left_alone: Vec::new(),
            warnings: self.lists.unknown(job),
            is_unrouted: false,
        };
        // Nearly all mailboxes get a place, which says that they are routed; the others are few.
        let mut left: HashMap<MailboxId, Left> = HashMap::new();
        let mut at_home: HashMap<(&str, usize), MailboxId> = HashMap::new();
        for op in to_do {
            let operation = &job.operations[op as usize];
            let What::Call(function) = operation.what else { continue };
            let mailbox = operation.mailbox;
            let address = job.mailboxes.get(mailbox);
            if let Some(why) = self.lists.leave_out(address, function.channel()) {
                routed.leave(op, is_resumed, why.into());
                continue;
            }
            if routed.places.number_of(mailbox).is_none() && !left.contains_key(&mailbox) {
                let said = &job.destinations[job.mailboxes.destination(mailbox) as usize];
                let said = Said {
                    server: said.server.and_then(|at| self.names.get(at as usize)).map(String::as_str),
                    account: &said.account,
                };
                let recorded = self.recorded.and_then(|places| places.of(mailbox));
                let recorded = recorded.filter(|place| !place.account.is_empty() && !anew.contains(&mailbox));
                let mut route = match recorded {
                    Some(Place { server, account }) => router.again(address, server, account),
                    None => router.route(address, said),
                };
                // The same mailbox twice, once with its server and once without, would be called for
                // twice at once.
                if let Route::Account { server, .. } | Route::Server { server } = route
                    && job.destinations.len() > 1
                    && *at_home.entry((address, server)).or_insert(mailbox) != mailbox
                {
                    let error = "another row names this mailbox with another `server` or `account` cell: \
                                 give all its rows the same";
                    route = Route::Left(Left {
                        status: Status::Blocked,
                        class: ErrorClass::AmbiguousServer,
                        error: error.into(),
                    });
                }
                match route {
                    Route::Account { server, login, account } => {
                        routed.place(fleet, mailbox, (server, Some(login)), &account);
                    }
                    Route::Server { server } => routed.place(fleet, mailbox, (server, None), ""),
                    Route::Left(why) => drop(left.insert(mailbox, why)),
                    Route::Open => {}
                }
            }
            match left.get(&mailbox) {
                Some(why) if why.class == ErrorClass::Excluded => {
                    routed.leave(op, is_resumed, why.error.clone());
                }
                Some(why) => {
                    routed.is_unrouted |= why.class == ErrorClass::Unrouted;
                    let class = Some(why.class);
                    let error = why.error.clone();
                    routed.settled.insert(op, Settled { status: why.status, class, error });
                }
                None => {}
            }
        }
        routed.warnings.extend(router.warning());
        routed
    }
}

impl Routed {
    /// What a run leaves out ends so for good; a later session only passes it over.
    fn leave(&mut self, op: u32, is_resumed: bool, error: std::sync::Arc<str>) {
        if is_resumed {
            self.left_alone.push(op);
        } else {
            let (status, class) = (Status::NotAttempted, Some(ErrorClass::Excluded));
            self.settled.insert(op, Settled { status, class, error });
        }
    }

    fn place(&mut self, fleet: &Fleet, mailbox: MailboxId, way: (usize, Option<usize>), account: &str) {
        let number = self.places.number(&fleet.servers[way.0].name, account);
        if number as usize == self.ways.len() {
            self.ways.push(way);
        }
        self.places.put(mailbox, number);
    }
}
