//! What the page says, as plain values: the template only puts it in order.

use serde::Serialize;

use super::charts::{Bin, OverTime, Progress, length, over_time, progress, round_trips};
use super::facts::{Setting, settings};
use super::tables::{
    AccountRow, ChannelRow, FailureRow, MailboxRow, ServerRow, Table, accounts, channels, failures, partly,
    servers,
};
use super::text::{meaning, moment, share, tone, took};
use super::{SCRIPT, STYLE, policy};
use crate::domain::{Action, Channel, ErrorClass, Status};
use crate::record::{Extents, Report, RoundTrips, Stamp, Summary};
use crate::view::guidance::guidance;
use crate::view::summary::{by_number, headline};
use crate::view::words::{count, counted, shown};

/// The whole page.
#[derive(Debug, Serialize)]
pub struct Page {
    policy: String,
    style: &'static str,
    script: &'static str,
    job: String,
    run_id: String,
    verdict: Verdict,
    tiles: Vec<Tile>,
    who: Who,
    asked: Vec<Asked>,
    outcomes: Vec<Outcome>,
    operations: String,
    reasons: Vec<Why>,
    channels: Vec<ChannelRow>,
    /// Whether a channel was shut, and not only opened.
    contains: bool,
    progress: Option<Progress>,
    extents: Vec<ExtentRow>,
    partly: Table<MailboxRow>,
    over_time: Option<OverTime>,
    round_trips: Vec<Bin>,
    tries: String,
    servers: Table<ServerRow>,
    accounts: Table<AccountRow>,
    failures: Table<FailureRow>,
    shown_at_once: usize,
    failed_statuses: Vec<&'static str>,
    failed_classes: Vec<&'static str>,
    facts: Vec<Fact>,
    sessions: Vec<SessionRow>,
    settings: Vec<Setting>,
    servers_settings: Vec<ServerSettings>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    tone: &'static str,
    headline: String,
    sentence: String,
}

/// A figure that is seen at first sight.
#[derive(Debug, Serialize)]
struct Tile {
    label: &'static str,
    value: String,
    note: String,
    tone: &'static str,
}

#[derive(Debug, Serialize)]
struct Who {
    operators: String,
    ticket: String,
    started: String,
    ended: String,
    took: String,
    servers: String,
    undo_of: String,
}

#[derive(Debug, Serialize)]
struct Asked {
    action: Action,
    channel: Channel,
    operations: String,
}

#[derive(Debug, Serialize)]
struct Outcome {
    status: Status,
    tone: &'static str,
    operations: String,
    share: String,
    length: u64,
    meaning: &'static str,
}

#[derive(Debug, Serialize)]
struct Why {
    class: ErrorClass,
    operations: String,
    meaning: &'static str,
    advice: String,
}

/// How far the mailboxes of one purpose have come.
#[derive(Debug, Serialize)]
struct ExtentRow {
    purpose: &'static str,
    mailboxes: String,
    whole: String,
    partly: String,
    unclear: String,
    nothing: String,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    /// Whether it is to be read sign by sign.
    code: bool,
    note: &'static str,
}

#[derive(Debug, Serialize)]
struct SessionRow {
    number: usize,
    operator: String,
    host: String,
    started: String,
    ended: String,
    exit_code: String,
    chain: String,
}

#[derive(Debug, Serialize)]
struct ServerSettings {
    name: String,
    settings: Vec<Setting>,
}

/// So many failures are laid out at first: more cost a browser seconds, and nobody reads them at once.
const SHOWN_AT_ONCE: usize = 500;
/// More servers than this have their settings in `run.json` alone.
const MOST_SERVERS: usize = 100;

impl Page {
    /// Says it.
    pub fn new(report: &Report<'_>) -> Page {
        let Report { facts, summary, tally, .. } = *report;
        let figures = &tally.figures;
        let mut times = RoundTrips::default();
        report.servers.iter().for_each(|server| times.add(&server.round_trips));
        let failures = failures(report);
        let is_listed = |status: &Status| !status.is_good();
        Page {
            policy: policy(),
            style: STYLE,
            script: SCRIPT,
            job: shown(&facts.input.name, 200),
            run_id: shown(&facts.run_id, 200),
            verdict: verdict(report),
            tiles: tiles(report),
            who: who(report),
            asked: figures
                .asked()
                .iter()
                .map(|(function, number)| Asked {
                    action: function.action(),
                    channel: function.channel(),
                    operations: count(*number),
                })
                .collect(),
            outcomes: outcomes(report),
            operations: count(summary.operations),
            reasons: by_number(summary)
                .into_iter()
                .map(|(class, number)| {
                    let mut text = guidance(class);
                    if tally.left_classes.get(&class) == Some(&number) {
                        text = text.of_left();
                    }
                    Why {
                        class,
                        operations: count(number),
                        meaning: text.meaning,
                        advice: text.advice(class),
                    }
                })
                .collect(),
            channels: channels(&summary.channels, |channel| figures.wanted(channel)),
            contains: figures.asked().keys().any(|function| function.target().on),
            progress: progress(figures),
            extents: extents(report),
            partly: partly(report),
            over_time: over_time(figures),
            round_trips: round_trips(&times),
            tries: count(times.count()),
            servers: servers(report),
            accounts: accounts(report),
            failures,
            shown_at_once: SHOWN_AT_ONCE,
            failed_statuses: summary.counts.keys().filter(|s| is_listed(s)).map(|s| s.word()).collect(),
            failed_classes: summary
                .error_classes
                .keys()
                .filter(|class| **class != ErrorClass::Excluded)
                .map(|class| class.word())
                .collect(),
            facts: run_facts(report),
            sessions: sessions(report),
            settings: all_settings(report),
            servers_settings: servers_settings(report),
        }
    }
}

