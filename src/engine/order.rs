//! In which order operations come up: file order, but never two of one mailbox at once, and side by
//! side from different accounts where there are several.
//!
//! Each operation knows the next one of its mailbox. The one behind waits until the one before has
//! ended, however long that takes, and then goes before everything later in the file. Of a server's
//! accounts, the one with the fewest operations under way comes first, so that no account's files are
//! contended for by many calls at once; among equals the file decides. With one slot that is plain
//! file order.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet};

use crate::job::Job;

const NONE: u32 = u32::MAX;

/// Another one of the same mailbox comes first.
const WAITS: u8 = 1;
/// Its turn came while it had to wait.
const PASSED: u8 = 2;
/// It is one of those to be chained.
const CHAINED: u8 = 4;

/// The operations of each mailbox, one behind the other.
pub struct Chains {
    next: Vec<u32>,
    marks: Vec<u8>,
}

impl Chains {
    /// Chains the operations, of any order, in the order of the calls: by stage, then by the file.
    pub fn new(job: &Job, to_do: impl Iterator<Item = u32>, stages: &impl Fn(u32) -> Stage) -> Chains {
        let mut next = vec![NONE; job.operations.len()];
        let mut marks = vec![0; job.operations.len()];
        let mut known_stages = BTreeSet::new();
        for op in to_do {
            marks[op as usize] |= CHAINED;
            known_stages.insert(stages(op));
        }
        let mut behind = vec![NONE; job.mailboxes.len()];
        // From the last to the first, once for each stage: a sorted list would need more room than the
        // chains have.
        for stage in known_stages.into_iter().rev() {
            for op in (0..u32::try_from(marks.len()).unwrap_or(u32::MAX)).rev() {
                if marks[op as usize] & CHAINED == 0 || stages(op) != stage {
                    continue;
                }
                let later = std::mem::replace(&mut behind[job.operations[op as usize].mailbox.index()], op);
                next[op as usize] = later;
                if later != NONE {
                    marks[later as usize] |= WAITS;
                }
            }
        }
        Chains { next, marks }
    }

    /// Notes that an operation has ended; returns the next of its mailbox if its turn had come.
    fn end(&mut self, op: u32) -> Option<u32> {
        let next = self.next[op as usize];
        let mark = self.marks.get_mut(next as usize)?;
        let passed = *mark & PASSED != 0;
        *mark = 0;
        passed.then_some(next)
    }

    /// Whether an operation has to wait; if so, its turn is remembered.
    fn waits(&mut self, op: u32) -> bool {
        let mark = &mut self.marks[op as usize];
        let waits = *mark & WAITS != 0;
        if waits {
            *mark |= PASSED;
        }
        waits
    }
}

/// The order of an operation's channel: the lower one is called first, over all mailboxes.
pub type Stage = u8;

/// For what waits until all else has ended.
const HELD: Stage = Stage::MAX;

/// What one server still has to do.
pub struct Queue<'a> {
    accounts: Vec<AccountQueue>,
    /// The account of each next operation, the first one up first.
    ready: BTreeSet<(Turn, u32)>,
    stages: Box<dyn Fn(u32) -> Stage + 'a>,
    /// Operations that wait until all others have ended.
    held: HashSet<u32>,
    total: usize,
    ended: usize,
}

/// What decides whose turn it is: the channel, how much is under way in the account, the file.
type Turn = (Stage, u32, u32);

struct AccountQueue {
    ops: Vec<u32>,
    cursor: usize,
    woken: BinaryHeap<Reverse<(Stage, u32)>>,
    under_way: u32,
    turn: Option<Turn>,
}

