//! What a server says of a mailbox: its four flags, each set, not set or not known.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::operation::{Channel, Flag, Target};

/// The four flags of one mailbox, as far as they are known. One byte, since a run may have millions
/// of mailboxes.
///
/// Written as four letters, for login, incoming, outgoing and held: `y` set, `n` not set, `?` not
/// known; `----` if the server does not list the mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct State(u8);

const NO: u8 = 0b01;
const YES: u8 = 0b10;
const UNKNOWN: u8 = 0b11;

impl State {
    /// Nobody has looked.
    pub const NEVER: State = State(0);
    /// Somebody has looked, and could not tell.
    pub const UNKNOWN: State = State(0b1111_1111);
    /// The server does not list the mailbox. Whether it is there, only a call would tell.
    pub const ABSENT: State = State(0b0000_0001);

    /// A state that was read; `None` stands for what could not be told.
    pub fn read(flag: impl Fn(Flag) -> Option<bool>) -> State {
        Flag::ALL.into_iter().fold(State::UNKNOWN, |state, each| state.with(each, flag(each)))
    }

    /// The same with one flag as given.
    #[must_use]
    pub fn with(self, flag: Flag, value: Option<bool>) -> State {
        // Of a mailbox that is not listed, or that nobody looked at, nothing else is known.
        let known = if self == State::ABSENT || self == State::NEVER { State::UNKNOWN } else { self };
        let bits = match value {
            Some(true) => YES,
            Some(false) => NO,
            None => UNKNOWN,
        };
        let shift = 2 * flag as u8;
        State(known.0 & !(UNKNOWN << shift) | bits << shift)
    }

    /// Whether a flag is set, if that is known.
    pub fn get(self, flag: Flag) -> Option<bool> {
        if self == State::ABSENT {
            return None;
        }
        match self.0 >> (2 * flag as u8) & UNKNOWN {
            YES => Some(true),
            NO => Some(false),
            _ => None,
        }
    }

    /// Whether the flag is as wanted, if that is known.
    pub fn is(self, target: Target) -> Option<bool> {
        self.get(target.flag).map(|on| on == target.on)
    }

    /// Whether somebody has looked, whatever came of it.
    pub fn was_read(self) -> bool {
        self != State::NEVER
    }

    /// What is said of one channel in results: `active`, `suspended`, `held`, `suspended+held`, or
    /// nothing where it is not known.
    pub fn of(self, channel: Channel) -> &'static str {
        let suspended = |on| if on { "suspended" } else { "active" };
        match channel {
            Channel::Login => self.get(Flag::Login).map_or("", suspended),
            Channel::Incoming => self.get(Flag::Incoming).map_or("", suspended),
            Channel::Outgoing => match (self.get(Flag::Outgoing), self.get(Flag::Held)) {
                (Some(true), Some(true)) => "suspended+held",
                (Some(true), Some(false)) => "suspended",
                (Some(false), Some(true)) => "held",
                (Some(false), Some(false)) => "active",
                _ => "",
            },
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == State::ABSENT {
            return f.write_str("----");
        }
        Flag::ALL.into_iter().try_for_each(|flag| {
            f.write_str(match self.get(flag) {
                Some(true) => "y",
                Some(false) => "n",
                None => "?",
            })
        })
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<State, String> {
        if text == "----" {
            return Ok(State::ABSENT);
        }
        if text.chars().count() != Flag::ALL.len() {
            return Err(format!("a state has four letters, not “{}”", super::clip(&super::clean(text), 20)));
        }
        Flag::ALL.into_iter().zip(text.chars()).try_fold(State::UNKNOWN, |state, (flag, letter)| {
            let value = match letter {
                'y' => Some(true),
                'n' => Some(false),
                '?' => None,
                _ => return Err("a state has the letters y, n and ? alone".to_owned()),
            };
            Ok(state.with(flag, value))
        })
    }
}

impl From<State> for String {
    fn from(state: State) -> String {
        state.to_string()
    }
}

impl TryFrom<String> for State {
    type Error = String;

    fn try_from(text: String) -> Result<State, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Function;

    #[test]
    fn every_combination_is_kept_in_its_byte_and_in_its_four_letters() {
        let values = [Some(true), Some(false), None];
        for (a, b, c, d) in (0..81).map(|n| (n % 3, n / 3 % 3, n / 9 % 3, n / 27)) {
            let flags = [values[a], values[b], values[c], values[d]];
            let state = State::read(|flag| flags[flag as usize]);
            for flag in Flag::ALL {
                assert_eq!(state.get(flag), flags[flag as usize]);
            }
            assert_eq!(state.to_string().parse(), Ok(state));
            assert!(state.was_read() && state != State::ABSENT);
        }
        assert_eq!("----".parse(), Ok(State::ABSENT));
        for wrong in ["", "yyy", "yyyyy", "yny-", "ÿnnn"] {
            assert!(wrong.parse::<State>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_what_nobody_saw_nothing_is_known_until_it_is_set() {
        for blank in [State::NEVER, State::ABSENT, State::UNKNOWN] {
            assert!(Flag::ALL.into_iter().all(|flag| blank.get(flag).is_none()));
            let set = blank.with(Flag::Held, Some(true));
            assert_eq!((set.get(Flag::Held), set.get(Flag::Login)), (Some(true), None));
        }
        assert!(!State::NEVER.was_read() && State::UNKNOWN.was_read());
    }

    #[test]
    fn a_channel_is_told_in_the_contracts_words_and_outgoing_only_where_both_flags_are_known() {
        let state = |text: &str| text.parse::<State>().unwrap();
        assert_eq!(state("ynnn").of(Channel::Login), "suspended");
        assert_eq!(state("ynnn").of(Channel::Incoming), "active");
        for (text, word) in
            [("nnnn", "active"), ("nnyn", "suspended"), ("nnny", "held"), ("nnyy", "suspended+held")]
        {
            assert_eq!(state(text).of(Channel::Outgoing), word);
        }
        assert_eq!(state("nny?").of(Channel::Outgoing), "");
        assert_eq!(State::ABSENT.of(Channel::Login), "");
    }

    #[test]
    fn a_target_is_reached_missed_or_not_known() {
        let target = Function::SuspendLogin.target();
        assert_eq!("ynnn".parse::<State>().unwrap().is(target), Some(true));
        assert_eq!("nnnn".parse::<State>().unwrap().is(target), Some(false));
        assert_eq!(State::ABSENT.is(target), None);
    }
}
