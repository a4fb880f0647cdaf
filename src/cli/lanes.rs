//! What is to be done, laid out by server and account: the engine's lanes.

use std::collections::HashSet;

use super::route::Routed;
use crate::domain::{ErrorClass, Status};
use crate::engine::{AccountSpec, Changes, Fault, Known, LaneSpec, Unverified, Way};
use crate::fleet::{Fleet, Heard};
use crate::job::Job;
use crate::record::{Ledger, Place};

/// What a session is to do, and where.
pub struct Tasks<'a, 'l> {
    pub job: &'a Job,
    pub fleet: &'a Fleet,
    /// The places of [`Routed`], which outlive what is only needed to lay the lanes out.
    pub places: &'a [Place],
    pub routed: &'l Routed,
    /// The ways to each server, one for each login.
    pub ways: Vec<Vec<Way<'a>>>,
    pub heard: &'l [Heard],
    pub known: Vec<Known>,
    pub ledger: &'l Ledger,
    /// Operations to carry out, in file order.
    pub to_do: &'l [u32],
    /// Those of them that wait until all others have ended.
    pub last: &'l HashSet<u32>,
    /// Operations that an earlier session called and whose mailboxes were not read since.
    pub unverified: &'l [u32],
    /// Whether sessions of mailboxes are ended.
    pub end_sessions: bool,
}

/// A lane for each server, in the fleet's order: so their numbers are the same everywhere.
pub fn lanes<'a>(tasks: Tasks<'a, '_>) -> Vec<LaneSpec<'a>> {
    let Tasks { job, fleet, places, routed, ways, heard, known, ledger, last, .. } = tasks;
    let place_of = |op: u32| routed.places.number_of(job.operations[op as usize].mailbox);
    let by_place = |ops: &[u32]| {
        let mut counts = vec![0; places.len()];
        ops.iter().filter_map(|op| place_of(*op)).for_each(|place| counts[place as usize] += 1);
        let mut found: Vec<Vec<u32>> = counts.into_iter().map(Vec::with_capacity).collect();
        for op in ops {
            if let Some(place) = place_of(*op) {
                found[place as usize].push(*op);
            }
        }
        found
    };
    let (to_do, unverified) = (by_place(tasks.to_do), by_place(tasks.unverified));
    let due: HashSet<&Place> =
        if tasks.end_sessions { ledger.sessions_owed().collect() } else { HashSet::new() };
    let mut lanes: Vec<LaneSpec<'a>> = fleet
        .servers
        .iter()
        .zip(ways)
        .zip(known)
        .map(|((server, doors), known)| LaneSpec {
            name: server.name.clone(),
            doors,
            accounts: Vec::new(),
            open: HashSet::new(),
            last: HashSet::new(),
            limits: server.limits.clone(),
            known,
        })
        .collect();
    for (number, (ops, unverified)) in (0u32..).zip(to_do.into_iter().zip(unverified)) {
        let (place, (server, login)) = (&places[number as usize], routed.ways[number as usize]);
        let lane = &mut lanes[server];
        let Some(door) = login else {
            // They end with the server's own reason.
            lane.known.may_have_work |= !ops.is_empty();
            continue;
        };
        lane.open.extend(ops.iter().copied().filter(|op| ledger.may_have_had_effect(*op)));
        lane.last.extend(ops.iter().copied().filter(|op| last.contains(op)));
        lane.accounts.push(AccountSpec {
            unverified: unverified.into_iter().map(|op| unverified_call(ledger, job, op)).collect(),
            sessions_due: due.contains(place),
            ..AccountSpec::new(&place.account, door, ops)
        });
    }
    for (lane, heard) in lanes.iter_mut().zip(heard) {
        lane.known.may_have_work |= routed.is_unrouted && heard.is_halted;
    }
    lanes
}

/// What an earlier session called, and what is known of its outcome.
fn unverified_call(ledger: &Ledger, job: &Job, op: u32) -> Unverified {
    let standing = ledger.standing(job, op);
    let fault = (standing.status != Status::Ok).then(|| Fault {
        class: standing.class.unwrap_or(ErrorClass::Interrupted),
        http: standing.http,
        error: "no answer said whether it had effect".to_owned(),
    });
    Unverified { op, ended: standing.status, fault }
}

/// What earlier sessions have changed, and what they found unchanged; without what is taken up again,
/// which is counted with this one's. `to_do` is in file order.
pub fn changed_before(ledger: &Ledger, to_do: &[u32]) -> Changes {
    let mut changes = Changes::default();
    let mut taken_up = to_do.iter().copied().peekable();
    for op in 0..u32::try_from(ledger.len()).unwrap_or(u32::MAX) {
        if taken_up.next_if_eq(&op).is_some() {
            continue;
        }
        match ledger.ended(op) {
            Some((Status::Unchanged, _)) => changes.unchanged += 1,
            Some((Status::Ok | Status::Unknown, _)) => changes.changed += 1,
            _ => {}
        }
    }
    changes
}
