//! A mailbox's history: a line for each operation, the newest last, to be read or to be searched.

use super::words::{cell, shown};
use crate::record::Deed;

const HEADS: [&str; 9] =
    ["time", "action", "channel", "status", "server", "account", "operator", "ticket", "run"];
/// No cell of the table is wider than this, but for the run: its name is what other commands take.
const WIDEST: usize = 40;
/// A run's name has no more.
const LONGEST_NAME: usize = 255;
/// The server's words are cut here.
const MOST_CHARS: usize = 300;

/// The table, ending with a line break; nothing if there is nothing to tell. Lines are as long as
/// they come out, so that each operation stays one line.
pub fn history(deeds: &[Deed]) -> String {
    if deeds.is_empty() {
        return String::new();
    }
    let mut rows: Vec<(Vec<String>, String)> = vec![(HEADS.map(str::to_owned).into(), "error".to_owned())];
    rows.extend(deeds.iter().map(|deed| (deed.cells().into(), deed.words())));
    let wide = |column: usize| rows.iter().map(|(cells, _)| cells[column].chars().count()).max().unwrap_or(0);
    let wide: Vec<usize> = (0..HEADS.len()).map(wide).collect();
    let line = |(cells, words): &(Vec<String>, String)| {
        let cells: Vec<String> =
            cells.iter().zip(&wide).map(|(cell, wide)| format!("{cell:<wide$}")).collect();
        format!("{}  {words}", cells.join("  ")).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

impl Deed {
    fn cells(&self) -> [String; 9] {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let status = match (self.status, self.verified) {
            (None, _) => "at work".to_owned(),
            (Some(status), Some(true)) => format!("{status} verified"),
            (Some(status), _) => status.to_string(),
        };
        let told = [
            self.at.clone(),
            self.action.to_string(),
            self.channel.to_string(),
            status,
            or_dash(&self.server),
            or_dash(&self.account),
            self.who(),
            or_dash(&self.ticket),
        ];
        let [at, action, channel, status, server, account, who, ticket] =
            told.map(|text| cell(&text, WIDEST));
        [at, action, channel, status, server, account, who, ticket, shown(&self.run, LONGEST_NAME)]
    }

    fn words(&self) -> String {
        let class = self.error_class.map(|class| class.to_string());
        let error = (!self.error.is_empty()).then(|| shown(&self.error, MOST_CHARS));
        let undone = self.undone_by.as_ref().map(|run| format!("taken back by {}", shown(run, LONGEST_NAME)));
        let words: Vec<String> = [class, error, undone].into_iter().flatten().collect();
        words.join(": ")
    }
}
