//! What the process says when it ends.

/// The exit code of every command. A larger danger hides a smaller one: where several apply, the
/// first of this order counts: [`Internal`](Exit::Internal), [`Unwritable`](Exit::Unwritable),
/// [`Interrupted`](Exit::Interrupted) or [`Terminated`](Exit::Terminated),
/// [`Stopped`](Exit::Stopped), [`InUse`](Exit::InUse), [`Halted`](Exit::Halted),
/// [`Incomplete`](Exit::Incomplete), [`WouldChange`](Exit::WouldChange), [`Ok`](Exit::Ok).
/// [`Usage`](Exit::Usage) and [`NotARun`](Exit::NotARun) end a command before it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: every operation is in its wanted state, or was left out on purpose.
    Ok,
    /// 1: finished, but some operations did not end well while others went on.
    Incomplete,
    /// 2: the command line, configuration or input is wrong, or the answer was no. Nothing was sent.
    Usage,
    /// 3: stopped by `--max-errors` or a guard.
    Stopped,
    /// 4: every server that had work was halted: credentials, TLS, unreachable.
    Halted,
    /// 5: the run directory, or every server that had work, is in use.
    InUse,
    /// 6: not a run, altered, or from an incompatible version.
    NotARun,
    /// 7: internal error, or the accounting does not add up.
    Internal,
    /// 8: the run directory cannot be written. Nothing new was started; it can be resumed.
    Unwritable,
    /// 9: `plan --exit-code`: something would change.
    WouldChange,
    /// 130: interrupted by SIGINT; can be resumed.
    Interrupted,
    /// 143: interrupted by SIGTERM; can be resumed.
    Terminated,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Incomplete => 1,
            Exit::Usage => 2,
            Exit::Stopped => 3,
            Exit::Halted => 4,
            Exit::InUse => 5,
            Exit::NotARun => 6,
            Exit::Internal => 7,
            Exit::Unwritable => 8,
            Exit::WouldChange => 9,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// The one that a number means; [`Internal`](Exit::Internal) for one that means none.
    pub fn of_code(code: u8) -> Exit {
        use Exit::*;
        let all = [
            Ok,
            Incomplete,
            Usage,
            Stopped,
            Halted,
            InUse,
            NotARun,
            Internal,
            Unwritable,
            WouldChange,
            Interrupted,
            Terminated,
        ];
        all.into_iter().find(|exit| exit.code() == code).unwrap_or(Internal)
    }

    /// The one of two that counts when both apply.
    pub fn worse(self, other: Exit) -> Exit {
        if self.rank() <= other.rank() { self } else { other }
    }

    const fn rank(self) -> u8 {
        match self {
            Exit::Internal => 0,
            Exit::Unwritable => 1,
            Exit::Interrupted | Exit::Terminated => 2,
            Exit::NotARun => 3,
            Exit::Usage => 4,
            Exit::Stopped => 5,
            Exit::InUse => 6,
            Exit::Halted => 7,
            Exit::Incomplete => 8,
            Exit::WouldChange => 9,
            Exit::Ok => 10,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_contracts_order_counts() {
        let order = [
            Exit::Internal,
            Exit::Unwritable,
            Exit::Interrupted,
            Exit::Stopped,
            Exit::InUse,
            Exit::Halted,
            Exit::Incomplete,
            Exit::WouldChange,
            Exit::Ok,
        ];
        for (i, worse) in order.iter().enumerate() {
            for better in &order[i..] {
                assert_eq!(Exit::of_code(worse.code()), *worse);
                assert_eq!(worse.worse(*better), *worse);
                assert_eq!(better.worse(*worse), *worse);
            }
        }
    }
}
