//! `--shard` and `merge`: a job that several machines share comes to what one alone would come to.

#[path = "support/fleet.rs"]
mod fleet;
mod support;

use std::collections::BTreeMap;

use fleet::{called, calls, logins, serve, whm};
use mailsweep::sandbox::Sandbox;
use support::{Place, code, expect, stderr, stdout};

const A: &str = "u0@a.example u1@a.example";
const B: &str = "u0@b.example u1@b.example";
const C: &str = "u0@c.example";

/// Three servers, of which web01 and web03 fall to the first of two shards and web02 to the second;
/// and a job with a row for each mailbox, one for nobody's, one twice and one that is none.
fn three_servers() -> (Place, [Sandbox; 3]) {
    let servers = [serve(&[("alfa", A)]), serve(&[("beta", B)]), serve(&[("gamma", C)])];
    let place = Place::blind();
    // The order of the file is not that of the names.
    place.configure(&[
        whm("web03", &servers[2].url()),
        whm("web01", &servers[0].url()),
        whm("web02", &servers[1].url()),
    ]);
    let rows = "email,ticket,action,channel
u0@b.example,1,suspend,login+outgoing
u0@a.example,2,suspend,login
u0@nowhere.example,3,suspend,login
u1@b.example,4,suspend,login
u0@a.example,5,suspend,login
gone@b.example,6,suspend,login
u1@a.example,7,suspend,login
u0@c.example,8,suspend,login
nonsense,9,suspend,login
";
    place.write("job.csv", rows);
    (place, servers)
}

fn shard(place: &Place, which: &str, more: &[&str], expected: i32) -> String {
    let run = format!("shard{}", which.split('/').next().unwrap());
    let mut args = vec!["--shard", which, "--skip-invalid"];
    args.extend(more);
    stderr(&expect(place.fleet_run_of("job.csv", &run, &args), expected))
}

fn merge(place: &Place, runs: &[&str], expected: i32) -> std::process::Output {
    let mut args = vec!["merge", "-o", "whole"];
    args.extend(runs);
    expect(place.mailsweep(&args), expected)
}

/// The results without their times.
fn lasting(place: &Place, run: &str) -> Vec<BTreeMap<String, String>> {
    let mut results = place.results(run);
    for row in &mut results {
        row.remove("started_at");
        row.remove("duration_ms");
    }
    results
}

