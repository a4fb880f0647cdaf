//! What a request asks for, taken from its path, query and form.
//!
//! A request comes by one of four ways (see [`Way`]); what an account is to do is the same call by
//! each of them. A path that is none of the API's asks for nothing. Parameters are kept as they came; of a name
//! that comes twice the first counts, except `command` of a batch, which is a list.

use serde_json::Value;

use super::gate::Side;

/// By which way a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `/execute/MODULE/FUNCTION`, or as a command of `Batch::strict`.
    Execute,
    /// WHM's `uapi_cpanel`.
    UapiCpanel,
    /// WHM's older `cpanel`. UAPI is its API 3; it means another one if nothing is said.
    Cpanel { is_uapi: bool },
    /// It is a function of WHM itself.
    Whm,
}

impl Way {
    /// The function of WHM that carries the call.
    pub fn command(self) -> Option<&'static str> {
        match self {
            Way::UapiCpanel => Some("uapi_cpanel"),
            Way::Cpanel { .. } => Some("cpanel"),
            Way::Execute | Way::Whm => None,
        }
    }

    pub fn side(self) -> Side {
        match self {
            Way::Execute => Side::Cpanel,
            Way::UapiCpanel | Way::Cpanel { .. } | Way::Whm => Side::Whm,
        }
    }
}

/// What stands for the module of WHM's own functions.
const WHM_MODULE: &str = "WHM";

/// One function to be called.
pub(super) struct Call {
    pub way: Way,
    /// The account that a call through WHM names.
    pub account: Option<String>,
    pub module: String,
    pub function: String,
    params: Vec<(String, String)>,
}

/// What one request asks for.
pub(super) struct Asked {
    /// The function that the path names.
    pub call: Call,
    pub calls: Calls,
}

/// Whether the function is itself, or a list of others.
pub(super) enum Calls {
    /// Itself.
    One,
    /// WHM's `batch`.
    Whm(Vec<Asked>),
    /// `Batch::strict`.
    Strict {
        /// What is to be called, in order, up to the first command that cannot be read.
        commands: Vec<Call>,
        /// What is wrong with the command behind these.
        broken: Option<String>,
    },
}

impl Call {
    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter that is yes or no is yes.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    /// The address that the call is about.
    pub fn email(&self) -> Option<&str> {
        self.get("email")
    }

    /// The domain that a call is about.
    pub fn domain(&self) -> Option<&str> {
        self.get("domain")
    }

    /// A call of a function of WHM, or by it of a function of UAPI.
    fn of_whm(command: &str, params: Vec<(String, String)>) -> Call {
        let call = Call {
            way: Way::Whm,
            account: None,
            module: WHM_MODULE.to_owned(),
            function: command.to_owned(),
            params,
        };
        let given = |name: &str| call.get(name).map(str::to_owned);
        match command {
            "uapi_cpanel" => Call {
                way: Way::UapiCpanel,
                account: given("cpanel.user"),
                module: given("cpanel.module").unwrap_or_default(),
                function: given("cpanel.function").unwrap_or_default(),
                ..call
            },
            "cpanel" => Call {
                way: Way::Cpanel { is_uapi: call.get("cpanel_jsonapi_apiversion") == Some("3") },
                account: given("cpanel_jsonapi_user"),
                module: given("cpanel_jsonapi_module").unwrap_or_default(),
                function: given("cpanel_jsonapi_func").unwrap_or_default(),
                ..call
            },
            _ => call,
        }
    }

    #[cfg(test)]
    pub fn new(module: &str, function: &str, params: &[(&str, &str)]) -> Call {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let params = params.iter().map(own).collect();
        Call { way: Way::Execute, account: None, module: module.into(), function: function.into(), params }
    }
}

impl Asked {
    /// Reads a request; `None` if the path is not of the form `/execute/MODULE/FUNCTION` or
    /// `/json-api/FUNCTION`.
    pub fn read(path: &str, query: Option<&str>, form: &[u8]) -> Option<Asked> {
        let query = query.unwrap_or_default().as_bytes();
        let params = || pairs(query).chain(pairs(form)).collect();
        if let Some(command) = path.strip_prefix("/json-api/") {
            let is_name = !command.is_empty() && !command.contains('/');
            return is_name.then(|| Asked::of(Call::of_whm(command, params())));
        }
        let (module, function) = path.strip_prefix("/execute/")?.split_once('/')?;
        if module.is_empty() || function.is_empty() || function.contains('/') {
            return None;
        }
        let (module, function) = (module.to_owned(), function.to_owned());
        Some(Asked::of(Call { way: Way::Execute, account: None, module, function, params: params() }))
    }

