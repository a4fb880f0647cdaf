//! What `check` found: the facts of each server as they are printed for machines, and one line of
//! each for people. What is wrong or ends soon is a word in capitals near the line's beginning, and
//! what to do about it is the line's end.

use serde::Serialize;

use super::terminal::Style;
use super::words::{cell, count, counted, shown, wrap};
use crate::domain::ErrorClass;
use crate::record::Stamp;

/// How it stands with a server or a login; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All is well.
    Ok,
    /// Its certificate or token ends soon.
    EndsSoon,
    /// It is sound, but does not tell what a run may need.
    Look,
    /// It was left alone because of another login of the server.
    NotAsked,
    /// Something is wrong on this side: no credential, no CA file.
    Setup,
    /// It answered, but not as the API does.
    Failed,
    /// It could not be reached, or gave no answer.
    Unreachable,
    /// Its certificate is not sound, or TLS did not come about.
    Tls,
    /// The credential was refused too often of late to be sent again.
    Barred,
    /// The credential was refused.
    Refused,
}

impl Health {
    /// Whether it can be worked with: reached, and the credential accepted.
    pub fn is_sound(self) -> bool {
        self <= Health::Look
    }

    const fn word(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::EndsSoon => "SOON",
            Health::Look => "LOOK",
            Health::NotAsked => "-",
            Health::Setup => "SETUP",
            Health::Failed => "FAILED",
            Health::Unreachable => "DOWN",
            Health::Tls => "TLS",
            Health::Barred => "BARRED",
            Health::Refused => "REFUSED",
        }
    }

    fn paint(self, style: Style, text: &str) -> String {
        match self {
            Health::Ok | Health::NotAsked => text.to_owned(),
            Health::EndsSoon | Health::Look => style.yellow(text),
            _ => style.red(text),
        }
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checkup {
    /// When.
    pub checked_at: Stamp,
    /// What ends within so many days ends soon.
    pub warn_days: u32,
    /// What the shell is told.
    pub exit_code: u8,
    /// The servers, in their configured order.
    pub servers: Vec<ServerCheckup>,
}

/// What was found of a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerCheckup {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// The worst of itself and its logins.
    pub health: Health,
    /// Its certificate.
    pub tls: Tls,
    /// How long the first good answer took, the connection included.
    pub round_trip_ms: Option<u64>,
    /// Requests made.
    pub requests: u32,
    /// What is wrong with it as a whole.
    pub error_class: Option<ErrorClass>,
    /// The same in words.
    pub error: Option<String>,
    /// What to do about it, where the words do not say so.
    pub advice: Option<String>,
    /// Those who speak to it; never empty.
    pub logins: Vec<LoginCheckup>,
}

/// How a server shows that it is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Not at all: plain http.
    None,
    /// By the pinned key; dates do not count.
    Pin,
    /// By a certificate that leads to a trusted one.
    Certificate,
}

/// The certificate of a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tls {
    /// How it is judged.
    pub trust: Trust,
    /// Who issued it; `None` if none was seen.
    pub issuer: Option<String>,
    /// Until when it is good.
    pub end: Option<End>,
    /// Whether that is soon, and counts.
    pub ends_soon: bool,
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Then.
    pub at: Stamp,
    /// Whole days until then.
    pub days_left: i64,
}

impl End {
    /// The end at this second since 1970, seen from `now`.
    pub fn new(seconds: i64, now: Stamp) -> End {
        const DAY_MS: i64 = 86_400_000;
        let at = Stamp(seconds.saturating_mul(1000));
        End { at, days_left: at.0.saturating_sub(now.0).div_euclid(DAY_MS) }
    }

    /// `ends in 5 days, on 2026-11-29`.
    fn sentence(self) -> String {
        let day: String = self.at.to_string().chars().take_while(|c| *c != 'T').collect();
        match self.days_left {
            ..1 => format!("ends in less than a day, at {}", self.at),
            days => format!("ends in {}, on {day}", counted(days.unsigned_abs(), "day", "days")),
        }
    }
}

