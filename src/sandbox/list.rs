//! The two lists of mailboxes, with the odd types that servers send; and the lists of an account's
//! domains and tokens, whose fields are documented and whose values are made up.
//!
//! Flags come as 0 and 1, in some rows as strings; a login that is allowed is null in most rows. The
//! disk fields are what a careless reader stumbles over: numbers, strings, words and no-break
//! spaces. Which row is odd in which way depends on the mailbox's name alone, so that a list read
//! twice reads the same.
//!
//! `domain`, `email` and `maxaccounts` are heeded. `regex` is not: a server's filter may return
//! neighbours, and this one returns them all.

use super::answer::{quote, quote_inside};
use super::asked::Call;
use super::world::{AccountId, MailboxState, SlotId, World};
use crate::domain::Flags;

const MAIN: &str = "Main Account";

/// The rows of `list_pops`.
pub(super) fn pops(world: &World, account: AccountId, call: &Call) -> Vec<u8> {
    let mut rows = Rows::new();
    each(world, account, call, |domain, slot| {
        let state = world.state(slot);
        rows.open();
        rows.address("email", world.name(slot), domain);
        rows.address("login", world.name(slot), domain);
        rows.plain("suspended_login", digit(state.flags.login));
        rows.plain("suspended_incoming", digit(state.flags.incoming));
        rows.close();
    });
    if !call.is_set("skip_main") && !is_narrowed(call) {
        rows.open();
        rows.text("email", &world.accounts[account.0 as usize].user);
        rows.text("login", MAIN);
        rows.plain("suspended_login", "0");
        rows.plain("suspended_incoming", "0");
        rows.close();
    }
    rows.end()
}

/// The rows of `list_pops_with_disk`.
pub(super) fn pops_with_disk(world: &World, account: AccountId, call: &Call) -> Vec<u8> {
    let restrictions = call.is_set("get_restrictions");
    let disk = !call.is_set("no_disk");
    let mut rows = Rows::new();
    each(world, account, call, |domain, slot| {
        let name = world.name(slot);
        rows.open();
        rows.address("email", name, domain);
        rows.address("login", name, domain);
        rows.text("user", name);
        rows.text("domain", domain);
        if restrictions {
            rows.restrictions(world.state(slot), Manner::of(name));
        }
        if disk {
            rows.disk(Manner::of(name));
        }
        rows.close();
    });
    if !is_narrowed(call) {
        let main = &world.accounts[account.0 as usize];
        rows.open();
        rows.text("email", MAIN);
        rows.text("login", &main.user);
        rows.text("user", &main.user);
        let domain = main.domains.first().map_or("", |&id| &world.domains[id as usize].name);
        rows.text("domain", domain);
        if restrictions {
            rows.restrictions(MailboxState::default(), Manner::Numbers);
        }
        if disk {
            rows.disk(Manner::Numbers);
        }
        rows.close();
    }
    rows.end()
}

/// The rows of `list_mail_domains`.
pub(super) fn domains(world: &World, account: AccountId) -> Vec<u8> {
    let mut rows = Rows::new();
    for &id in &world.accounts[account.0 as usize].domains {
        rows.open();
        rows.text("domain", &world.domains[id as usize].name);
        rows.close();
    }
    rows.end()
}

/// When all tokens were made, in seconds since 1970.
const TOKENS_MADE: &str = "1767225600";

/// The rows of `Tokens::list`: the one that an account has.
pub(super) fn tokens(world: &World, account: AccountId) -> Vec<u8> {
    let account = &world.accounts[account.0 as usize];
    let mut rows = Rows::new();
    if !account.token.is_empty() {
        rows.open();
        rows.text("name", "mailsweep");
        rows.plain("create_time", TOKENS_MADE);
        rows.plain("expires_at", &account.token_expires.map_or("null".to_owned(), |time| time.to_string()));
        rows.plain("features", "null");
        rows.plain("has_full_access", "1");
        rows.close();
    }
    rows.end()
}

fn is_narrowed(call: &Call) -> bool {
    filter(call, "domain").is_some() || filter(call, "email").is_some()
}

fn filter<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.get(name).filter(|value| !value.is_empty())
}