    /// What calling this function asks for.
    pub fn of(call: Call) -> Asked {
        let calls = match (call.way, call.module.as_str(), call.function.as_str()) {
            (Way::Whm, _, "batch") => Calls::Whm(items(&call.params)),
            (Way::Whm, ..) => Calls::One,
            (_, "Batch", "strict") => commands(&call.params),
            _ => Calls::One,
        };
        Asked { call, calls }
    }

    /// Whether it is a list of calls.
    pub fn is_list(&self) -> bool {
        !matches!(self.calls, Calls::One)
    }

    /// The calls in a list, and those in the lists in it.
    pub fn inner(&self) -> Vec<&Call> {
        match &self.calls {
            Calls::One => Vec::new(),
            Calls::Strict { commands, .. } => commands.iter().collect(),
            Calls::Whm(items) => {
                items.iter().flat_map(|item| std::iter::once(&item.call).chain(item.inner())).collect()
            }
        }
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// The values of `command` of WHM's `batch`: each a function and its query, which is still encoded
/// when the form's own encoding has been taken off. A batch in a batch asks for no more than itself.
fn items(params: &[(String, String)]) -> Vec<Asked> {
    let texts = params.iter().filter(|(name, _)| name == "command").map(|(_, value)| value);
    let item = |text: &String| {
        let (command, query) = text.split_once('?').unwrap_or((text, ""));
        let call = Call::of_whm(command, pairs(query.as_bytes()).collect());
        if command == "batch" { Asked { call, calls: Calls::One } } else { Asked::of(call) }
    };
    texts.map(item).collect()
}

/// The values of `command`, `command-0`, `command-1`, …, in the order of their numbers.
fn commands(params: &[(String, String)]) -> Calls {
    let mut numbered: Vec<(usize, &str)> = Vec::new();
    for (name, value) in params {
        match name.strip_prefix("command") {
            Some("") => numbered.push((numbered.len(), value)),
            Some(rest) => {
                if let Some(number) = rest.strip_prefix('-').and_then(|n| n.parse().ok()) {
                    numbered.push((number, value));
                }
            }
            None => {}
        }
    }
    numbered.sort_by_key(|&(number, _)| number);
    let mut commands = Vec::with_capacity(numbered.len());
    let mut broken = numbered.is_empty().then(|| "Provide the command".to_owned());
    for (number, text) in numbered {
        match command(text) {
            Some(call) => commands.push(call),
            None => {
                broken = Some(format!("The command “{number}” is not a list of a module and a function."));
                break;
            }
        }
    }
    Calls::Strict { commands, broken }
}

/// `["Email","suspend_login",{"email":"a@example.com"}]`; the last of the three may be missing.
fn command(text: &str) -> Option<Call> {
    let Ok(Value::Array(items)) = serde_json::from_str(text) else { return None };
    let (module, function, arguments) = match &items[..] {
        [Value::String(module), Value::String(function)] => (module, function, None),
        [Value::String(module), Value::String(function), Value::Object(arguments)] => {
            (module, function, Some(arguments))
        }
        _ => return None,
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let params = arguments.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
    let (module, function) = (module.clone(), function.clone());
    Some(Call { way: Way::Execute, account: None, module, function, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_from_query_and_form() {
        let asked = Asked::read("/execute/Email/suspend_login", Some("email=a%2Bb%40example.com&x=1"), b"");
        let call = asked.unwrap().call;
        assert_eq!((call.module.as_str(), call.function.as_str()), ("Email", "suspend_login"));
        assert_eq!(call.email(), Some("a+b@example.com"));
        let form = b"email=c%40example.com&no_disk=1";
        let call = Asked::read("/execute/Email/list_pops", None, form).unwrap().call;
        assert_eq!(call.email(), Some("c@example.com"));
        assert!(call.is_set("no_disk") && !call.is_set("get_restrictions"));
    }

    #[test]
    fn other_paths_ask_for_nothing() {
        for path in [
            "/",
            "/json-api",
            "/json-api/",
            "/json-api/a/b",
            "/execute",
            "/execute/Email",
            "/execute/Email/",
            "/execute//x",
            "/execute/a/b/c",
        ] {
            assert!(Asked::read(path, None, b"").is_none(), "{path}");
        }
    }

    #[test]
    fn a_call_through_whm_names_its_account_and_keeps_its_parameters() {
        let query =
            "api.version=1&cpanel.user=u&cpanel.module=Email&cpanel.function=hold_outgoing&email=a%40x";
        let new = Asked::read("/json-api/uapi_cpanel", Some(query), b"").unwrap().call;
        let form = b"cpanel_jsonapi_user=u&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=hold_outgoing\
            &cpanel_jsonapi_apiversion=3&email=a%40x";
        let old = Asked::read("/json-api/cpanel", None, form).unwrap().call;
        for call in [&new, &old] {
            assert_eq!((call.module.as_str(), call.function.as_str()), ("Email", "hold_outgoing"));
            assert_eq!((call.account.as_deref(), call.email()), (Some("u"), Some("a@x")));
        }
        assert_eq!((new.way, old.way), (Way::UapiCpanel, Way::Cpanel { is_uapi: true }));
        let other = Asked::read("/json-api/cpanel", Some("cpanel_jsonapi_apiversion=2"), b"").unwrap().call;
        assert_eq!(other.way, Way::Cpanel { is_uapi: false });
        let own = Asked::read("/json-api/getdomainowner", Some("domain=x.org"), b"").unwrap().call;
        assert_eq!(
            (own.way, own.function.as_str(), own.domain()),
            (Way::Whm, "getdomainowner", Some("x.org"))
        );
    }

    #[test]
    fn the_commands_of_whms_batch_are_encoded_twice() {
        let once = "uapi_cpanel?cpanel.user=u&cpanel.module=Email&cpanel.function=f&email=a%2Bb%40x";
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("command", once)
            .append_pair("command", "batch?command=x")
            .append_pair("command", "");
        let asked = Asked::read("/json-api/batch", None, form.finish().as_bytes()).unwrap();
        let inner = asked.inner();
        assert_eq!((inner.len(), inner[0].email(), inner[0].function.as_str()), (3, Some("a+b@x"), "f"));
        assert_eq!((inner[1].function.as_str(), inner[2].function.as_str()), ("batch", ""));
    }

    fn batch(pairs: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let asked = Asked::of(Call::new("Batch", "strict", pairs));
        let Calls::Strict { commands, broken } = asked.calls else { panic!("not a batch") };
        (commands.iter().map(|c| format!("{}::{}", c.module, c.function)).collect(), broken)
    }

    #[test]
    fn commands_come_plain_or_numbered() {
        let (a, b) = (r#"["Email","a",{"email":"x","n":1}]"#, r#"["Email","b"]"#);
        assert_eq!(batch(&[("command", a), ("command", b)]).0, ["Email::a", "Email::b"]);
        let ten: Vec<_> = (0..10).map(|i| (format!("command-{i}"), format!(r#"["M","f{i}"]"#))).collect();
        let mut pairs: Vec<_> = ten.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pairs.push(("command-10", a));
        pairs.reverse();
        let (names, broken) = batch(&pairs);
        assert_eq!((names[2].as_str(), names[10].as_str(), broken), ("M::f2", "Email::a", None));
    }

    #[test]
    fn a_command_that_cannot_be_read_ends_the_list() {
        for bad in ["", "{", "[]", r#"["Email"]"#, r#"["Email",1]"#, r#"["Email","b",3]"#, "[[[["] {
            let (names, broken) =
                batch(&[("command-0", r#"["M","f"]"#), ("command-1", bad), ("command-2", "x")]);
            assert_eq!(names, ["M::f"]);
            assert!(broken.is_some_and(|text| text.contains("“1”")), "{bad}");
        }
        assert_eq!(batch(&[]).1.as_deref(), Some("Provide the command"));
    }
}
