//! What can be asked of a mailbox: an action on a channel, which is one UAPI function, which sets
//! one flag.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What to do to a channel of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Shut the channel.
    Suspend,
    /// Open the channel again.
    Unsuspend,
    /// Keep outgoing mail in the server's queue. `outgoing` only.
    Hold,
    /// Let held mail go. It **sends** what is queued. `outgoing` only.
    Release,
}

/// The way into or out of a mailbox that an operation acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Logging in: IMAP, POP, webmail, authenticated SMTP.
    Login,
    /// Receiving mail.
    Incoming,
    /// Sending mail.
    Outgoing,
}

/// One of the four switches that a server keeps per mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flag {
    /// Login is suspended.
    Login,
    /// Incoming mail is suspended.
    Incoming,
    /// Outgoing mail is suspended.
    Outgoing,
    /// Outgoing mail is held in the queue.
    Held,
}

impl Flag {
    /// Every flag, in the order of a state's letters.
    pub const ALL: [Flag; 4] = [Flag::Login, Flag::Incoming, Flag::Outgoing, Flag::Held];
}

/// A set of values, one per [`Flag`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags<T> {
    /// Value for [`Flag::Login`].
    pub login: T,
    /// Value for [`Flag::Incoming`].
    pub incoming: T,
    /// Value for [`Flag::Outgoing`].
    pub outgoing: T,
    /// Value for [`Flag::Held`].
    pub held: T,
}

impl<T> std::ops::Index<Flag> for Flags<T> {
    type Output = T;

    fn index(&self, flag: Flag) -> &T {
        match flag {
            Flag::Login => &self.login,
            Flag::Incoming => &self.incoming,
            Flag::Outgoing => &self.outgoing,
            Flag::Held => &self.held,
        }
    }
}

impl<T> std::ops::IndexMut<Flag> for Flags<T> {
    fn index_mut(&mut self, flag: Flag) -> &mut T {
        match flag {
            Flag::Login => &mut self.login,
            Flag::Incoming => &mut self.incoming,
            Flag::Outgoing => &mut self.outgoing,
            Flag::Held => &mut self.held,
        }
    }
}

/// What one operation asks of its mailbox: a valid pair of action and channel, and so exactly one
/// UAPI function of the module `Email`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// `Email::suspend_login`
    SuspendLogin,
    /// `Email::unsuspend_login`
    UnsuspendLogin,
    /// `Email::suspend_incoming`
    SuspendIncoming,
    /// `Email::unsuspend_incoming`
    UnsuspendIncoming,
    /// `Email::suspend_outgoing`
    SuspendOutgoing,
    /// `Email::unsuspend_outgoing`
    UnsuspendOutgoing,
    /// `Email::hold_outgoing`
    HoldOutgoing,
    /// `Email::release_outgoing`
    ReleaseOutgoing,
}

/// The value that an operation gives its flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The flag that is set.
    pub flag: Flag,
    /// Whether it is switched on (suspended, held) or off.
    pub on: bool,
}

impl Function {
    /// Every function, in the order of the contract.
    pub const ALL: [Function; 8] = [
        Function::SuspendLogin,
        Function::UnsuspendLogin,
        Function::SuspendIncoming,
        Function::UnsuspendIncoming,
        Function::SuspendOutgoing,
        Function::UnsuspendOutgoing,
        Function::HoldOutgoing,
        Function::ReleaseOutgoing,
    ];

    /// The function for an action on a channel; `None` for `hold` and `release` on a channel other
    /// than `outgoing`.
    pub fn new(action: Action, channel: Channel) -> Option<Function> {
        Function::ALL.into_iter().find(|f| f.action() == action && f.channel() == channel)
    }

