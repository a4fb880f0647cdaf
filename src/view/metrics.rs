//! A run's figures for a monitoring system, in Prometheus' text format, as node_exporter's textfile
//! collector reads them.
//!
//! All are gauges: they say how the last run of a job went, and begin anew with the next. The label
//! `input` tells jobs apart, so that each sweep may have a file of its own beside the others'. A
//! status that did not occur is told as 0: an alert on it then ends with the next good run. The time
//! of the last success outlives runs that fail, since that is what an alert on a sweep that no longer
//! works needs.

use std::fmt::Write;

use crate::domain::Status;
use crate::record::{Channels, Figures, Stamp, Summary};

const LAST_SUCCESS: &str = "mailsweep_last_success_timestamp_seconds";

/// The whole file. `before` is what stood in it until now.
pub fn metrics(input: &str, summary: &Summary, figures: &Figures, before: &str) -> String {
    let mut out = Exposition { out: String::new(), input: quoted(input) };
    out.family("mailsweep_operations", "Operations of the last run, by server and status.");
    let names = summary.servers.iter().map(|server| server.name.as_str());
    for server in names.chain([""]) {
        let counts = figures.at_server(server);
        // What has no server is told only if there is something.
        for status in Status::ALL.iter().filter(|_| !server.is_empty() || !counts.is_empty()) {
            let count = counts.get(status).copied().unwrap_or(0);
            out.sample(
                "mailsweep_operations",
                &[("server", server), ("status", status.word())],
                &count.to_string(),
            );
        }
    }
    out.family("mailsweep_class_operations", "Operations that did not end well, by error class.");
    for (class, count) in &summary.error_classes {
        out.sample("mailsweep_class_operations", &[("class", class.word())], &count.to_string());
    }
    out.family("mailsweep_requests", "Requests made for the last run, tries that failed included.");
    for server in &summary.servers {
        out.sample("mailsweep_requests", &[("server", &server.name)], &server.requests.to_string());
    }
    out.family("mailsweep_server_halted", "Whether nothing more was sent to a server.");
    for server in &summary.servers {
        let halted = u8::from(server.halted.is_some());
        out.sample("mailsweep_server_halted", &[("server", &server.name)], &halted.to_string());
    }
    out.family("mailsweep_round_trip_seconds", "How long tries took; quantile 1 is the longest.");
    for server in &summary.servers {
        if let Some(times) = server.round_trips {
            let labels = [("server", server.name.as_str())];
            out.quantiles(
                "mailsweep_round_trip_seconds",
                &labels,
                [times.p50_ms, times.p95_ms, times.max_ms],
            );
        }
    }
    out.family("mailsweep_channel_seconds", "How long until a channel was done, from the start of the run.");
    for server in &summary.servers {
        out.channels(&server.name, &server.channels);
    }
    out.family("mailsweep_exit_code", "Exit code of the last session.");
    out.sample("mailsweep_exit_code", &[], &summary.exit_code.to_string());
    let started = summary.sessions.last().map_or(&summary.started_at, |session| &session.started_at);
    let (started, ended) = (seconds(started), seconds(&summary.ended_at));
    for (name, help, value) in [
        ("mailsweep_start_timestamp_seconds", "When the last session began.", started),
        ("mailsweep_end_timestamp_seconds", "When the last session ended.", ended),
        ("mailsweep_duration_seconds", "How long the last session took.", ended.saturating_sub(started)),
    ] {
        out.family(name, help);
        out.sample(name, &[], &decimal(value));
    }
    let succeeded = match summary.exit_code {
        0 => Some(decimal(ended)),
        _ => last_success(before, &out.head(LAST_SUCCESS, &[])),
    };
    if let Some(at) = succeeded {
        out.family(LAST_SUCCESS, "When a session last ended with exit code 0.");
        out.sample(LAST_SUCCESS, &[], &at);
    }
    out.out
}

/// What the file said until now, if it is of the same job.
fn last_success(before: &str, head: &str) -> Option<String> {
    let value = before.lines().find_map(|line| line.strip_prefix(head))?.trim();
    value.parse::<f64>().is_ok_and(f64::is_finite).then(|| value.to_owned())
}