#[test]
fn two_shards_joined_are_what_the_whole_would_have_been() {
    let (alone, servers) = three_servers();
    expect(alone.fleet_run_of("job.csv", "run", &["--skip-invalid"]), 1);
    let per_server: Vec<usize> = servers.iter().map(|server| calls(server).len()).collect();

    let (place, servers) = three_servers();
    shard(&place, "1/2", &[], 1);
    assert_eq!(called(&servers[0]).len() + called(&servers[2]).len(), 3);
    assert!(called(&servers[1]).is_empty(), "it belongs to the other shard");
    shard(&place, "2/2", &[], 1);
    let calls: Vec<usize> = servers.iter().map(|server| calls(server).len()).collect();
    assert_eq!(calls, per_server, "nothing was called twice");
    let told = merge(&place, &["shard2", "shard1"], 1);
    // The columns come from another run, but for when it was.
    assert_eq!(lasting(&place, "whole"), lasting(&alone, "run"));
    assert_eq!(place.read("whole/unfinished.csv"), alone.read("run/unfinished.csv"));
    let (whole, summary) = (place.summary("whole"), alone.summary("run"));
    for same in ["operations", "counts", "error_classes", "exit_code"] {
        assert_eq!(whole[same], summary[same], "{same}");
    }
    assert_eq!(whole["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(whole["channels"]["login"]["operations"], summary["channels"]["login"]["operations"]);
    let web02 = whole["servers"].as_array().unwrap().iter().find(|server| server["name"] == "web02").unwrap();
    // Each shard has asked for its domains.
    assert_eq!(web02["requests"], per_server[1] + 2);
    assert_eq!(web02["channels"]["login"]["operations"], 2);
    assert!(!stderr(&told).contains("To go on"), "nothing is left: {}", stderr(&told));
    expect(place.mailsweep(&["resume", "whole"]), 6);
}

#[test]
fn a_shard_passes_over_what_belongs_to_another_and_says_so() {
    let (place, _servers) = three_servers();
    let told = shard(&place, "2/2", &[], 1);
    assert!(told.starts_with("shard 2 of 2: web02\n"), "{told}");
    let results = place.results("shard2");
    let left = |row: &BTreeMap<String, String>| row["error"].starts_with("left to shard 1 of 2, which has ");
    let (others, own): (Vec<_>, Vec<_>) = results.iter().partition(|row| left(row));
    assert!(others.iter().all(|row| row["status"] == "not_attempted" && row["error_class"] == "excluded"));
    assert!(others.iter().all(|row| row["server"].is_empty() && row["attempts"].is_empty()));
    let own: Vec<(&str, &str)> = own.iter().map(|row| (&*row["email"], &*row["status"])).collect();
    let expected = [
        ("u0@b.example", "ok"),
        ("u0@b.example", "ok"),
        ("u1@b.example", "ok"),
        ("u0@a.example", "duplicate"),
        ("gone@b.example", "failed"),
        ("nonsense", "invalid"),
    ];
    assert_eq!(own, expected);
    assert_eq!(place.read("shard2/unfinished.csv").lines().count(), 2, "only what failed of its own");
}

#[test]
fn both_may_be_at_work_at_once_and_kubernetes_says_which_is_which() {
    let (place, servers) = three_servers();
    servers.iter().for_each(|server| server.set_latency(std::time::Duration::from_millis(60)));
    let begin = |index: &str| {
        let run = format!("pod{index}");
        let mut command = place.fleet_run_of("job.csv", &run, &["--shard", "index/2", "--skip-invalid"]);
        command.env("JOB_COMPLETION_INDEX", index).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let pods = [begin("0"), begin("1")];
    for pod in pods {
        let output = pod.wait_with_output().unwrap();
        assert_eq!(code(&output), 1, "{}", stderr(&output));
    }
    merge(&place, &["pod0", "pod1"], 1);
    let statuses = place.column("whole", "status");
    assert_eq!(statuses.iter().filter(|status| *status == "ok").count(), 6, "{statuses:?}");
    let facts: serde_json::Value = serde_json::from_str(&place.read("pod1/run.json")).unwrap();
    assert_eq!(facts["settings"]["shard"], serde_json::json!({"number": 2, "of": 2}));
    let refused = place.fleet_run_of("job.csv", "other", &["--shard", "0/2"]).output().unwrap();
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("index/2"), "{}", stderr(&refused));
}

#[test]
fn where_the_configuration_says_whose_a_domain_is_others_servers_are_not_even_asked() {
    let (place, servers) = three_servers();
    let told = |name: &str, url: &str, domain: &str| whm(name, url) + &format!("domains = [\"{domain}\"]\n");
    place.configure(&[
        told("web01", &servers[0].url(), "a.example"),
        told("web02", &servers[1].url(), "b.example"),
        told("web03", &servers[2].url(), "c.example"),
    ]);
    place.write("job.csv", logins(&[A, B, C]));
    shard(&place, "2/2", &[], 0);
    assert!(servers[0].requests().is_empty() && servers[2].requests().is_empty());
    shard(&place, "1/2", &[], 0);
    merge(&place, &["shard1", "shard2"], 0);
    assert_eq!(place.column("whole", "status"), ["ok"; 5]);
    // What was settled without asking is not told of servers that were not asked.
    assert_eq!(place.column("whole", "server"), ["web01", "web01", "web02", "web02", "web03"]);
}

#[test]
fn a_server_that_is_down_changes_nothing_in_who_does_what() {
    let (place, servers) = three_servers();
    let [one, two, three] = servers;
    drop(one);
    // web01 is of the first shard, and whose its domain is cannot be told: that is the first one's too.
    shard(&place, "2/2", &[], 1);
    assert_eq!(calls(&two).len(), 4, "as if it were up");
    shard(&place, "1/2", &[], 1);
    assert_eq!(called(&three), ["u0@c.example"]);
    let told = merge(&place, &["shard1", "shard2"], 1);
    let classes = place.column("whole", "error_class");
    assert_eq!(classes.iter().filter(|class| *class == "unrouted").count(), 3, "{classes:?}");
    assert!(stderr(&told).ends_with("to go on:\n  mailsweep resume shard1\n"), "{}", stderr(&told));
}

#[test]
fn what_each_shard_thought_the_others_is_told_and_can_be_run() {
    let (place, servers) = three_servers();
    let [_one, two, _three] = servers;
    shard(&place, "1/2", &[], 1);
    // Now the second shard finds b.example nowhere, and the first one found it at the second's server.
    drop(two);
    shard(&place, "2/2", &[], 4);
    let told = merge(&place, &["shard1", "shard2"], 4);
    assert!(stderr(&told).contains("4 operations were taken by no shard"), "{}", stderr(&told));
    let rows = place.results("whole");
    let unclaimed: Vec<_> = rows.iter().filter(|row| row["error_class"] == "unrouted").collect();
    assert_eq!(unclaimed.len(), 4);
    assert!(
        unclaimed.iter().all(|row| row["email"].ends_with("@b.example") && row["status"] == "not_attempted")
    );
    let unfinished = place.read("whole/unfinished.csv");
    assert!(unfinished.starts_with("email,ticket,action,channel\nu0@b.example,1,suspend,login+outgoing\n"));
    let counted: u64 =
        place.summary("whole")["counts"].as_object().unwrap().values().filter_map(|n| n.as_u64()).sum();
    assert_eq!(counted, 10);
}

#[test]
fn what_was_left_out_on_purpose_stays_so_and_a_rehearsal_can_be_joined_too() {
    let (place, servers) = three_servers();
    place.write("only.txt", "u0@a.example\nu1@b.example\n");
    place.write("job.csv", logins(&[A, B]));
    for which in ["1/2", "2/2"] {
        shard(&place, which, &["--only", "only.txt"], 0);
    }
    merge(&place, &["shard1", "shard2"], 0);
    assert_eq!(place.column("whole", "status"), ["ok", "not_attempted", "not_attempted", "ok"]);
    assert!(place.column("whole", "error")[1].contains("--only"));
    assert!(!place.path("whole/unfinished.csv").exists());

    let dry = Place::blind();
    dry.configure(&[whm("web01", &servers[0].url()), whm("web02", &servers[1].url())]);
    dry.write(
        "job.csv",
        "email,action,channel,server\na@a.example,suspend,login,web02\nb@b.example,suspend,login,\n",
    );
    for which in ["1/2", "2/2"] {
        shard(&dry, which, &["--dry-run"], 0);
    }
    merge(&dry, &["shard1", "shard2"], 0);
    assert_eq!(dry.column("whole", "status"), ["planned", "planned"]);
    assert_eq!(dry.column("whole", "server"), ["web02", ""]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (place, servers) = three_servers();
    let refused = |runs: &[&str], why: &str, expected: i32| {
        let told = merge(&place, runs, expected);
        assert!(stderr(&told).contains(why), "{why}: {}", stderr(&told));
        assert!(!place.path("whole").exists(), "{why}");
    };
    shard(&place, "1/2", &[], 1);
    refused(&["shard1"], "shard 2 of 2 missing", 2);
    refused(&["shard1", "shard1"], "shard 1 of 2 is there twice", 2);
    refused(&["shard1", "nowhere"], "is not a run", 6);
    expect(place.fleet_run_of("job.csv", "all", &["--skip-invalid"]), 1);
    refused(&["shard1", "all"], "without --shard", 2);

    let other = |name: &str, more: &[&str]| {
        let mut args = vec!["--shard", "2/2", "--skip-invalid"];
        args.extend(more);
        expect(place.fleet_run_of("job.csv", name, &args), 1);
    };
    expect(place.fleet_run_of("job.csv", "third", &["--shard", "3/3", "--skip-invalid"]), 1);
    refused(&["shard1", "third"], "two divisions", 2);
    place.write("third.csv", "email,action,channel\nu0@a.example,suspend,login\n");
    expect(place.fleet_run_of("third.csv", "input", &["--shard", "2/2"]), 0);
    refused(&["shard1", "input"], "another input", 2);
    other("flags", &["--action", "suspend"]);
    refused(&["shard1", "flags"], "in another way", 2);
    other("dry", &["--dry-run"]);
    refused(&["shard1", "dry"], "dry run", 2);
    other("order", &["--channel-order", "outgoing"]);
    refused(&["shard1", "order"], "another configuration", 2);
    let before = place.read("mailsweep.toml");
    place.write("mailsweep.toml", before.replace("web02", "web99"));
    other("servers", &[]);
    refused(&["shard1", "servers"], "another configuration", 2);
    place.write("mailsweep.toml", before);

    // How fast it went is each machine's own affair.
    other("shard2", &["--rate", "200/s", "--jobs", "2"]);
    place.write("full", "");
    let full = place.mailsweep(&["merge", "shard1", "shard2", "-o", "shard1"]).output().unwrap();
    assert_eq!(code(&full), 2, "{}", stderr(&full));
    let results = place.read("shard2/results.csv");
    place.write("shard2/results.csv", results.replace(",failed,", ",ok,"));
    refused(&["shard1", "shard2"], "is not what its run has written", 6);
    place.write("shard2/results.csv", results.replacen("1,u0@b", "2,u0@b", 1));
    refused(&["shard1", "shard2"], "is not what its run has written", 6);
    place.write("shard2/results.csv", &results);
    let journal = place.read("shard2/journal.jsonl");
    let cut = journal.trim_end().rfind('\n').unwrap() + 1;
    place.write("shard2/journal.jsonl", &journal[..cut]);
    std::fs::remove_file(place.path("shard2/summary.json")).unwrap();
    refused(&["shard1", "shard2"], "mailsweep resume shard2", 2);
    expect(place.mailsweep(&["resume", "shard2"]), 1);
    let told = merge(&place, &["shard1", "shard2"], 1);
    assert!(stdout(&told).is_empty());
    drop(servers);
}

#[test]
fn the_worst_code_is_that_of_the_whole() {
    let (place, _servers) = three_servers();
    place.write("job.csv", logins(&[A, B]));
    shard(&place, "1/2", &[], 0);
    // All servers refuse the second one, its own among them.
    let token = place.read("token");
    place.write("token", "NOT-THE-TOKEN-1234567890\n");
    shard(&place, "2/2", &[], 4);
    place.write("token", token);
    let quiet = expect(place.mailsweep(&["merge", "shard1", "shard2", "-o", "whole", "-q", "--json"]), 4);
    let told: serde_json::Value = serde_json::from_str(&stdout(&quiet)).unwrap();
    assert_eq!(told, place.summary("whole"));
    assert_eq!(told["exit_code"], 4);
    let web02 = told["servers"].as_array().unwrap().iter().find(|server| server["name"] == "web02").unwrap();
    assert!(web02["halted"].as_str().unwrap().starts_with("auth: "), "{web02}");
    assert!((1..=15).contains(&stderr(&quiet).lines().count()), "{}", stderr(&quiet));
}