    /// The function with this UAPI name, without its module.
    pub fn from_uapi_name(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|f| f.uapi_name() == name)
    }

    /// The action half.
    pub const fn action(self) -> Action {
        match self {
            Function::SuspendLogin | Function::SuspendIncoming | Function::SuspendOutgoing => Action::Suspend,
            Function::UnsuspendLogin | Function::UnsuspendIncoming | Function::UnsuspendOutgoing => {
                Action::Unsuspend
            }
            Function::HoldOutgoing => Action::Hold,
            Function::ReleaseOutgoing => Action::Release,
        }
    }

    /// The channel half.
    pub const fn channel(self) -> Channel {
        match self {
            Function::SuspendLogin | Function::UnsuspendLogin => Channel::Login,
            Function::SuspendIncoming | Function::UnsuspendIncoming => Channel::Incoming,
            Function::SuspendOutgoing
            | Function::UnsuspendOutgoing
            | Function::HoldOutgoing
            | Function::ReleaseOutgoing => Channel::Outgoing,
        }
    }

    /// The flag that this sets, and to what.
    pub const fn target(self) -> Target {
        let flag = match self {
            Function::HoldOutgoing | Function::ReleaseOutgoing => Flag::Held,
            Function::SuspendLogin | Function::UnsuspendLogin => Flag::Login,
            Function::SuspendIncoming | Function::UnsuspendIncoming => Flag::Incoming,
            Function::SuspendOutgoing | Function::UnsuspendOutgoing => Flag::Outgoing,
        };
        Target { flag, on: matches!(self.action(), Action::Suspend | Action::Hold) }
    }

    /// The UAPI name, without its module `Email`. Names are case-sensitive on the server.
    pub const fn uapi_name(self) -> &'static str {
        match self {
            Function::SuspendLogin => "suspend_login",
            Function::UnsuspendLogin => "unsuspend_login",
            Function::SuspendIncoming => "suspend_incoming",
            Function::UnsuspendIncoming => "unsuspend_incoming",
            Function::SuspendOutgoing => "suspend_outgoing",
            Function::UnsuspendOutgoing => "unsuspend_outgoing",
            Function::HoldOutgoing => "hold_outgoing",
            Function::ReleaseOutgoing => "release_outgoing",
        }
    }

    /// Whether calling it twice does no more than calling it once. False for `release`, which sends
    /// queued mail.
    pub const fn is_repeatable(self) -> bool {
        !matches!(self, Function::ReleaseOutgoing)
    }
}

/// A word that is not an action, or not a channel. Displays with what would have been right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} “{word}” is not one of {expected}{hint}")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
    expected: &'static str,
    hint: String,
}

impl UnknownWord {
    fn new(what: &'static str, word: &str, expected: &'static str, near: Option<&str>) -> UnknownWord {
        let hint = near.map(|right| format!(": did you mean “{right}”?")).unwrap_or_default();
        UnknownWord { what, word: super::clip(&super::clean(word), 60), expected, hint }
    }
}

/// The word that a misspelt one is likely meant for.
fn likely(word: &str, known: &[&'static str]) -> Option<&'static str> {
    const ENOUGH: f64 = 0.85;
    let alike = known.iter().map(|known| (*known, strsim::jaro_winkler(known, word)));
    let best = alike.max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.filter(|(_, score)| *score > ENOUGH).map(|(known, _)| known)
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 4] = [Action::Suspend, Action::Unsuspend, Action::Hold, Action::Release];

    /// The word for it in files and flags.
    pub const fn word(self) -> &'static str {
        match self {
            Action::Suspend => "suspend",
            Action::Unsuspend => "unsuspend",
            Action::Hold => "hold",
            Action::Release => "release",
        }
    }
}

impl FromStr for Action {
    type Err = UnknownWord;