/// How many operations ended as wanted, how many were left out on purpose, and how many are neither.
fn sides(summary: &Summary) -> (u64, u64, u64) {
    let good: u64 = summary.counts.iter().filter(|(status, _)| status.is_good()).map(|(_, n)| n).sum();
    let excluded = summary.error_classes.get(&ErrorClass::Excluded).copied().unwrap_or(0);
    (good, excluded, summary.operations.saturating_sub(good + excluded))
}

fn verdict(report: &Report<'_>) -> Verdict {
    let Report { facts, summary, .. } = *report;
    let (good, excluded, other) = sides(summary);
    let operations = counted(summary.operations, "operation", "operations");
    let sentence = if summary.operations == 0 {
        "There was nothing to do.".to_owned()
    } else if facts.dry_run {
        format!("{operations}. This was a rehearsal: no server was asked or changed.")
    } else if other == 0 && excluded == 0 {
        format!("{operations}, and every mailbox is in its wanted state.")
    } else {
        let left_out = match excluded {
            0 => String::new(),
            some => format!(", {} left out on purpose", count(some)),
        };
        let below = if other > 0 { " Below is which, and why." } else { "" };
        format!("{operations}: {} as wanted, {} not{left_out}.{below}", count(good), count(other))
    };
    let sentence = [sentence, proof(summary)].join("");
    let (tone, headline) = if facts.dry_run {
        ("plain", "Rehearsal".to_owned())
    } else if !report.has_ended() {
        ("bad", "Has not ended: its last session was killed, or is still at work".to_owned())
    } else {
        let tone = match summary.exit_code {
            0 => "good",
            1 => "unclear",
            _ => "bad",
        };
        (tone, headline(summary.exit_code).to_owned())
    };
    Verdict { tone, headline, sentence }
}

/// How much of what the servers accepted was seen to hold.
fn proof(summary: &Summary) -> String {
    let accepted = summary.counts.get(&Status::Ok).copied().unwrap_or(0);
    match (accepted, summary.verified) {
        (0, _) => String::new(),
        (_, 0) => " What the servers accepted was not read again afterwards.".to_owned(),
        (all, seen) if all == seen => {
            " A reading of the mailboxes afterwards showed that everything that was changed holds.".to_owned()
        }
        (all, seen) => format!(
            " Of the {} that the servers accepted, a reading afterwards showed that {} hold; the others were not read.",
            count(all),
            count(seen)
        ),
    }
}

fn tiles(report: &Report<'_>) -> Vec<Tile> {
    let Report { facts, summary, tally, .. } = *report;
    let of = |part: u64, whole: u64| format!("of {} ({})", count(whole), share(part, whole));
    let tone = |part: u64, whole: u64| if part == whole { "good" } else { "plain" };
    let (good, excluded, other) = sides(summary);
    let all = summary.operations - excluded;
    if facts.dry_run {
        let planned = summary.counts.get(&Status::Planned).copied().unwrap_or(0);
        let note = of(planned, all);
        return vec![Tile { label: "Operations planned", value: count(planned), note, tone: "plain" }];
    }
    let wanted = Tile {
        label: "Operations as wanted",
        value: count(good),
        note: of(good, all),
        tone: tone(good, all),
    };
    let mut tiles = vec![wanted];
    if other > 0 {
        tiles.push(Tile { label: "Not as wanted", value: count(other), note: of(other, all), tone: "bad" });
    }
    for (contained, label) in [(true, "Mailboxes contained"), (false, "Mailboxes restored")] {
        let extents = tally.figures.extents(contained);
        if extents.sum() > 0 {
            let note = of(extents.whole, extents.sum());
            let tone = tone(extents.whole, extents.sum());
            tiles.push(Tile { label, value: count(extents.whole), note, tone });
        }
        if extents.partly > 0 && contained {
            let note = "one channel shut, another not".to_owned();
            tiles.push(Tile {
                label: "Only partly contained",
                value: count(extents.partly),
                note,
                tone: "bad",
            });
        }
    }
    let slowest = summary.channels.iter().max_by_key(|(_, figures)| figures.max_ms);
    if let Some((channel, figures)) = slowest {
        let label = if figures.contained { "Until contained" } else { "Until done" };
        let note = format!("the last of {channel}; half after {}", took(figures.p50_ms));
        tiles.push(Tile { label, value: took(figures.max_ms), note, tone: "plain" });
    }
    tiles
}