/// A moment in milliseconds since 1970.
fn seconds(rfc3339: &str) -> i64 {
    Stamp::try_from(rfc3339.to_owned()).map_or(0, |at| at.0)
}

/// Milliseconds as seconds.
fn decimal(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// A label's value in its quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            // It would end the line for some readers.
            '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

struct Exposition {
    out: String,
    input: String,
}

impl Exposition {
    fn family(&mut self, name: &str, help: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    /// A sample without its value.
    fn head(&self, name: &str, labels: &[(&str, &str)]) -> String {
        let mut head = format!("{name}{{input={}", self.input);
        for (label, value) in labels {
            let _ = write!(head, ",{label}={}", quoted(value));
        }
        head.push_str("} ");
        head
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let head = self.head(name, labels);
        self.out.push_str(&head);
        self.out.push_str(value);
        self.out.push('\n');
    }

    fn quantiles(&mut self, name: &str, labels: &[(&str, &str)], ms: [u64; 3]) {
        for (quantile, ms) in ["0.5", "0.95", "1"].into_iter().zip(ms) {
            let value = decimal(i64::try_from(ms).unwrap_or(i64::MAX));
            self.sample(name, &[labels, &[("quantile", quantile)]].concat(), &value);
        }
    }

    fn channels(&mut self, server: &str, channels: &Channels) {
        for (channel, figures) in channels {
            let labels = [("server", server), ("channel", channel.word())];
            self.quantiles(
                "mailsweep_channel_seconds",
                &labels,
                [figures.p50_ms, figures.p95_ms, figures.max_ms],
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RoundTripFigures, ServerFigures, SessionFigures};

    fn summary(exit_code: u8) -> Summary {
        let session =
            SessionFigures { started_at: "2026-11-23T19:00:00.000Z".into(), ..SessionFigures::default() };
        let round_trips = Some(RoundTripFigures { p50_ms: 80, p95_ms: 1200, max_ms: 60_001 });
        let halted = Some("auth: 403\n\"no\"".to_owned());
        Summary {
            chain: None,
            run_id: String::new(),
            exit_code,
            started_at: "2026-11-22T19:00:00.000Z".into(),
            ended_at: "2026-11-23T19:00:02.005Z".into(),
            operations: 0,
            counts: Default::default(),
            verified: 0,
            error_classes: Default::default(),
            channels: Default::default(),
            sessions_ended: None,
            undone: Vec::new(),
            servers: vec![ServerFigures {
                name: "we\\b\"01\n".into(),
                requests: 7,
                halted,
                round_trips,
                ..Default::default()
            }],
            sessions: vec![session],
        }
    }

    fn told(exit_code: u8, before: &str) -> String {
        metrics("a b.csv", &summary(exit_code), &Figures::default(), before)
    }

    #[test]
    fn every_line_is_of_the_format_and_labels_are_escaped() {
        let text = told(1, "");
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            let (head, value) = line.rsplit_once("} ").unwrap_or_else(|| panic!("{line}"));
            assert!(head.starts_with(&format!("{family}{{input=\"a b.csv\"")), "{line} under {family}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        for line in [
            r#"mailsweep_requests{input="a b.csv",server="we\\b\"01\n"} 7"#,
            r#"mailsweep_server_halted{input="a b.csv",server="we\\b\"01\n"} 1"#,
            r#"mailsweep_operations{input="a b.csv",server="we\\b\"01\n",status="failed"} 0"#,
            r#"mailsweep_round_trip_seconds{input="a b.csv",server="we\\b\"01\n",quantile="1"} 60.001"#,
            r#"mailsweep_duration_seconds{input="a b.csv"} 2.005"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_last_success_outlives_a_failure_of_the_same_job() {
        let line = |text: &str| text.lines().find(|line| line.starts_with(LAST_SUCCESS)).map(str::to_owned);
        assert_eq!(line(&told(1, "")), None);
        let good = told(0, "");
        assert_eq!(line(&good).unwrap(), format!("{LAST_SUCCESS}{{input=\"a b.csv\"}} 1795460402.005"));
        assert_eq!(line(&told(1, &good)), line(&good));
        assert_eq!(line(&told(1, &good.replace("a b.csv", "b.csv"))), None, "another job's");
        assert_eq!(line(&told(1, &good.replace("1795460402.005", "x"))), None, "no time");
    }
}