    /// Reads the word in any case. A near miss is refused with the right word in the error.
    fn from_str(word: &str) -> Result<Action, UnknownWord> {
        if let Some(action) = Action::ALL.into_iter().find(|a| word.eq_ignore_ascii_case(a.word())) {
            return Ok(action);
        }
        let near = match word.to_ascii_lowercase().as_str() {
            "suspended" | "suspending" | "disable" | "block" | "lock" => Some("suspend"),
            "unsuspended" | "unsuspending" | "enable" | "unblock" | "unlock" | "restore" | "activate" => {
                Some("unsuspend")
            }
            "held" | "holding" | "on-hold" => Some("hold"),
            "released" | "unhold" => Some("release"),
            word => likely(word, &Action::ALL.map(Action::word)),
        };
        Err(UnknownWord::new("action", word, "suspend, unsuspend, hold, release", near))
    }
}

impl Channel {
    /// Every channel, in the order in which `all` is carried out.
    pub const ALL: [Channel; 3] = [Channel::Login, Channel::Incoming, Channel::Outgoing];

    /// The word for it in files and flags.
    pub const fn word(self) -> &'static str {
        match self {
            Channel::Login => "login",
            Channel::Incoming => "incoming",
            Channel::Outgoing => "outgoing",
        }
    }
}

impl FromStr for Channel {
    type Err = UnknownWord;

    /// Reads the word in any case. A near miss is refused with the right word in the error.
    fn from_str(word: &str) -> Result<Channel, UnknownWord> {
        if let Some(channel) = Channel::ALL.into_iter().find(|c| word.eq_ignore_ascii_case(c.word())) {
            return Ok(channel);
        }
        let near = match word.to_ascii_lowercase().as_str() {
            "logins" | "imap" | "pop" | "pop3" | "webmail" | "auth" => Some("login"),
            "in" | "inbound" | "receive" | "receiving" => Some("incoming"),
            "out" | "outbound" | "smtp" | "send" | "sending" => Some("outgoing"),
            "any" | "every" | "both" | "*" => Some("all"),
            word => likely(word, &["login", "incoming", "outgoing", "all"]),
        };
        Err(UnknownWord::new("channel", word, "login, incoming, outgoing, all", near))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_and_release_exist_for_outgoing_alone() {
        for channel in [Channel::Login, Channel::Incoming] {
            assert_eq!(Function::new(Action::Hold, channel), None);
            assert_eq!(Function::new(Action::Release, channel), None);
        }
        assert_eq!(Function::new(Action::Hold, Channel::Outgoing), Some(Function::HoldOutgoing));
    }

    #[test]
    fn suspending_and_holding_outgoing_are_different_flags() {
        let suspend = Function::SuspendOutgoing.target();
        let hold = Function::HoldOutgoing.target();
        assert_ne!(suspend.flag, hold.flag);
        assert!(suspend.on && hold.on);
        assert!(!Function::ReleaseOutgoing.target().on);
    }

    #[test]
    fn each_function_is_found_again_by_its_halves_and_by_its_name() {
        for function in Function::ALL {
            assert_eq!(Function::new(function.action(), function.channel()), Some(function));
            assert_eq!(Function::from_uapi_name(function.uapi_name()), Some(function));
        }
    }

    #[test]
    fn a_near_miss_names_the_right_word() {
        let error = "suspended".parse::<Action>().unwrap_err().to_string();
        assert!(error.contains("did you mean “suspend”"), "{error}");
        let error = "IMAP".parse::<Channel>().unwrap_err().to_string();
        assert!(error.contains("did you mean “login”"), "{error}");
        for (typed, meant) in [("susspend", "suspend"), ("unsupend", "unsuspend"), ("relase", "release")] {
            let error = typed.parse::<Action>().unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean “{meant}”")), "{error}");
        }
        for (typed, meant) in [("logn", "login"), ("incomming", "incoming"), ("outging", "outgoing")] {
            let error = typed.parse::<Channel>().unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean “{meant}”")), "{error}");
        }
        for nothing_like_it in ["", "x", "delete", "password"] {
            let error = nothing_like_it.parse::<Action>().unwrap_err().to_string();
            assert!(!error.contains("did you mean"), "{error}");
        }
        assert!("\u{1b}[31m".parse::<Channel>().unwrap_err().to_string().chars().all(|c| !c.is_control()));
    }
}
