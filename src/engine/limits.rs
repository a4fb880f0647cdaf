//! How much a run may ask of a server, and when it gives up: the settings as typed and as shown.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// All limits of one server. Defaults are the contract's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Calls per time, each try counted.
    pub rate: Rate,
    /// Calls that may come at once after a lull; `None` for what fits the rate.
    pub burst: Option<NonZeroU32>,
    /// Most requests in flight.
    pub jobs: NonZeroU32,
    /// Extra tries of one operation.
    pub retries: u32,
    /// How many operations may fail.
    pub max_errors: MaxErrors,
    /// A server without a good answer for so long is halted.
    #[serde(with = "duration")]
    pub max_outage: Duration,
    /// For one whole exchange.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// For making a connection.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            rate: Rate::per_second(10),
            burst: None,
            jobs: NonZeroU32::MIN.saturating_add(3),
            retries: 4,
            max_errors: MaxErrors::Percent(50),
            max_outage: Duration::from_secs(300),
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The burst in force: the one asked for, or the larger of 2 and a hundredth of a second's rate
    /// (a burst of 1 loses rate whenever a wake-up is late).
    pub fn effective_burst(&self) -> NonZeroU32 {
        const LEAST: u32 = 2;
        self.burst.unwrap_or_else(|| {
            let hundredth = match self.rate {
                Rate::Unlimited => 0,
                Rate::Limited { calls, per } => u64::from(calls.get()) / per.seconds() / 100,
            };
            let burst = u32::try_from(hundredth).unwrap_or(u32::MAX).max(LEAST);
            NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)
        })
    }
}

/// Durations as people write them: `30s`, `5m`.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&humantime::format_duration(*value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        humantime::parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Calls per unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rate {
    /// As many as the server answers.
    Unlimited,
    /// So many in each unit.
    Limited {
        /// How many.
        calls: NonZeroU32,
        /// The unit.
        per: Unit,
    },
}

/// A unit of time for a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `/s`
    Second,
    /// `/m`
    Minute,
    /// `/h`
    Hour,
}

impl Unit {
    /// Its length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        }
    }
}

impl Rate {
    /// So many a second; 0 counts as 1.
    pub fn per_second(calls: u32) -> Rate {
        Rate::Limited { calls: NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN), per: Unit::Second }
    }

    /// Calls a second; `None` without a limit.
    pub fn calls_per_second(self) -> Option<f64> {
        match self {
            Rate::Unlimited => None,
            #[allow(clippy::cast_precision_loss)]
            Rate::Limited { calls, per } => Some(f64::from(calls.get()) / per.seconds() as f64),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Rate::Unlimited);
        }
        let fault = || {
            format!(
                "“{text}” is not a rate: write a number and its unit, such as 10/s, 600/m, 100/h, or none"
            )
        };
        let (number, unit) = text.split_once('/').ok_or_else(fault)?;
        let per = match unit.trim() {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(fault()),
        };
        const MOST_PER_SECOND: u64 = 1_000_000;
        let calls: NonZeroU32 = number.trim().parse().map_err(|_| fault())?;
        if u64::from(calls.get()) > MOST_PER_SECOND * per.seconds() {
            return Err(format!("“{text}” is more than {MOST_PER_SECOND}/s: write none for no limit"));
        }
        Ok(Rate::Limited { calls, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Unlimited => f.write_str("none"),
            Rate::Limited { calls, per: Unit::Second } => write!(f, "{calls}/s"),
            Rate::Limited { calls, per: Unit::Minute } => write!(f, "{calls}/m"),
            Rate::Limited { calls, per: Unit::Hour } => write!(f, "{calls}/h"),
        }
    }
}

/// How many operations may end `failed` or `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MaxErrors {
    /// So many in the session; one more stops the run.
    Count(u64),
    /// This share of the operations called at a server, judged after
    /// [`JUDGED_AFTER`](MaxErrors::JUDGED_AFTER) of them; more halts that server.
    Percent(u8),
}

impl MaxErrors {
    /// Operations called at a server before its share of failures means anything.
    pub const JUDGED_AFTER: u64 = 100;
}

impl FromStr for MaxErrors {
    type Err = String;

    fn from_str(text: &str) -> Result<MaxErrors, String> {
        let fault = || format!("“{text}” is neither a number (such as 20) nor a share (such as 5%)");
        match text.strip_suffix('%') {
            Some(share) => match share.trim().parse() {
                Ok(percent @ 0..=100) => Ok(MaxErrors::Percent(percent)),
                _ => Err(fault()),
            },
            None => text.trim().parse().map(MaxErrors::Count).map_err(|_| fault()),
        }
    }
}

impl fmt::Display for MaxErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxErrors::Count(count) => write!(f, "{count}"),
            MaxErrors::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<$name, String> {
                text.parse()
            }
        }
    };
}

as_text!(Rate);
as_text!(MaxErrors);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_its_unit() {
        for text in ["10/s", "600/m", "1/h", "none"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["10", "0/s", "-1/s", "1.5/s", "10/d", "/s", "", "10/", "1000001/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_burst_fits_the_rate() {
        let burst =
            |rate: &str| Limits { rate: rate.parse().unwrap(), ..Limits::default() }.effective_burst().get();
        assert_eq!(burst("10/s"), 2);
        assert_eq!(burst("200/s"), 2);
        assert_eq!(burst("5000/s"), 50);
        assert_eq!(burst("60000/m"), 10);
    }

    #[test]
    fn errors_are_counted_or_a_share() {
        assert_eq!("0".parse(), Ok(MaxErrors::Count(0)));
        assert_eq!("50%".parse(), Ok(MaxErrors::Percent(50)));
        for text in ["", "101%", "-1", "x", "%"] {
            assert!(text.parse::<MaxErrors>().is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_kept_as_people_write_them() {
        let json = serde_json::to_value(Limits::default()).unwrap();
        assert_eq!(json["rate"], "10/s");
        assert_eq!(json["max_outage"], "5m");
        assert_eq!(serde_json::from_value::<Limits>(json).unwrap(), Limits::default());
    }
}