impl<'a> Queue<'a> {
    /// A queue of the operations of each account, in the order of the calls. Those in `held` wait
    /// until all others have ended; none of the others may be behind one of them in its chain.
    pub fn new(
        accounts: impl Iterator<Item = Vec<u32>>,
        held: HashSet<u32>,
        stages: impl Fn(u32) -> Stage + 'a,
    ) -> Queue<'a> {
        let accounts: Vec<AccountQueue> = accounts
            .map(|ops| AccountQueue { ops, cursor: 0, woken: BinaryHeap::new(), under_way: 0, turn: None })
            .collect();
        let total = accounts.iter().map(|account| account.ops.len()).sum();
        Queue { accounts, ready: BTreeSet::new(), stages: Box::new(stages), held, total, ended: 0 }
    }

    /// Finds out whose turn it is in each account; to be called once, when the chains are made.
    pub fn start(&mut self, chains: &mut Chains) {
        (0..self.accounts.len()).for_each(|account| self.refresh(account, chains));
    }

    fn stage(&self, op: u32) -> Stage {
        if self.held.contains(&op) { HELD } else { (self.stages)(op) }
    }

    /// The operation whose turn it is, with its account, without taking it. Only of an account that
    /// `may` be called now; it is told how many operations are under way there.
    pub fn peek(&self, mut may: impl FnMut(u32, u32) -> bool) -> Option<(u32, u32)> {
        let rest_has_ended = self.ended + self.held.len() >= self.total;
        let mut ready = self.ready.iter().filter(|((stage, ..), _)| *stage != HELD || rest_has_ended);
        let found = ready.find(|((_, under_way, _), account)| may(*account, *under_way));
        found.map(|((.., op), account)| (*op, *account))
    }

    /// Whether an account has nothing to take and nothing under way.
    pub fn is_account_done(&self, account: u32) -> bool {
        let queue = &self.accounts[account as usize];
        queue.turn.is_none() && queue.under_way == 0
    }

    /// All operations of an account.
    pub fn account_ops(&self, account: u32) -> &[u32] {
        &self.accounts[account as usize].ops
    }

    /// Takes the next operation of an account, as [`peek`](Queue::peek) named it.
    pub fn take(&mut self, account: u32, chains: &mut Chains) {
        let queue = &mut self.accounts[account as usize];
        if queue.woken.pop().is_none() {
            queue.cursor += 1;
        }
        queue.under_way += 1;
        self.refresh(account as usize, chains);
    }

    /// All its operations.
    pub fn ops(&self) -> impl Iterator<Item = u32> {
        self.accounts.iter().flat_map(|account| account.ops.iter().copied())
    }

    /// Whether nothing is left to take.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether all operations have ended.
    pub fn is_done(&self) -> bool {
        self.ended == self.total
    }

    /// Notes that an operation of this queue has ended.
    pub fn ended(&mut self, op: u32, account: u32, chains: &mut Chains) {
        self.ended += 1;
        let woken = chains.end(op).map(|next| Reverse((self.stage(next), next)));
        let queue = &mut self.accounts[account as usize];
        queue.under_way -= 1;
        queue.woken.extend(woken);
        self.refresh(account as usize, chains);
    }

    fn refresh(&mut self, account: usize, chains: &mut Chains) {
        let number = u32::try_from(account).unwrap_or(u32::MAX);
        let queue = &mut self.accounts[account];
        let next = match queue.woken.peek() {
            Some(Reverse((_, op))) => Some(*op),
            None => {
                while queue.ops.get(queue.cursor).is_some_and(|op| chains.waits(*op)) {
                    queue.cursor += 1;
                }
                queue.ops.get(queue.cursor).copied()
            }
        };
        let under_way = queue.under_way;
        let turn = next.map(|op| (self.stage(op), under_way, op));
        let queue = &mut self.accounts[account];
        if queue.turn != turn {
            if let Some(old) = queue.turn {
                self.ready.remove(&(old, number));
            }
            if let Some(new) = turn {
                self.ready.insert((new, number));
            }
            queue.turn = turn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{InputOptions, Source, read};

    /// A job whose mailboxes are single letters, one operation a row.
    fn job(mailboxes: &str) -> Job {
        let mut csv = String::from("email,action,channel\n");
        for (i, letter) in mailboxes.chars().enumerate() {
            let action = if i % 2 == 0 { "suspend" } else { "unsuspend" };
            csv.push_str(&format!("{letter}@example.com,{action},login\n"));
        }
        let options = InputOptions { allow_conflicts: true, ..InputOptions::default() };
        read(&Source::bytes(csv.into_bytes()), &options).unwrap()
    }

    struct Under {
        chains: Chains,
        queue: Queue<'static>,
    }

    impl Under {
        fn test(mailboxes: &str, accounts: &[&[u32]], held: &[u32], stages: &'static [Stage]) -> Under {
            let job = job(mailboxes);
            let stage = move |op: u32| stages.get(op as usize).copied().unwrap_or(0);
            let mut chains = Chains::new(&job, accounts.concat().into_iter(), &stage);
            let accounts = accounts.iter().map(|ops| {
                let mut ops = ops.to_vec();
                ops.sort_by_key(|op| (held.contains(op), stage(*op)));
                ops
            });
            let mut queue = Queue::new(accounts, held.iter().copied().collect(), stage);
            queue.start(&mut chains);
            Under { chains, queue }
        }

        fn take(&mut self) -> Option<u32> {
            self.take_where(|_| true)
        }

        fn take_where(&mut self, may: impl Fn(u32) -> bool) -> Option<u32> {
            let (op, account) = self.queue.peek(|account, _| may(account))?;
            self.queue.take(account, &mut self.chains);
            Some(op)
        }

        fn ended(&mut self, op: u32, account: u32) {
            self.queue.ended(op, account, &mut self.chains);
        }
    }

    #[test]
    fn a_mailboxs_operations_wait_for_each_other_and_then_go_first() {
        let mut queue = Under::test("abacb", &[&[0, 1, 2, 3, 4]], &[], &[]);
        assert_eq!(queue.take(), Some(0));
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.take(), Some(3), "2 waits for 0");
        assert_eq!(queue.take(), None, "4 waits for 1");
        queue.ended(1, 0);
        queue.ended(0, 0);
        assert_eq!(queue.take(), Some(2), "file order among those that waited");
        assert_eq!(queue.take(), Some(4));
        assert_eq!(queue.take(), None);
        for op in [2, 3, 4] {
            assert!(!queue.queue.is_done());
            queue.ended(op, 0);
        }
        assert!(queue.queue.is_done() && queue.queue.is_empty());
    }

    #[test]
    fn one_that_ended_in_time_delays_nothing() {
        let mut queue = Under::test("aab", &[&[0, 1, 2]], &[], &[]);
        assert_eq!(queue.take(), Some(0));
        queue.ended(0, 0);
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.take(), Some(2));
    }

    #[test]
    fn one_that_is_held_waits_for_all_others_and_its_mailbox_for_it() {
        let mut queue = Under::test("aabb", &[&[0, 1, 2, 3]], &[0, 1], &[]);
        assert_eq!(queue.take(), Some(2));
        assert_eq!(queue.take(), None, "3 waits for 2, and 0 for all of them");
        queue.ended(2, 0);
        assert_eq!(queue.take(), Some(3));
        assert_eq!(queue.take(), None);
        queue.ended(3, 0);
        assert_eq!(queue.take(), Some(0));
        assert_eq!(queue.take(), None);
        queue.ended(0, 0);
        assert_eq!(queue.take(), Some(1));
    }

    #[test]
    fn accounts_take_turns_by_what_is_under_way_and_alone_they_keep_file_order() {
        let accounts: [&[u32]; 2] = [&[0, 1, 2, 3], &[4, 5]];
        let mut queue = Under::test("abcdef", &accounts, &[], &[]);
        let four: Vec<_> = (0..4).filter_map(|_| queue.take()).collect();
        assert_eq!(four, [0, 4, 1, 5], "two of each account");
        let mut queue = Under::test("abcdef", &accounts, &[], &[]);
        let one_by_one: Vec<u32> = (0..6)
            .map(|_| {
                let op = queue.take().unwrap();
                queue.ended(op, u32::from(op > 3));
                op
            })
            .collect();
        assert_eq!(one_by_one, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn an_account_that_may_not_be_called_is_passed_over() {
        let mut queue = Under::test("abc", &[&[0, 1], &[2]], &[], &[]);
        assert_eq!(queue.take_where(|account| account != 0), Some(2));
        assert_eq!(queue.take_where(|account| account != 0), None);
        assert_eq!(queue.take(), Some(0));
    }

    #[test]
    fn a_lower_stage_goes_first_over_all_accounts_and_mailboxes() {
        // Two operations of each mailbox, the second one of the lower stage.
        let mut queue = Under::test("aabb", &[&[0, 1], &[2, 3]], &[], &[1, 0, 1, 0]);
        assert_eq!([queue.take(), queue.take()], [Some(1), Some(3)]);
        assert_eq!(queue.take(), None, "the others wait for these in their mailboxes");
        queue.ended(3, 1);
        assert_eq!(queue.take(), Some(2));
    }
}