/// What was found of a login.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoginCheckup {
    /// As configured.
    pub name: String,
    /// The cPanel account or WHM user.
    pub user: String,
    /// The interface.
    pub api: &'static str,
    /// How it stands.
    pub health: Health,
    /// `token` or `password`.
    pub credential: &'static str,
    /// Whether the server took the credential; `None` if it was not asked or gave no answer.
    pub accepted: Option<bool>,
    /// Until when the token is good.
    pub token_end: TokenEnd,
    /// All tokens that the server lists for the account, ended ones too.
    pub tokens: Vec<TokenLine>,
    /// Accounts seen.
    pub accounts: Option<u64>,
    /// Domains seen.
    pub domains: Option<u64>,
    /// What is wrong.
    pub error_class: Option<ErrorClass>,
    /// The same in words.
    pub error: Option<String>,
    /// What to do about it, where the words do not say so.
    pub advice: Option<String>,
}

/// What is known of the end of the token that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "known", rename_all = "snake_case")]
pub enum TokenEnd {
    /// Nothing: the server does not tell.
    Unknown,
    /// It has none.
    Never,
    /// This, or of several tokens that could be ours the earliest.
    At {
        /// When.
        #[serde(flatten)]
        end: End,
        /// How many tokens could be ours.
        among: u64,
        /// Whether it is soon.
        ends_soon: bool,
    },
}

/// A token of an account, never the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenLine {
    /// What it is called.
    pub name: String,
    /// When it ends; `None` if it does not.
    pub ends_at: Option<Stamp>,
}

/// Longest name in the first column, in characters.
const MAX_NAME: usize = 28;

/// Longest text of a fault, in characters.
const MAX_ERROR: usize = 500;

/// Lines that `-q` may cost.
const QUIET_LINES: usize = 15;

/// A line for each server, and below a server with several logins one for each of them. `width` is
/// where lines are broken; `None` leaves them whole.
pub fn check(checkup: &Checkup, verbose: bool, style: Style, width: Option<usize>) -> String {
    let rows: Vec<Row> = checkup.servers.iter().flat_map(ServerCheckup::rows).collect();
    let wide = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for row in &rows {
        let text = row.text(wide);
        let text = match width {
            Some(width) => {
                // Below the text where there is room for it, so that the words stand out.
                let hanging = wide + 11;
                wrap(&text, if hanging + 40 <= width { hanging } else { 4 }, width)
            }
            None => text,
        };
        out.push_str(&row.health.paint(style, &text));
        out.push('\n');
        if verbose {
            row.more.iter().for_each(|more| out.push_str(&format!("      {more}\n")));
        }
    }
    out.push_str(&checkup.total());
    out.push('\n');
    out
}

/// The same for `-q`: nothing when all is well, else what is not, in at most 15 lines without marks.
pub fn check_quiet(checkup: &Checkup) -> String {
    if checkup.exit_code == 0 {
        return String::new();
    }
    let rows: Vec<Row> = checkup.servers.iter().flat_map(ServerCheckup::rows).collect();
    let rows: Vec<&Row> = rows.iter().filter(|row| row.health != Health::Ok).collect();
    let mut out = format!("mailsweep check: {}\n", checkup.total());
    let room = QUIET_LINES - 1;
    let fit = if rows.len() <= room { rows.len() } else { room - 1 };
    for row in &rows[..fit] {
        out.push_str(&row.text(0));
        out.push('\n');
    }
    if rows.len() > fit {
        out.push_str(&format!("and {} more without -q\n", count((rows.len() - fit) as u64)));
    }
    out
}

/// One line.
struct Row {
    name: String,
    health: Health,
    text: String,
    /// What is told with `-v`.
    more: Vec<String>,
}

impl Row {
    fn text(&self, wide: usize) -> String {
        format!("{:<wide$}  {:<7}  {}", self.name, self.health.word(), self.text)
    }
}