/// Calls `row` with the domain and place of each mailbox that the call asks for.
fn each(world: &World, account: AccountId, call: &Call, mut row: impl FnMut(&str, SlotId)) {
    let mut left = filter(call, "maxaccounts").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let (email, domain) = (filter(call, "email"), filter(call, "domain"));
    let whole = email.filter(|email| email.contains('@')).map(str::to_owned);
    let whole = whole.or_else(|| Some(format!("{}@{}", email?, domain?)));
    if let Some(address) = whole {
        let slot = world.find(&address).filter(|&slot| world.account_of(slot) == account);
        if let (Some(slot), Some((_, domain)), true) = (slot, address.rsplit_once('@'), left > 0) {
            row(&domain.to_ascii_lowercase(), slot);
        }
        return;
    }
    let all = &world.accounts[account.0 as usize].domains;
    let one = domain.map(|name| world.domain_named(&name.to_ascii_lowercase()));
    let domains: Vec<_> = match one {
        Some(found) => found.into_iter().filter(|found| found.account == account.0).collect(),
        None => all.iter().map(|&id| &world.domains[id as usize]).collect(),
    };
    for domain in domains {
        for slot in World::slots_of(domain) {
            if email.is_some_and(|email| !email.eq_ignore_ascii_case(world.name(slot))) {
                continue;
            }
            if left == 0 {
                return;
            }
            left -= 1;
            row(&domain.name, slot);
        }
    }
}

/// In which way a row's types are odd.
#[derive(Clone, Copy)]
enum Manner {
    Numbers,
    Nulls,
    Strings,
    Mixed,
}

impl Manner {
    fn of(name: &str) -> Manner {
        match name.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 5 {
            0 => Manner::Numbers,
            1 | 2 => Manner::Nulls,
            3 => Manner::Strings,
            _ => Manner::Mixed,
        }
    }
}

fn digit(flag: bool) -> &'static str {
    if flag { "1" } else { "0" }
}

fn digit_text(flag: bool) -> &'static str {
    if flag { "\"1\"" } else { "\"0\"" }
}

/// A JSON list of objects in the making.
struct Rows {
    json: Vec<u8>,
    /// Whether nothing stands before the next row, or the next field of this row.
    first: bool,
}

impl Rows {
    fn new() -> Rows {
        Rows { json: vec![b'['], first: true }
    }

    fn open(&mut self) {
        self.comma();
        self.json.push(b'{');
        self.first = true;
    }

    fn close(&mut self) {
        self.json.push(b'}');
        self.first = false;
    }

