//! What a request asks for, taken from its path, query and form.
//!
//! A path that is none of the API's asks for nothing. Parameters are kept as they came; of a name
//! that comes twice the first counts, except `command` of a batch, which is a list.

use serde_json::Value;

/// One function to be called.
pub(super) struct Call {
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
    /// `Batch::strict`.
    Batch {
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

    #[cfg(test)]
    pub fn new(module: &str, function: &str, params: &[(&str, &str)]) -> Call {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Call { module: module.into(), function: function.into(), params: params.iter().map(own).collect() }
    }
}

impl Asked {
    /// Reads a request; `None` if the path is not of the form `/execute/MODULE/FUNCTION`.
    pub fn read(path: &str, query: Option<&str>, form: &[u8]) -> Option<Asked> {
        let (module, function) = path.strip_prefix("/execute/")?.split_once('/')?;
        if module.is_empty() || function.is_empty() || function.contains('/') {
            return None;
        }
        let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let params = query.chain(form_urlencoded::parse(form));
        let params = params.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Some(Asked::of(Call { module: module.to_owned(), function: function.to_owned(), params }))
    }

    /// What calling this function asks for.
    pub fn of(call: Call) -> Asked {
        let is_batch = call.module == "Batch" && call.function == "strict";
        let calls = if is_batch { commands(&call.params) } else { Calls::One };
        Asked { call, calls }
    }
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
    Calls::Batch { commands, broken }
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
    Some(Call { module: module.clone(), function: function.clone(), params })
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
        for path in ["/", "/execute", "/execute/Email", "/execute/Email/", "/execute//x", "/execute/a/b/c"] {
            assert!(Asked::read(path, None, b"").is_none(), "{path}");
        }
    }

    fn batch(pairs: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let asked = Asked::of(Call::new("Batch", "strict", pairs));
        let Calls::Batch { commands, broken } = asked.calls else { panic!("not a batch") };
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
