//! How much mail a run would send: what is held of each mailbox that it releases.

use tokio::runtime::Runtime;

use super::reach::Reach;
use super::route::Routed;
use super::show::Live;
use super::survey::Survey;
use crate::domain::Function;
use crate::engine::{self, Held, Inquiry, Limiter, Login};
use crate::fleet::Fleet;
use crate::job::Job;
use crate::uapi::Reader;

/// Asks the servers, through their own limits, how many messages are held of each mailbox that is to
/// be released; `None` where a server does not tell.
pub fn count(
    job: &Job,
    fleet: &Fleet,
    routed: &Routed,
    reach: &Reach,
    survey: &mut Survey,
    runtime: &Runtime,
    live: &Live,
) -> Vec<(String, Option<u64>)> {
    let mut questions: Vec<Vec<Held<'_>>> = vec![Vec::new(); fleet.servers.len()];
    let mut asked = vec![false; job.mailboxes.len()];
    for (op, operation) in (0u32..).zip(&job.operations) {
        let is_release = operation.function() == Some(Function::ReleaseOutgoing);
        if !is_release || routed.settled.contains_key(&op) || asked[operation.mailbox.index()] {
            continue;
        }
        let Some(number) = routed.places.number_of(operation.mailbox) else { continue };
        let (server, login) = routed.ways[number as usize];
        let Some(door) = login else { continue };
        asked[operation.mailbox.index()] = true;
        let account = routed.places.list()[number as usize].account.as_str();
        questions[server].push(Held { door, account, mailbox: job.mailboxes.get(operation.mailbox) });
    }
    let wanted: Vec<usize> = (0..questions.len())
        .filter(|number| !questions[*number].is_empty() && survey.known[*number].halted.is_none())
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    live.note("asking how many messages are held");
    let inquiries: Vec<Inquiry<'_>> = wanted
        .iter()
        .map(|number| {
            let limits = &fleet.servers[*number].limits;
            let readers = reach.transports[*number].iter();
            Inquiry {
                limits,
                limiter: survey.known[*number].limiter.take().unwrap_or_else(|| Limiter::new(limits)),
                logins: readers
                    .map(|reader| Login {
                        reader: reader as &dyn Reader,
                        question: None,
                        wants_tokens: false,
                    })
                    .collect(),
                domains: &[],
                held: &questions[*number],
            }
        })
        .collect();
    let told = runtime.block_on(engine::ask(inquiries, fastrand::u64(..)));
    let mut counts = Vec::new();
    for (number, told) in wanted.into_iter().zip(told) {
        let mailboxes = questions[number].iter().map(|held| held.mailbox.to_owned());
        counts.extend(mailboxes.zip(told.held));
        let known = &mut survey.known[number];
        known.limiter = told.known.limiter;
        known.proven.extend(told.known.proven);
        known.good_answers += told.known.good_answers;
        known.halted = known.halted.take().or(told.known.halted);
    }
    counts
}
