//! In which order operations come up: file order, but never two of one mailbox at once.
//!
//! Each operation knows the next one of its mailbox. The one behind waits until the one before has
//! ended, however long that takes, and then goes before everything later in the file.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::job::Job;

const NONE: u32 = u32::MAX;

/// Another one of the same mailbox comes first.
const WAITS: u8 = 1;
/// Its turn came while it had to wait.
const PASSED: u8 = 2;

/// The operations of each mailbox, one behind the other.
pub struct Chains {
    next: Vec<u32>,
    marks: Vec<u8>,
}

impl Chains {
    /// Chains the operations in `to_do`, which must be in file order.
    pub fn new(job: &Job, to_do: impl DoubleEndedIterator<Item = u32>) -> Chains {
        let mut next = vec![NONE; job.operations.len()];
        let mut marks = vec![0; job.operations.len()];
        let mut behind = vec![NONE; job.mailboxes.len()];
        for op in to_do.rev() {
            let mailbox = job.operations[op as usize].mailbox.index();
            let later = std::mem::replace(&mut behind[mailbox], op);
            next[op as usize] = later;
            if later != NONE {
                marks[later as usize] |= WAITS;
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

/// What one server still has to do.
pub struct Queue {
    order: Vec<u32>,
    cursor: usize,
    woken: BinaryHeap<Reverse<u32>>,
    /// Where those begin that wait until all before them have ended.
    held_from: usize,
    ended: usize,
}

impl Queue {
    /// A queue in the given order. The `last` ones of it are held until all others have ended; none
    /// of the others may be behind one of them in its chain.
    pub fn new(order: Vec<u32>, last: usize) -> Queue {
        let held_from = order.len().saturating_sub(last);
        Queue { order, cursor: 0, woken: BinaryHeap::new(), held_from, ended: 0 }
    }

    /// The operation whose turn it is, without taking it.
    pub fn peek(&mut self, chains: &mut Chains) -> Option<u32> {
        if let Some(Reverse(op)) = self.woken.peek() {
            return Some(*op);
        }
        while let Some(op) = self.order.get(self.cursor) {
            if self.cursor >= self.held_from && self.ended < self.held_from {
                return None;
            }
            if !chains.waits(*op) {
                return Some(*op);
            }
            self.cursor += 1;
        }
        None
    }

    /// Takes the operation whose turn it is.
    pub fn take(&mut self, chains: &mut Chains) -> Option<u32> {
        let op = self.peek(chains)?;
        if self.woken.pop().is_none() {
            self.cursor += 1;
        }
        Some(op)
    }

    /// Whether all operations have ended.
    pub fn is_done(&self) -> bool {
        self.ended == self.order.len()
    }

    /// Notes that an operation of this queue has ended.
    pub fn ended(&mut self, op: u32, chains: &mut Chains) {
        self.ended += 1;
        if let Some(next) = chains.end(op) {
            self.woken.push(Reverse(next));
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

    #[test]
    fn a_mailboxs_operations_wait_for_each_other_and_then_go_first() {
        let job = job("abacb");
        let all = 0..job.operations.len() as u32;
        let mut chains = Chains::new(&job, all.clone());
        let mut queue = Queue::new(all.collect(), 0);
        assert_eq!(queue.take(&mut chains), Some(0));
        assert_eq!(queue.take(&mut chains), Some(1));
        assert_eq!(queue.take(&mut chains), Some(3), "2 waits for 0");
        assert_eq!(queue.take(&mut chains), None, "4 waits for 1");
        queue.ended(1, &mut chains);
        queue.ended(0, &mut chains);
        assert_eq!(queue.take(&mut chains), Some(2), "file order among those that waited");
        assert_eq!(queue.take(&mut chains), Some(4));
        assert_eq!(queue.take(&mut chains), None);
    }

    #[test]
    fn one_that_ended_in_time_delays_nothing() {
        let job = job("aab");
        let mut chains = Chains::new(&job, 0..3);
        let mut queue = Queue::new(vec![0, 1, 2], 0);
        assert_eq!(queue.take(&mut chains), Some(0));
        queue.ended(0, &mut chains);
        assert_eq!(queue.take(&mut chains), Some(1));
        assert_eq!(queue.take(&mut chains), Some(2));
    }

    #[test]
    fn one_that_is_held_waits_for_all_others_and_its_mailbox_for_it() {
        let job = job("aabb");
        let mut chains = Chains::new(&job, 0..4);
        let mut queue = Queue::new(vec![2, 3, 0, 1], 2);
        assert_eq!(queue.take(&mut chains), Some(2));
        assert_eq!(queue.take(&mut chains), None, "3 waits for 2, and 0 for all of them");
        queue.ended(2, &mut chains);
        assert_eq!(queue.take(&mut chains), Some(3));
        assert_eq!(queue.take(&mut chains), None);
        queue.ended(3, &mut chains);
        assert_eq!(queue.take(&mut chains), Some(0));
        assert_eq!(queue.take(&mut chains), None);
        queue.ended(0, &mut chains);
        assert_eq!(queue.take(&mut chains), Some(1));
    }
}
