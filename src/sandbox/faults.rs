//! Which fault a request meets: the script, its counters and its dice.

use std::collections::HashMap;

use super::asked::{Asked, Call, Way};
use super::script::{Fault, Script};

/// A script at work.
pub(super) struct Faults {
    script: Script,
    /// How many requests each rule has matched.
    counts: Vec<u64>,
    /// How often each request was drawn for. Empty while there are no shares.
    drawn: HashMap<u64, u32>,
    seed: u64,
}

impl Faults {
    pub fn new(script: Script, seed: u64) -> Faults {
        Faults { counts: vec![0; script.rules.len()], script, drawn: HashMap::new(), seed }
    }

    pub fn refuse_with_403(&self) -> bool {
        self.script.refuse_with_403
    }

    /// What a request meets as a whole.
    pub fn for_request(&mut self, asked: &Asked) -> Option<Fault> {
        let (in_batch, is_batch) = (asked.inner(), asked.is_list());
        let whole = &asked.call;
        self.pick(
            |fault| !is_batch || !fault.is_the_apis(),
            |rule| {
                let meant = |call: &Call| rule.matches(call);
                if is_batch && rule.fault.is_the_apis() {
                    return rule.function.as_deref() == Some(whole.function.as_str()) && meant(whole);
                }
                meant(whole) || in_batch.iter().any(|call| meant(call))
            },
            || in_batch.iter().fold(key(FNV_START, whole), |sum, call| key(sum, call)),
        )
    }

    /// What a single command of a batch meets.
    pub fn for_command(&mut self, call: &Call) -> Option<Fault> {
        self.pick(
            Fault::is_the_apis,
            |rule| rule.fault.is_the_apis() && rule.matches(call),
            || key(!FNV_START, call),
        )
    }

    fn pick(
        &mut self,
        allowed: impl Fn(&Fault) -> bool,
        meant: impl Fn(&super::Rule) -> bool,
        key: impl Fn() -> u64,
    ) -> Option<Fault> {
        for (rule, count) in self.script.rules.iter().zip(&mut self.counts) {
            if meant(rule) {
                *count += 1;
                if rule.covers(*count) {
                    return Some(rule.fault.clone());
                }
            }
        }
        if self.script.shares.is_empty() {
            return None;
        }
        let key = key();
        let before = self.drawn.entry(key).or_default();
        let draw = key ^ self.seed.rotate_left(32) ^ u64::from(*before).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        *before = before.wrapping_add(1);
        let mut point = fastrand::Rng::with_seed(draw).f64() * 100.0;
        for (fault, percent) in &self.script.shares {
            if point < *percent {
                return Some(fault.clone()).filter(allowed);
            }
            point -= percent;
        }
        None
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The same for the same call in every build, which the standard hashers do not promise.
fn key(start: u64, call: &Call) -> u64 {
    let parts = [call.module.as_str(), &call.function, call.email().unwrap_or_default()];
    let domain = call.domain().filter(|_| call.way == Way::Whm);
    parts
        .into_iter()
        .chain(call.account.as_deref())
        .chain(domain)
        .flat_map(|part| part.bytes().chain([0]))
        .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::super::asked::Calls;
    use super::*;
    use crate::sandbox::{Cut, Rule};

    fn asked(function: &str, email: &str) -> Asked {
        Asked::of(Call::new("Email", function, &[("email", email)]))
    }

    fn batch(emails: &[&str]) -> Asked {
        let command = |email: &&str| Call::new("Email", "suspend_login", &[("email", *email)]);
        Asked {
            call: Call::new("Batch", "strict", &[]),
            calls: Calls::Strict { commands: emails.iter().map(command).collect(), broken: None },
        }
    }

    #[test]
    fn a_rule_meets_what_it_names_and_as_often_as_it_says() {
        let rules = [
            Rule::new(Fault::Hang).function("suspend_login").email("Bob@").nth(2),
            Rule::new(Fault::ResetAfter).function("suspend_login").email("bob@").times(2),
        ];
        let mut faults = Faults::new(Script::of(rules), 0);
        let mut meet = |function, email| faults.for_request(&asked(function, email));
        assert_eq!(meet("suspend_login", "ann@example.com"), None);
        assert_eq!(meet("suspend_incoming", "bob@example.com"), None);
        assert_eq!(meet("suspend_login", "bob@example.com"), Some(Fault::ResetAfter));
        assert_eq!(meet("suspend_login", "BOB@example.com"), Some(Fault::Hang));
        assert_eq!(meet("suspend_login", "bob@example.com"), Some(Fault::ResetAfter));
        assert_eq!(meet("suspend_login", "bob@example.com"), None);
    }

    #[test]
    fn a_batch_meets_the_ways_faults_and_its_commands_the_apis() {
        let rules = [
            Rule::new(Fault::NoEffect).email("a@"),
            Rule::new(Fault::ResetBefore).email("b@"),
            Rule::new(Fault::ApiFailure("whole".into())).function("strict"),
        ];
        let mut faults = Faults::new(Script::of(rules), 0);
        assert_eq!(faults.for_request(&batch(&["a@x", "b@x"])), Some(Fault::ResetBefore));
        assert_eq!(faults.for_request(&batch(&["a@x"])), Some(Fault::ApiFailure("whole".into())));
        assert_eq!(faults.for_command(&asked("suspend_login", "a@x").call), Some(Fault::NoEffect));
        assert_eq!(faults.for_command(&asked("suspend_login", "b@x").call), None);
    }

    #[test]
    fn shares_come_out_as_asked_and_do_not_depend_on_the_order_of_requests() {
        let script: Script = "429=10%,cut-chunked=30%".parse().unwrap();
        let emails: Vec<String> = (0..4000).map(|i| format!("m{i}@example.com")).collect();
        let fates = |order: &mut dyn Iterator<Item = &String>, seed| -> HashMap<String, Option<Fault>> {
            let mut faults = Faults::new(script.clone(), seed);
            order.map(|e| (e.clone(), faults.for_request(&asked("suspend_login", e)))).collect()
        };
        let forth = fates(&mut emails.iter(), 1);
        assert_eq!(forth, fates(&mut emails.iter().rev(), 1));
        assert_ne!(forth, fates(&mut emails.iter(), 2));
        let count = |fault: &Fault| forth.values().filter(|f| f.as_ref() == Some(fault)).count();
        assert!((300..500).contains(&count(&Fault::status(429))), "{}", count(&Fault::status(429)));
        assert!((1050..1350).contains(&count(&Fault::CutJson(Cut::Chunked))));
    }

    #[test]
    fn a_second_try_is_drawn_for_anew() {
        let mut faults = Faults::new("hang=50%".parse().unwrap(), 3);
        let fates: Vec<_> = (0..64).map(|_| faults.for_request(&asked("hold_outgoing", "a@x"))).collect();
        let hangs = fates.iter().flatten().count();
        assert!((16..48).contains(&hangs), "{hangs}");
    }

    #[test]
    fn without_a_script_nothing_is_met_or_remembered() {
        let mut faults = Faults::new(Script::default(), 3);
        assert_eq!(faults.for_request(&asked("hold_outgoing", "a@x")), None);
        assert!(faults.drawn.is_empty());
    }
}
