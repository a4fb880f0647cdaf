//! A real Chromium without a window, driven by WebDriver: HTTP on loopback, as the standard has it,
//! and Chromium's own commands where the standard has none.
//!
//! It is given a home that goes away with it, may ask no name server, and ends with its driver
//! whatever becomes of the test.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _home: tempfile::TempDir,
}

/// What to type to have it.
const INSTALL: &str = "apt-get install chromium chromium-driver";

/// Set where a missing browser is a fault.
const NEEDED: &str = "MAILSWEEP_TEST_BROWSER";

impl Browser {
    /// Starts it; `None`, and a word about it, where there is none.
    pub fn start(test: &str) -> Option<Browser> {
        let home = tempfile::tempdir().unwrap();
        let spawned = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let is_here = |program: &str| {
            std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
        };
        let Ok(driver) =
            spawned.map_err(drop).and_then(|driver| if is_here("chromium") { Ok(driver) } else { Err(()) })
        else {
            assert!(std::env::var_os(NEEDED).is_none(), "{test}: no chromium and chromedriver: {INSTALL}");
            // Past the capture of the test's output, so that nobody takes it for tested.
            let _ =
                writeln!(std::io::stderr(), "skipped {test}: no chromium and chromedriver here ({INSTALL})");
            return None;
        };
        let mut browser = Browser { driver, port: 0, session: String::new(), _home: home };
        browser.port = browser.port_of_driver();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            // For a machine that is busy.
            "timeouts": { "pageLoad": 110_000, "script": 110_000 },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let answer = browser.ask("POST", "/session", &wanted);
        browser.session = format!("/session/{}", answer["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn port_of_driver(&mut self) -> u16 {
        let out = BufReader::new(self.driver.stdout.take().unwrap());
        for line in out.lines().map(Result::unwrap) {
            if let Some((_, rest)) = line.split_once("successfully on port ") {
                return rest.trim_end_matches('.').parse().unwrap();
            }
        }
        panic!("chromedriver did not start");
    }

    /// One command, and what it gives.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let body = if method == "GET" { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        // The driver leaves the connection open, whatever it is asked.
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{method} {path}: {head}");
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {}", answer["value"]["message"]);
        answer["value"].take()
    }

    fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", &format!("{}/{path}", self.session), &body)
    }

    /// A command of Chromium's own.
    pub fn command(&self, name: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({ "cmd": name, "params": parameters }))
    }

    /// Opens a file and waits until it is there.
    pub fn open(&self, path: &Path) {
        self.post("url", json!({ "url": format!("file://{}", path.display()) }));
    }

    /// What a piece of script gives: it begins with `return`.
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Types at what a selector finds.
    pub fn type_at(&self, selector: &str, text: &str) {
        let found = self.post("element", json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.post(&format!("element/{id}/value"), json!({ "text": text }));
    }

    /// Presses a key, wherever the focus is.
    pub fn press(&self, key: char) {
        let actions: Vec<Value> =
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })).into();
        self.post("actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }));
    }

    /// Everything that the console has said since it was asked last.
    pub fn console(&self) -> Vec<String> {
        let lines = self.post("se/log", json!({ "type": "browser" }));
        lines.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// How wide the window is, and whether the eyes that look are in the dark.
    pub fn look(&self, width: u32, is_dark: bool) {
        let mobile = width < 500;
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile });
        self.command("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The page on paper, as a PDF.
    pub fn print(&self) -> Vec<u8> {
        use base64::Engine;
        let printed = self.post("print", json!({ "background": true }));
        base64::engine::general_purpose::STANDARD.decode(printed.as_str().unwrap()).unwrap()
    }

    /// Every node that a screen reader is told of: its role and its name.
    pub fn spoken(&self) -> Vec<(String, String)> {
        self.command("Accessibility.enable", json!({}));
        let tree = self.command("Accessibility.getFullAXTree", json!({}));
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != json!(true));
        nodes.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver leads a group in which all of the browser is.
        let group = i32::try_from(self.driver.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.driver.wait();
    }
}