fn who(report: &Report<'_>) -> Who {
    let Report { facts, summary, .. } = *report;
    let mut operators: Vec<String> = Vec::new();
    for session in &summary.sessions {
        let one = format!("{} on {}", shown(&session.operator, 100), shown(&session.host, 100));
        if !operators.contains(&one) {
            operators.push(one);
        }
    }
    let names: Vec<String> = summary.servers.iter().take(10).map(|server| shown(&server.name, 100)).collect();
    let rest = summary.servers.len() - names.len();
    let more =
        if rest > 0 { format!(" and {}", counted(rest as u64, "more", "more")) } else { String::new() };
    let ended = if report.has_ended() || facts.dry_run { moment(&summary.ended_at) } else { String::new() };
    let ms = |text: &str| Stamp::try_from(text.to_owned()).map_or(0, |at| at.0);
    let span = ms(&summary.ended_at).saturating_sub(ms(&summary.started_at));
    Who {
        operators: operators.join("; "),
        ticket: facts.ticket.as_deref().map(|ticket| shown(ticket, 200)).unwrap_or_default(),
        started: moment(&summary.started_at),
        took: took(u64::try_from(span).unwrap_or(0)),
        ended,
        servers: names.join(", ") + &more,
        undo_of: facts.undo_of.as_deref().map(|run| shown(run, 200)).unwrap_or_default(),
    }
}

fn outcomes(report: &Report<'_>) -> Vec<Outcome> {
    let summary = report.summary;
    let most = summary.counts.values().copied().max().unwrap_or(0);
    let outcome = |(status, number): (&Status, &u64)| Outcome {
        status: *status,
        tone: tone(*status),
        operations: count(*number),
        share: share(*number, summary.operations),
        length: length(*number, most),
        meaning: meaning(*status),
    };
    summary.counts.iter().map(outcome).collect()
}

fn extents(report: &Report<'_>) -> Vec<ExtentRow> {
    if report.facts.dry_run {
        return Vec::new();
    }
    let row = |purpose, extents: Extents| ExtentRow {
        purpose,
        mailboxes: count(extents.sum()),
        whole: count(extents.whole),
        partly: count(extents.partly),
        unclear: count(extents.unclear),
        nothing: count(extents.nothing),
    };
    let figures = &report.tally.figures;
    [("to be contained", figures.extents(true)), ("to be restored", figures.extents(false))]
        .into_iter()
        .filter(|(_, extents)| extents.sum() > 0)
        .map(|(purpose, extents)| row(purpose, extents))
        .collect()
}

fn run_facts(report: &Report<'_>) -> Vec<Fact> {
    let facts = report.facts;
    let mut list = vec![
        Fact { name: "Run", value: shown(&facts.run_id, 200), code: true, note: "" },
        Fact {
            name: "Program",
            value: format!("mailsweep {}", shown(&facts.version, 50)),
            code: false,
            note: "",
        },
        Fact {
            name: "Input",
            value: format!("SHA-256 {}", shown(&facts.input.sha256, 80)),
            code: true,
            note: "of input.csv in the run directory, byte for byte as it was given",
        },
    ];
    if let Some(chain) = report.chain {
        list.push(Fact {
            name: "Journal",
            value: format!("chain {chain}"),
            code: true,
            note: "the hash of all that happened, up to the end record; that one follows with the hash of \
                   this page, and the chain with it stands in summary.json",
        });
    }
    list
}

fn sessions(report: &Report<'_>) -> Vec<SessionRow> {
    let sessions = &report.summary.sessions;
    let row = |(number, session): (usize, &crate::record::SessionFigures)| SessionRow {
        number: number + 1,
        operator: shown(&session.operator, 100),
        host: shown(&session.host, 100),
        started: moment(&session.started_at),
        ended: session.ended_at.as_deref().map(moment).unwrap_or_else(|| "killed".to_owned()),
        exit_code: session.exit_code.map(|code| code.to_string()).unwrap_or_default(),
        // The last one's holds the hash of this page.
        chain: match number + 1 == sessions.len() {
            true => String::new(),
            false => session.chain.clone().unwrap_or_default(),
        },
    };
    sessions.iter().enumerate().map(row).collect()
}

/// How the run went about it, and how its input was read.
fn all_settings(report: &Report<'_>) -> Vec<Setting> {
    let mut all = settings(&report.facts.settings);
    let options = serde_json::to_value(&report.facts.input.options).unwrap_or_default();
    all.extend(settings(&serde_json::json!({ "input": options })));
    all
}

fn servers_settings(report: &Report<'_>) -> Vec<ServerSettings> {
    let servers = report.facts.servers.as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |server: &serde_json::Value| ServerSettings {
        name: shown(server["name"].as_str().unwrap_or("server"), 100),
        settings: settings(server),
    };
    servers.iter().take(MOST_SERVERS).map(one).collect()
}