    fn end(mut self) -> Vec<u8> {
        self.json.push(b']');
        self.json
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.json.push(b',');
        }
    }

    /// A key, of which there is none that would have to be escaped.
    fn key(&mut self, key: &str) {
        self.comma();
        self.json.push(b'"');
        self.json.extend_from_slice(key.as_bytes());
        self.json.extend_from_slice(b"\":");
    }

    /// A field whose value is JSON as it is.
    fn plain(&mut self, key: &str, json: &str) {
        self.key(key);
        self.json.extend_from_slice(json.as_bytes());
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        quote(text, &mut self.json);
    }

    fn address(&mut self, key: &str, name: &str, domain: &str) {
        self.key(key);
        self.json.push(b'"');
        quote_inside(name, &mut self.json);
        self.json.push(b'@');
        quote_inside(domain, &mut self.json);
        self.json.push(b'"');
    }

    fn restrictions(&mut self, MailboxState { flags, .. }: MailboxState, manner: Manner) {
        let Flags { login, incoming, outgoing, held } = flags;
        let odd = match manner {
            Manner::Numbers | Manner::Nulls => digit,
            Manner::Strings | Manner::Mixed => digit_text,
        };
        let even = if matches!(manner, Manner::Strings) { digit_text } else { digit };
        let login_json = match manner {
            Manner::Nulls | Manner::Mixed if !login => "null",
            _ => even(login),
        };
        self.plain("suspended_login", login_json);
        self.plain("suspended_incoming", odd(incoming));
        self.plain("suspended_outgoing", even(outgoing));
        self.plain("hold_outgoing", odd(held));
        self.plain("has_suspended", even(login || incoming || outgoing || held));
    }

    fn disk(&mut self, manner: Manner) {
        let (used, quota, shown) = match manner {
            Manner::Numbers => ("12.5", "250", "\"12.5\u{a0}MB\""),
            Manner::Nulls => ("null", "\"unlimited\"", "\"None\""),
            Manner::Strings => ("\"246.23\"", "\"∞\"", "\"246.23\u{a0}MB\""),
            Manner::Mixed => ("\"1.2e-05\"", "\"unlimited\"", "\"12\u{a0}bytes\""),
        };
        self.plain("diskused", used);
        self.plain("diskquota", quota);
        self.plain("humandiskused", shown);
        self.plain("diskusedpercent_float", "0");
        self.plain("mtime", "\"1617235200\"");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn world() -> World {
        let mut world = World::for_mailboxes(
            "exampleu",
            "t",
            ["alice@example.com", "bob@example.com", "alice@example.net"],
        );
        let flags = Flags { login: true, incoming: false, outgoing: true, held: true };
        world.set_mailbox("bob@example.com", MailboxState { flags, ..MailboxState::default() });
        world.add_account("other", "t", "p").unwrap();
        world.add_mailbox("other", "carol@example.org").unwrap();
        world
    }

    fn rows(with_disk: bool, params: &[(&str, &str)]) -> Vec<Value> {
        let (world, call) = (world(), Call::new("Email", "", params));
        let account = world.account("exampleu").unwrap();
        let json =
            if with_disk { pops_with_disk(&world, account, &call) } else { pops(&world, account, &call) };
        serde_json::from_slice(&json).unwrap()
    }

    fn emails(params: &[(&str, &str)]) -> Vec<String> {
        rows(true, params).iter().map(|row| row["email"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn list_pops_has_two_flags_and_the_main_account_by_its_user_name() {
        let rows_of = rows(false, &[]);
        assert_eq!(
            rows_of[1],
            json!({"email":"bob@example.com","login":"bob@example.com","suspended_login":1,"suspended_incoming":0})
        );
        assert_eq!(
            rows_of[3],
            json!({"email":"exampleu","login":"Main Account","suspended_login":0,"suspended_incoming":0})
        );
        assert_eq!(rows(false, &[("skip_main", "1")]).len(), 3);
    }

    #[test]
    fn restrictions_come_only_when_asked_for() {
        let row = &rows(true, &[("no_disk", "1")])[1];
        assert_eq!(
            *row,
            json!({"email":"bob@example.com","login":"bob@example.com","user":"bob","domain":"example.com"})
        );
        let rows = rows(true, &[("no_disk", "1"), ("get_restrictions", "1")]);
        let keys: Vec<_> = rows[1].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "domain",
                "email",
                "has_suspended",
                "hold_outgoing",
                "login",
                "suspended_incoming",
                "suspended_login",
                "suspended_outgoing",
                "user",
            ]
        );
        assert_eq!(
            rows[3],
            json!({"email":"Main Account","login":"exampleu","user":"exampleu","domain":"example.com",
                "suspended_login":0,"suspended_incoming":0,"suspended_outgoing":0,"hold_outgoing":0,"has_suspended":0})
        );
    }

    #[test]
    fn filters_narrow_to_domain_or_address_and_regex_returns_neighbours() {
        let all = ["alice@example.com", "bob@example.com", "alice@example.net", "Main Account"];
        assert_eq!(emails(&[]), all);
        assert_eq!(emails(&[("regex", "/^bob$/")]), all);
        assert_eq!(emails(&[("domain", "EXAMPLE.com")]), all[..2]);
        assert_eq!(emails(&[("domain", "example.com"), ("email", "bob")]), ["bob@example.com"]);
        assert_eq!(emails(&[("email", "Bob@example.com")]), ["bob@example.com"]);
        assert_eq!(emails(&[("email", "alice")]), ["alice@example.com", "alice@example.net"]);
        assert_eq!(emails(&[("maxaccounts", "1"), ("domain", "example.com")]), all[..1]);
        for nothing in [("domain", "example.org"), ("domain", "nowhere"), ("email", "carol@example.org")] {
            assert_eq!(emails(&[nothing]), [""; 0], "{nothing:?}");
        }
    }

    #[test]
    fn all_the_odd_types_occur_and_read_as_what_they_mean() {
        let names: Vec<String> = (0..60).map(|i| format!("m{i}@example.com")).collect();
        let mut world = World::for_mailboxes("u", "t", names.iter().map(String::as_str));
        let flags = Flags { login: true, incoming: true, outgoing: false, held: false };
        for name in names.iter().step_by(2) {
            world.set_mailbox(name, MailboxState { flags, ..MailboxState::default() });
        }
        let call = Call::new("Email", "", &[("get_restrictions", "1")]);
        let json = pops_with_disk(&world, world.account("u").unwrap(), &call);
        let rows: Vec<Value> = serde_json::from_slice(&json).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for (i, row) in rows[..60].iter().enumerate() {
            for (key, on) in [
                ("suspended_login", i % 2 == 0),
                ("suspended_incoming", i % 2 == 0),
                ("hold_outgoing", false),
            ] {
                let value = &row[key];
                let read = *value == json!(1) || *value == json!("1");
                assert!(
                    read || *value == json!(0)
                        || *value == json!("0")
                        || (key == "suspended_login" && value.is_null())
                );
                assert_eq!(read, on, "{key} of {row}");
                seen.insert(value.to_string());
            }
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["\"0\"", "\"1\"", "0", "1", "null"]);
    }
}
