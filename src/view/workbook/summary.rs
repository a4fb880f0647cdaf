//! The first sheet: the run as a whole.

use std::io;

use super::sheets::{Cell, Sheets};
use crate::record::{Report, Stamp};
use crate::view::guidance;
use crate::view::report::meaning;

/// Writes it.
pub fn summary(report: &Report<'_>, sheets: &mut Sheets<'_>) -> io::Result<()> {
    use Cell::{Heading, None, Number, Text};
    let Report { facts, summary, .. } = *report;
    fn text<'c>(name: &'c str, value: &'c str) -> [Cell<'c>; 3] {
        [Text(name), Text(value), None]
    }
    fn time<'c>(name: &'c str, value: &'c str) -> [Cell<'c>; 3] {
        [Text(name), moment(value), None]
    }
    sheets.row([Heading("Run"), None, None])?;
    sheets.row(text("Name", &facts.run_id))?;
    sheets.row(text("Input", &facts.input.name))?;
    sheets.row(text("Input's SHA-256", &facts.input.sha256))?;
    sheets.row(text("Ticket", facts.ticket.as_deref().unwrap_or_default()))?;
    sheets.row(text("Program", &format!("mailsweep {}", facts.version)))?;
    sheets.row(time("Started (UTC)", &summary.started_at))?;
    if report.has_ended() {
        sheets.row(time("Ended (UTC)", &summary.ended_at))?;
        sheets.row([Text("Exit code"), Number(summary.exit_code.into()), None])?;
    } else {
        sheets.row(text("Ended (UTC)", "not yet, or killed: figures so far"))?;
    }
    sheets.row([Text("Operations"), Number(summary.operations as f64), None])?;
    sheets.row([None, None, None])?;

    sheets.row([Heading("Status"), Heading("Operations"), Heading("Meaning")])?;
    for (status, number) in &summary.counts {
        sheets.row([Text(status.word()), Number(*number as f64), Text(meaning(*status))])?;
    }
    sheets.row([None, None, None])?;
    sheets.row([Heading("Error class"), Heading("Operations"), Heading("Meaning")])?;
    for (class, number) in &summary.error_classes {
        let meaning = guidance(*class).meaning;
        sheets.row([Text(class.word()), Number(*number as f64), Text(meaning)])?;
    }
    sheets.row([None, None, None])?;
    sheets.row([
        Heading("Channel"),
        Heading("Done"),
        Heading("Seconds until half, 95 % and all were done"),
    ])?;
    for (channel, figures) in &summary.channels {
        let seconds =
            [figures.p50_ms, figures.p95_ms, figures.max_ms].map(|ms| format!("{:.1}", ms as f64 / 1000.0));
        sheets.row([Text(channel.word()), Number(figures.operations as f64), Text(&seconds.join(" / "))])?;
    }
    sheets.row([None, None, None])?;
    sheets.row([Heading("Server"), Heading("Requests"), Heading("Halted because")])?;
    for server in &summary.servers {
        let halted = server.halted.as_deref().unwrap_or_default();
        sheets.row([Text(&server.name), Number(server.requests as f64), Text(halted)])?;
    }
    sheets.row([None, None, None])?;
    sheets.row([
        Heading("Session began (UTC)"),
        Heading("By"),
        Heading("Chain hash of the journal at its end"),
    ])?;
    for session in &summary.sessions {
        let by = format!("{} on {}", session.operator, session.host);
        let chain = session.chain.as_deref().unwrap_or("none: it has not ended");
        sheets.row([moment(&session.started_at), Text(&by), Text(chain)])?;
    }
    Ok(())
}

/// A moment as the summary has it.
fn moment(rfc3339: &str) -> Cell<'_> {
    Stamp::try_from(rfc3339.to_owned()).map_or(Cell::Text(rfc3339), Cell::Time)
}
