//! How much a run may ask of a server, and when it gives up: the settings as typed and as shown.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::batching::Batch;

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
    /// How many calls may go together in one request.
    #[serde(default)]
    pub batch: Batch,
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
            // At 10/s and a second a call ten are under way: so the rate governs, not this, up to 1.6 s
            // a call. It is only the most: how many are in use adapts below it.
            jobs: NonZeroU32::MIN.saturating_add(15),
            retries: 4,
            batch: Batch::ONE,
            max_errors: MaxErrors::Percent(50),
            max_outage: Duration::from_secs(300),
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The burst in force: the one asked for, or the largest of 2, a hundredth of a second's rate and
    /// what goes together in one request (a burst of 1 loses rate whenever a wake-up is late).
    pub fn effective_burst(&self) -> NonZeroU32 {
        const LEAST: u32 = 2;
        self.burst.unwrap_or_else(|| {
            let hundredth = match self.rate {
                Rate::Unlimited => 0,
                Rate::Limited { calls, per } => u64::from(calls.get()) / per.seconds() / 100,
            };
            let burst = u32::try_from(hundredth).unwrap_or(u32::MAX).max(LEAST).max(self.batch.most());
            NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)
        })
    }
}

/// Limits of which any may be left to something else: what a flag, a variable or a configuration
/// file says. Written as [`Limits`] are, without what is not said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SomeLimits {
    /// See [`Limits::rate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// See [`Limits::burst`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// See [`Limits::jobs`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<NonZeroU32>,
    /// See [`Limits::retries`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// See [`Limits::batch`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// See [`Limits::max_errors`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<MaxErrors>,
    /// See [`Limits::max_outage`].
    #[serde(with = "some_duration", skip_serializing_if = "Option::is_none")]
    pub max_outage: Option<Duration>,
    /// See [`Limits::timeout`].
    #[serde(with = "some_duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// See [`Limits::connect_timeout`].
    #[serde(with = "some_duration", skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
}

impl SomeLimits {
    /// These limits where they are said, the others as they are.
    pub fn over(&self, limits: Limits) -> Limits {
        Limits {
            rate: self.rate.unwrap_or(limits.rate),
            burst: self.burst.or(limits.burst),
            jobs: self.jobs.unwrap_or(limits.jobs),
            retries: self.retries.unwrap_or(limits.retries),
            batch: self.batch.unwrap_or(limits.batch),
            max_errors: self.max_errors.unwrap_or(limits.max_errors),
            max_outage: self.max_outage.unwrap_or(limits.max_outage),
            timeout: self.timeout.unwrap_or(limits.timeout),
            connect_timeout: self.connect_timeout.unwrap_or(limits.connect_timeout),
        }
    }

    /// These limits where they are said, else the other's.
    #[must_use]
    pub fn or(self, other: SomeLimits) -> SomeLimits {
        SomeLimits {
            rate: self.rate.or(other.rate),
            burst: self.burst.or(other.burst),
            jobs: self.jobs.or(other.jobs),
            retries: self.retries.or(other.retries),
            batch: self.batch.or(other.batch),
            max_errors: self.max_errors.or(other.max_errors),
            max_outage: self.max_outage.or(other.max_outage),
            timeout: self.timeout.or(other.timeout),
            connect_timeout: self.connect_timeout.or(other.connect_timeout),
        }
    }
}

/// A length of time as a limit is written: `30s`, `5m`.
///
/// # Errors
/// If it is none, or no time at all.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it must be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(fault) => Err(format!("{fault}; write it as 30s or 5m")),
    }
}

/// [`duration`] where there may be none.
mod some_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Written(#[serde(with = "super::duration")] Duration);

    pub fn serialize<S: Serializer>(value: &Option<Duration>, out: S) -> Result<S::Ok, S::Error> {
        value.map(Written).serialize(out)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Written>::deserialize(from)?.map(|written| written.0))
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

    /// Limits that are said, each differing from every default and from the other set's.
    fn some(n: u32) -> SomeLimits {
        SomeLimits {
            rate: Some(Rate::per_second(100 + n)),
            burst: NonZeroU32::new(20 + n),
            jobs: NonZeroU32::new(30 + n),
            batch: Some(Batch::Size(NonZeroU32::MIN.saturating_add(9 + n))),
            retries: Some(40 + n),
            max_errors: Some(MaxErrors::Count(u64::from(50 + n))),
            max_outage: Some(Duration::from_secs(u64::from(600 + n))),
            timeout: Some(Duration::from_secs(u64::from(700 + n))),
            connect_timeout: Some(Duration::from_secs(u64::from(800 + n))),
        }
    }

    #[test]
    fn what_is_said_goes_over_what_is_not() {
        let (one, two) = (some(1), some(2));
        assert_eq!(one.clone().or(two.clone()), one);
        assert_eq!(SomeLimits::default().or(two.clone()), two);
        assert_eq!(SomeLimits::default().over(Limits::default()), Limits::default());
        // Each limit must come through, and from its own field.
        let written = serde_json::to_value(two.over(Limits::default())).unwrap();
        assert_eq!(written, serde_json::to_value(&two).unwrap());
    }

    #[test]
    fn some_limits_are_written_as_all_are_and_without_the_unsaid() {
        let json = serde_json::json!({ "rate": "600/m", "max_outage": "5m" });
        let read: SomeLimits = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(read.max_outage, Some(Duration::from_secs(300)));
        assert_eq!(serde_json::to_value(&read).unwrap(), json);
        assert_eq!(
            serde_json::from_value::<SomeLimits>(serde_json::to_value(some(1)).unwrap()).unwrap(),
            some(1)
        );
    }

    #[test]
    fn a_time_is_longer_than_nothing() {
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "0s", "10", "x"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
