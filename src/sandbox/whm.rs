//! WHM's side: its own functions, and the ways by which it reaches the accounts'.
//!
//! The shapes of `uapi_cpanel`, `batch` and `getdomainowner`, the two failures of a named account
//! and the nested answer of `cpanel` are recorded or documented. Made up, since nobody has recorded
//! them: the answer without `api.version=1`, the words for an unknown function, a missing parameter,
//! a suspended account and another reseller's account, the shape of API 2's refusal, the values of
//! `get_domain_info` beside domain and user, and what stops a batch with `abort_on_error`.

use std::io;

use super::answer::quote;
use super::asked::{Asked, Call, Calls, Way};
use super::owners::WhmId;
use super::script::Fault;
use super::state::{Answered, Course, State};
use super::world::{AccountId, World};

/// How a call went, as an item of a batch has it.
struct Item {
    json: Vec<u8>,
    /// What the metadata say.
    outcome: Result<(), String>,
    carried_out: bool,
    had_effect: bool,
}

impl Item {
    /// An answer with metadata around its data.
    fn new(command: &str, outcome: Result<(), String>, data: Option<&[u8]>) -> Item {
        let mut json = vec![b'{'];
        if let Some(data) = data {
            json.extend_from_slice(br#""data":"#);
            json.extend_from_slice(data);
            json.push(b',');
        }
        json.extend_from_slice(br#""metadata":{"command":"#);
        quote(command, &mut json);
        json.extend_from_slice(br#","reason":"#);
        quote(reason(&outcome), &mut json);
        json.extend_from_slice(
            format!(r#","result":{},"version":1}}}}"#, u8::from(outcome.is_ok())).as_bytes(),
        );
        Item { json, outcome, carried_out: false, had_effect: false }
    }

    fn ok(command: &str, data: &[u8]) -> Item {
        Item { carried_out: true, ..Item::new(command, Ok(()), Some(data)) }
    }

    fn failed(command: &str, reason: impl Into<String>) -> Item {
        Item::new(command, Err(reason.into()), None)
    }

    /// Of a function that has `data` null where it fails.
    fn refused(command: &str, reason: &str) -> Item {
        Item::new(command, Err(reason.to_owned()), Some(b"null"))
    }

    /// An answer of its own shape, without metadata.
    fn bare(json: Vec<u8>) -> Item {
        Item { json, outcome: Ok(()), carried_out: false, had_effect: false }
    }
}

fn reason(outcome: &Result<(), String>) -> &str {
    outcome.as_ref().map_or_else(String::as_str, |()| "OK")
}

/// Answers what a user of WHM asks.
///
/// # Errors
/// A change could not be written down.
pub(super) fn answer(
    state: &mut State,
    user: WhmId,
    asked: &Asked,
    course: Course<'_>,
) -> io::Result<Answered> {
    let Item { mut json, outcome, carried_out, had_effect } = item(state, user, asked, course)?;
    let is_old = !matches!(asked.call.way, Way::Cpanel { .. }) && asked.call.get("api.version") != Some("1");
    if is_old {
        // The call is carried out all the same: it is the answer that has another form.
        json = format!(r#"{{"result":[{{"status":{},"statusmsg":"#, u8::from(outcome.is_ok())).into_bytes();
        quote(reason(&outcome), &mut json);
        json.extend_from_slice(b"}]}");
    }
    Ok(Answered { body: json.into(), carried_out, had_effect })
}

fn item(state: &mut State, user: WhmId, asked: &Asked, course: Course<'_>) -> io::Result<Item> {
    match asked.call.way {
        Way::UapiCpanel => uapi_cpanel(state, user, asked, course),
        Way::Cpanel { is_uapi } => cpanel(state, user, asked, is_uapi, course),
        Way::Whm | Way::Execute => own(state, user, asked, course),
    }
}

/// The account that a call names, if this user may have it.
fn account(world: &World, user: WhmId, call: &Call) -> Result<AccountId, String> {
    let name = call.account.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err("Provide the “cpanel.user” parameter.".to_owned());
    }
    let id = world.account(name).ok_or_else(|| format!("You do not have a user named “{name}”."))?;
    if !world.sees(user, id) {
        return Err(format!("You do not have access to an account named “{name}”."));
    }
    // How UAPI behaves for a suspended account is not known: it may as well answer as ever.
    if world.accounts[id.0 as usize].suspended {
        return Err(format!("The account “{name}” is suspended."));
    }
    Ok(id)
}

fn uapi_cpanel(state: &mut State, user: WhmId, asked: &Asked, course: Course<'_>) -> io::Result<Item> {
    let account = match account(&state.world, user, &asked.call) {
        Ok(account) => account,
        Err(reason) => return Ok(Item::failed("uapi_cpanel", reason)),
    };
    let done = state.uapi(account, asked, course)?;
    let mut data = br#"{"uapi":"#.to_vec();
    done.envelope.write(&mut data);
    data.push(b'}');
    let (carried_out, had_effect) = (done.carried_out, done.had_effect);
    // An inner failure leaves the outside as it is.
    Ok(Item { carried_out, had_effect, ..Item::ok("uapi_cpanel", &data) })
}

fn cpanel(
    state: &mut State,
    user: WhmId,
    asked: &Asked,
    is_uapi: bool,
    course: Course<'_>,
) -> io::Result<Item> {
    let call = &asked.call;
    // A third shape, recorded for an account that is missing; for one that is not to be had, guessed.
    let Ok(account) = account(&state.world, user, call) else {
        return Ok(Item::bare(NO_SUCH_USER.as_bytes().to_vec()));
    };
    let (mut json, mut carried_out, mut had_effect) = (Vec::new(), false, false);
    if is_uapi {
        json.extend_from_slice(br#"{"apiversion":3,"func":"#);
        quote(&call.function, &mut json);
        json.extend_from_slice(br#","module":"#);
        quote(&call.module, &mut json);
        json.extend_from_slice(br#","result":"#);
        let done = state.uapi(account, asked, course)?;
        (carried_out, had_effect) = (done.carried_out, done.had_effect);
        done.envelope.write(&mut json);
        json.push(b'}');
    } else {
        // API 2 has none of the functions that are of use here.
        let error = format!("Could not find function “{}” in module “{}”", call.function, call.module);
        json.extend_from_slice(br#"{"cpanelresult":{"apiversion":2,"func":"#);
        quote(&call.function, &mut json);
        json.extend_from_slice(br#","module":"#);
        quote(&call.module, &mut json);
        json.extend_from_slice(br#","error":"#);
        quote(&error, &mut json);
        json.extend_from_slice(br#","event":{"result":0,"reason":"#);
        quote(&error, &mut json);
        json.extend_from_slice(b"},\"data\":[]}}");
    }
    Ok(Item { carried_out, had_effect, ..Item::bare(json) })
}

const NO_SUCH_USER: &str = r#"{"data":{"reason":"User parameter is invalid or was not supplied","result":"0"},"type":"text","error":"User parameter is invalid or was not supplied"}"#;

/// WHM's own functions.
fn own(state: &mut State, user: WhmId, asked: &Asked, course: Course<'_>) -> io::Result<Item> {
    let call = &asked.call;
    let name = call.function.as_str();
    if let Some(Fault::ApiFailure(text)) = course.fault {
        return Ok(Item::refused(name, text));
    }
    Ok(match (name, &asked.calls) {
        ("batch", Calls::Whm(items)) => return batch(state, user, call, items, course),
        ("get_domain_info", _) if state.refuse_domain_info => Item::refused(name, "Access denied"),
        ("get_domain_info", _) => Item::ok(name, &domains(&state.world, user)),
        ("getdomainowner", _) => match call.domain() {
            None | Some("") => Item::refused(name, "Provide the “domain” parameter."),
            Some(domain) => {
                let mut data = br#"{"user":"#.to_vec();
                match owner(&state.world, user, domain) {
                    Some(user) => quote(user, &mut data),
                    // Not here and not visible look the same, and both are a success.
                    None => data.extend_from_slice(b"null"),
                }
                data.push(b'}');
                Item::ok(name, &data)
            }
        },
        _ => Item::failed(name, format!("Unknown app (“{name}”) requested for this version (1) of the API.")),
    })
}

fn owner<'a>(world: &'a World, user: WhmId, domain: &str) -> Option<&'a str> {
    let account = AccountId(world.domain_named(&domain.to_ascii_lowercase())?.account);
    world.sees(user, account).then(|| world.accounts[account.0 as usize].user.as_str())
}

/// All domains of the accounts that this user sees.
fn domains(world: &World, user: WhmId) -> Vec<u8> {
    let mut json = br#"{"domains":["#.to_vec();
    let mut rows = 0;
    for id in (0..).map(AccountId).take(world.accounts.len()).filter(|&id| world.sees(user, id)) {
        let account = &world.accounts[id.0 as usize];
        let mut names = account.domains.iter().map(|&id| &*world.domains[id as usize].name);
        let Some(main) = names.next() else { continue };
        for (domain, kind) in std::iter::once((main, "main")).chain(names.map(|name| (name, "addon"))) {
            json.extend_from_slice(if rows == 0 { b"{" } else { b",{" });
            rows += 1;
            for (key, value) in [
                ("domain", domain),
                ("domain_type", kind),
                ("user", account.user.as_str()),
                ("user_owner", account.owner()),
                ("parent_domain", main),
                ("docroot", "/home/none/public_html"),
                ("ipv4", "192.0.2.10"),
                ("ipv4_ssl", "192.0.2.10"),
                // Numbers often come as text.
                ("port", "80"),
                ("port_ssl", "443"),
                ("php_version", "ea-php83"),
            ] {
                quote(key, &mut json);
                json.push(b':');
                quote(value, &mut json);
                json.push(b',');
            }
            json.extend_from_slice(br#""ipv6":null,"ipv6_is_dedicated":0,"modsecurity_enabled":1}"#);
        }
    }
    json.extend_from_slice(b"]}");
    json
}

/// Calls one after the other. What fails stops the rest only if that was asked for.
fn batch(
    state: &mut State,
    user: WhmId,
    call: &Call,
    items: &[Asked],
    course: Course<'_>,
) -> io::Result<Item> {
    let mut data = br#"{"result":["#.to_vec();
    let (mut failed, mut carried_out, mut had_effect) = (false, false, false);
    for (index, asked) in items.iter().enumerate() {
        let fault = match course.fault {
            Some(Fault::NoEffect) => Some(Fault::NoEffect),
            _ => state.faults.for_command(&asked.call),
        };
        let course = Course { fault: fault.as_ref(), ..course };
        let item = item(state, user, asked, course)?;
        state.note_command(index, &asked.call, (item.carried_out, item.had_effect), course);
        if index > 0 {
            data.push(b',');
        }
        data.extend_from_slice(&item.json);
        carried_out |= item.carried_out;
        had_effect |= item.had_effect;
        failed |= item.outcome.is_err();
        if failed && call.is_set("abort_on_error") {
            break;
        }
    }
    data.extend_from_slice(b"]}");
    let outcome = match (items.is_empty(), failed) {
        (true, _) => Err("Provide the “command” parameter.".to_owned()),
        (_, true) => Err("One or more commands failed.".to_owned()),
        _ => Ok(()),
    };
    Ok(Item { carried_out, had_effect, ..Item::new("batch", outcome, Some(&data)) })
}