impl Checkup {
    fn total(&self) -> String {
        let number =
            |is: fn(Health) -> bool| self.servers.iter().filter(|server| is(server.health)).count() as u64;
        let unsound = number(|health| !health.is_sound());
        let warned = number(|health| health.is_sound() && health != Health::Ok);
        let all = counted(self.servers.len() as u64, "server", "servers");
        let mut parts = Vec::new();
        if unsound > 0 {
            parts.push(format!("{} not sound", count(unsound)));
        }
        if warned > 0 {
            parts.push(format!("{} to look after", count(warned)));
        }
        if parts.is_empty() { format!("{all}: all is well") } else { format!("{all}: {}", parts.join(", ")) }
    }
}

impl ServerCheckup {
    fn rows(&self) -> Vec<Row> {
        let name = |indent: &str, name: &str| format!("{indent}{}", cell(name, MAX_NAME - indent.len()));
        let url = shown(&self.url, 200);
        let mut facts = Vec::new();
        match &self.error {
            Some(error) => facts.push(shown(error, MAX_ERROR)),
            None => facts.extend(self.tls.sentence()),
        }
        let mut advice: Vec<&str> = self.advice.iter().map(String::as_str).collect();
        let round_trip = self.round_trip_ms.map(|ms| format!("{} ms", count(ms)));
        let mut more = vec![counted(self.requests.into(), "request", "requests")];
        if let Some(end) = self.tls.end {
            more.insert(0, format!("certificate until {}", end.at));
        }
        let more = vec![more.join("; ")];
        if let [login] = self.logins.as_slice() {
            facts.extend(login.facts());
            facts.extend(round_trip);
            advice.extend(login.advice.as_deref());
            let text = sentence(&format!("{url} ({})", login.api), &facts, &advice);
            let more = more.into_iter().chain(login.more()).collect();
            return vec![Row { name: name("", &self.name), health: self.health, text, more }];
        }
        facts.extend(round_trip);
        let head = format!("{url} ({})", counted(self.logins.len() as u64, "login", "logins"));
        let text = sentence(&head, &facts, &advice);
        let mut rows = vec![Row { name: name("", &self.name), health: self.health, text, more }];
        for login in &self.logins {
            let advice: Vec<&str> = login.advice.iter().map(String::as_str).collect();
            let text =
                sentence(&format!("{} ({})", shown(&login.user, 64), login.api), &login.facts(), &advice);
            let (name, more) = (name("  ", &login.name), login.more());
            rows.push(Row { name, health: login.health, text, more });
        }
        rows
    }
}

fn sentence(head: &str, facts: &[String], advice: &[&str]) -> String {
    let mut text = head.to_owned();
    if !facts.is_empty() {
        text = format!("{text}: {}", facts.join("; "));
    }
    if !advice.is_empty() {
        text = format!("{text}. To do: {}", shown(&advice.join("; "), MAX_ERROR));
    }
    text
}

impl Tls {
    fn sentence(&self) -> Option<String> {
        match (self.trust, &self.issuer, self.end) {
            (Trust::None, ..) => Some("no TLS".to_owned()),
            // Whoever has set a pin has said that nothing else of the certificate counts.
            (Trust::Pin, _, Some(end)) => {
                Some(format!("pinned key, so that its certificate's end ({}) does not count", end.at))
            }
            (Trust::Certificate, Some(issuer), Some(end)) if self.ends_soon => {
                Some(format!("certificate by {} {}", shown(issuer, 60), end.sentence()))
            }
            (Trust::Certificate, Some(issuer), Some(end)) => {
                let days = counted(end.days_left.max(0).unsigned_abs(), "day", "days");
                Some(format!("certificate by {}, {days} left", shown(issuer, 60)))
            }
            // There was no answer to see it by.
            _ => None,
        }
    }
}

