//! What others are told at a session's end: a file of figures, and a command.

mod support;

use std::os::unix::fs::PermissionsExt;

use mailsweep::sandbox::{Fault, Rule, Script};
use support::{Place, expect, job, server, stderr, stdout};

/// The samples of a file, by name and labels.
fn sample(text: &str, head: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(head)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_figures_are_written_whole_for_others_to_read_and_the_last_success_is_kept() {
    let script = Script::of([Rule::new(Fault::ApiFailure("no".into())).email("user001").times(2)]);
    let sandbox = server(3, 0, script);
    let place = Place::new();
    place.write("job.csv", job(3));
    let flags = ["--rate", "none", "--metrics-file", "sweep.prom"];
    expect(place.run_against(&sandbox.url(), &flags), 1);
    let text = place.read("sweep.prom");
    let mode = std::fs::metadata(place.path("sweep.prom")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let name = place.results("run")[0]["server"].clone();
    let at =
        |status| format!("mailsweep_operations{{input=\"job.csv\",server=\"{name}\",status=\"{status}\"}}");
    assert_eq!((sample(&text, &at("ok")), sample(&text, &at("failed"))), (Some(4.0), Some(2.0)));
    assert_eq!(sample(&text, "mailsweep_exit_code{input=\"job.csv\"}"), Some(1.0));
    let success = "mailsweep_last_success_timestamp_seconds{input=\"job.csv\"}";
    assert_eq!(sample(&text, success), None);

    let resumed = ["resume", "run", "--retry-failed", "--metrics-file", "sweep.prom"];
    expect(place.mailsweep(&resumed), 0);
    let text = place.read("sweep.prom");
    assert_eq!((sample(&text, &at("ok")), sample(&text, &at("failed"))), (Some(6.0), Some(0.0)));
    let succeeded = sample(&text, success).expect("a success");
    let ended = sample(&text, "mailsweep_end_timestamp_seconds{input=\"job.csv\"}").unwrap();
    assert!((succeeded - ended).abs() < 1e-6, "{text}");

    // The next run of the same job fails.
    let script = Script::of([Rule::new(Fault::ApiFailure("no".into()))]);
    let failing = server(3, 0, script);
    let run = ["--rate", "none", "--metrics-file", "sweep.prom"];
    std::fs::rename(place.path("run"), place.path("first")).unwrap();
    expect(place.run_against(&failing.url(), &run), 1);
    let text = place.read("sweep.prom");
    assert_eq!(sample(&text, success), Some(succeeded));
    assert_eq!(
        std::fs::read_dir(place.path(""))
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".mailsweep-") })
            .count(),
        0
    );
}

#[test]
fn a_command_gets_the_summary_and_none_of_the_secrets() {
    let sandbox = server(2, 0, Script::default());
    let place = Place::new();
    place.write("job.csv", job(2));
    let command =
        "cat > told.json; env > told.env; cp \"$MAILSWEEP_RUN_DIR/report.html\" told.html; echo chatty";
    let mut run =
        place.run_against(&sandbox.url(), &["--rate", "none", "--json", "--notify-command", command]);
    run.env("MAILSWEEP_TOKEN", "T0KEN-OF-THE-ENVIRONMENT").env("MAILSWEEP_PASSWORD", "");
    let output = expect(run, 0);
    let summary = place.summary("run");
    let told: serde_json::Value = serde_json::from_str(&place.read("told.json")).unwrap();
    assert_eq!(told, summary);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&stdout(&output)).unwrap(),
        summary,
        "and nothing else"
    );
    assert!(!place.read("told.env").contains("T0KEN"), "{}", place.read("told.env"));
    assert_eq!(place.read("told.html"), place.read("run/report.html"));
}

#[test]
fn neither_can_make_a_session_fail() {
    let sandbox = server(2, 0, Script::default());
    let place = Place::new();
    place.write("job.csv", job(2));
    let flags = ["--rate", "none", "--notify-command", "echo 'no route' >&2; exit 7"];
    let told = stderr(&expect(place.run_against(&sandbox.url(), &flags), 0));
    assert!(
        told.contains(
            "warning: the notify command `echo 'no route' >&2; exit 7` failed with code 7: no route"
        )
    );
    assert!(told.contains("Done after"), "{told}");
    std::fs::remove_dir_all(place.path("run")).unwrap();
    let output = expect(place.run_against(&sandbox.url(), &[&flags[..], &["-q"]].concat()), 0);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
    // A directory that goes away meanwhile.
    std::fs::remove_dir_all(place.path("run")).unwrap();
    std::fs::create_dir(place.path("figures")).unwrap();
    let flags = ["--rate", "2/s", "--metrics-file", "figures/sweep.prom"];
    let mut run = place.run_against(&sandbox.url(), &flags);
    let child = run.stderr(std::process::Stdio::piped()).spawn().unwrap();
    place.wait_for_journal("run", "\"t\":\"session\"", 1);
    std::fs::remove_dir(place.path("figures")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(support::code(&output), 0);
    assert!(stderr(&output).contains("warning: the metrics could not be written to figures/sweep.prom"));
}

#[test]
fn the_configuration_names_them_too_and_a_flag_goes_over_it() {
    let sandbox = server(2, 0, Script::default());
    let place = Place::new();
    place.write("job.csv", job(2));
    place.write(
        "mailsweep.toml",
        "metrics_file = \"configured.prom\"\nnotify_command = \"cat > configured.json\"\n",
    );
    expect(place.run_against(&sandbox.url(), &["--rate", "none", "--notify-command", "cat > flag.json"]), 0);
    assert!(place.path("configured.prom").exists() && place.path("flag.json").exists());
    assert!(!place.path("configured.json").exists());
    // A rehearsal tells nobody, and a place that is not there is found before anything else.
    std::fs::remove_file(place.path("configured.prom")).unwrap();
    expect(place.mailsweep(&["run", "job.csv", "--dry-run"]), 0);
    assert!(!place.path("configured.prom").exists() && !place.path("configured.json").exists());
    let run = place.run_against(&sandbox.url(), &["--metrics-file", "none/sweep.prom"]);
    let told = stderr(&expect(run, 2));
    assert!(told.contains("--metrics-file none/sweep.prom: there is no directory none"), "{told}");
}