impl LoginCheckup {
    fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        if self.accepted == Some(true) {
            let accepted = format!("{} of {} accepted", self.credential, shown(&self.user, 64));
            facts.push(match self.token_end {
                _ if self.credential != "token" => accepted,
                TokenEnd::Unknown => format!("{accepted}, its end is unknown"),
                TokenEnd::Never => format!("{accepted}, it has no end"),
                TokenEnd::At { end, among: 0 | 1, .. } => format!("{accepted}, it {}", end.sentence()),
                TokenEnd::At { end, among, .. } => {
                    format!("{accepted}, one of {} tokens {}", count(among), end.sentence())
                }
            });
        }
        if let Some(domains) = self.domains {
            let domains = counted(domains, "domain", "domains");
            facts.push(match self.accounts {
                Some(accounts) if self.api == "whm" => {
                    format!("{}, {domains}", counted(accounts, "account", "accounts"))
                }
                _ => domains,
            });
        }
        facts.extend(self.error.as_ref().map(|error| shown(error, MAX_ERROR)));
        facts
    }

    fn more(&self) -> Vec<String> {
        let lines = self.tokens.iter().map(|token| {
            let end = token.ends_at.map_or("without end".to_owned(), |at| format!("until {at}"));
            format!("token “{}” {end}", shown(&token.name, 64))
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Stamp = Stamp(1_795_460_400_000);
    const DAY: i64 = 86_400;

    fn end(days: i64) -> End {
        End::new(NOW.0 / 1000 + days * DAY + 60, NOW)
    }

    fn login() -> LoginCheckup {
        LoginCheckup {
            name: "web01".to_owned(),
            user: "root".to_owned(),
            api: "whm",
            health: Health::Ok,
            credential: "token",
            accepted: Some(true),
            token_end: TokenEnd::Unknown,
            tokens: Vec::new(),
            accounts: Some(25),
            domains: Some(1143),
            error_class: None,
            error: None,
            advice: None,
        }
    }

    fn server(name: &str, health: Health, logins: Vec<LoginCheckup>) -> ServerCheckup {
        ServerCheckup {
            name: name.to_owned(),
            url: format!("https://{name}.example.net:2087"),
            health,
            tls: Tls {
                trust: Trust::Certificate,
                issuer: Some("R11 (Let's Encrypt)".to_owned()),
                end: Some(end(61)),
                ends_soon: false,
            },
            round_trip_ms: Some(84),
            requests: 1,
            error_class: None,
            error: None,
            advice: None,
            logins,
        }
    }

    fn checkup(servers: Vec<ServerCheckup>) -> Checkup {
        let exit_code = u8::from(servers.iter().any(|server| server.health != Health::Ok));
        Checkup { checked_at: NOW, warn_days: 14, exit_code, servers }
    }

    fn refused(name: &str) -> ServerCheckup {
        let error = Some("the server refused the credential: HTTP 401: Access denied".to_owned());
        let advice = Some("put a new token of root into /etc/web04.token".to_owned());
        let health = Health::Refused;
        let login = LoginCheckup {
            health,
            accepted: Some(false),
            error,
            advice,
            accounts: None,
            domains: None,
            ..login()
        };
        ServerCheckup { round_trip_ms: None, ..server(name, health, vec![login]) }
    }

    fn text(checkup: &Checkup) -> String {
        check(checkup, false, Style::PLAIN, None)
    }

    #[test]
    fn each_server_is_one_line_whose_end_says_what_to_do() {
        let soon = TokenEnd::At { end: end(5), among: 1, ends_soon: true };
        let shop = LoginCheckup {
            name: "shop".to_owned(),
            user: "shopu".to_owned(),
            api: "cpanel",
            health: Health::EndsSoon,
            token_end: soon,
            advice: Some("put a new token of shopu into shop.token".to_owned()),
            accounts: Some(1),
            domains: Some(1),
            ..login()
        };
        let two = vec![login(), shop];
        let all = [
            server("web01", Health::Ok, vec![login()]),
            server("web02", Health::EndsSoon, two),
            refused("web04"),
        ];
        let expected = "\
web01    ok       https://web01.example.net:2087 (whm): certificate by R11 (Let's Encrypt), 61 days left; token of root accepted, its end is unknown; 25 accounts, 1,143 domains; 84 ms
web02    SOON     https://web02.example.net:2087 (2 logins): certificate by R11 (Let's Encrypt), 61 days left; 84 ms
  web01  ok       root (whm): token of root accepted, its end is unknown; 25 accounts, 1,143 domains
  shop   SOON     shopu (cpanel): token of shopu accepted, it ends in 5 days, on 2026-11-28; 1 domain. To do: put a new token of shopu into shop.token
web04    REFUSED  https://web04.example.net:2087 (whm): certificate by R11 (Let's Encrypt), 61 days left; the server refused the credential: HTTP 401: Access denied. To do: put a new token of root into /etc/web04.token
3 servers: 1 not sound, 1 to look after
";
        assert_eq!(text(&checkup(all.to_vec())), expected);
    }

    #[test]
    fn on_a_terminal_lines_are_broken_below_the_text() {
        let broken = check(&checkup(vec![refused("web04")]), false, Style { colour: true }, Some(80));
        let plain = broken.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
        assert!(broken.starts_with("\u{1b}[31mweb04"), "{broken}");
        assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
        assert!(plain.lines().nth(1).is_some_and(|line| line.starts_with(&" ".repeat(16))), "{plain}");
    }

    #[test]
    fn what_is_known_of_ends_is_told_as_it_is() {
        let told = |token_end| {
            let login = LoginCheckup { token_end, ..login() };
            text(&checkup(vec![server("web01", Health::Ok, vec![login])]))
        };
        let at = |days, among| TokenEnd::At { end: end(days), among, ends_soon: true };
        assert!(told(TokenEnd::Never).contains("accepted, it has no end"));
        assert!(told(at(1, 1)).contains("it ends in 1 day, on 2026-11-24"), "{}", told(at(1, 1)));
        assert!(told(at(3, 4)).contains("one of 4 tokens ends in 3 days, on"));
        assert!(told(at(0, 1)).contains("it ends in less than a day, at 2026-11-23T19:01:00.000Z"));
        let mut server =
            server("web01", Health::Ok, vec![LoginCheckup { credential: "password", ..login() }]);
        server.tls.trust = Trust::Pin;
        let told = text(&checkup(vec![server.clone()]));
        assert!(told.contains("pinned key") && told.contains("does not count"), "{told}");
        assert!(told.contains("password of root accepted;"), "{told}");
        server.tls.trust = Trust::None;
        assert!(text(&checkup(vec![server])).contains(": no TLS; "));
    }

    #[test]
    fn quiet_says_nothing_if_all_is_well_and_at_most_fifteen_lines_if_not() {
        let well = server("web01", Health::Ok, vec![login()]);
        assert_eq!(check_quiet(&checkup(vec![well.clone()])), "");
        for bad in [1, 14, 15, 200] {
            let mut servers = vec![well.clone()];
            servers.extend((0..bad).map(|n| refused(&format!("bad{n}"))));
            let told = check_quiet(&checkup(servers));
            assert!(told.lines().count() <= 15 && !told.contains("web01"), "{told}");
            assert_eq!(told.contains("more without -q"), bad > 14);
        }
    }

    #[test]
    fn nothing_in_a_fault_reaches_the_terminal_as_an_order() {
        let mut server = refused("web\u{1b}[2J");
        server.logins[0].error = Some("a\u{1b}]0;x\u{7}\nb".to_owned());
        server.logins[0].tokens = vec![TokenLine { name: "\u{1b}c".to_owned(), ends_at: None }];
        let told = check(&checkup(vec![server]), true, Style::PLAIN, None);
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
        assert_eq!(told.lines().count(), 4, "{told}");
    }
}
