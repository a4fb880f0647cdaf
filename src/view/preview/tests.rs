//! The preview, as it is read.

use super::*;

fn row(server: &str, account: Option<&str>, action: Action, channel: Channel, operations: u64) -> PreviewRow {
    let account = account.map(str::to_owned);
    PreviewRow { server: Some(server.into()), account, action, channel, operations, mailboxes: operations }
}

fn limit(server: &str, rate_per_s: Option<f64>, jobs: u64, operations: u64) -> ServerLimits {
    ServerLimits { server: server.into(), rate_per_s, burst: 2, jobs, operations }
}

fn example() -> Preview {
    Preview {
        title: "Run of leak.csv".into(),
        rows: vec![
            row("web01", Some("exampleu"), Action::Suspend, Channel::Login, 12_400),
            row("web01", Some("exampleu"), Action::Hold, Channel::Outgoing, 80),
            row("web02.dc2.example.net", Some("x"), Action::Unsuspend, Channel::Incoming, 7),
        ],
        mailboxes: 12_407,
        limits: vec![limit("web01", Some(10.0), 4, 12_480), limit("web02", Some(10.0), 4, 7)],
        left_aside: vec![
            LeftAside { status: Status::Duplicate, class: None, operations: 12 },
            LeftAside { status: Status::Blocked, class: Some(ErrorClass::Protected), operations: 1 },
        ],
        warnings: vec!["“web03” did not tell its domains".into()],
        run_dir: Some("mailsweep-runs/20260801T120000Z-leak".into()),
        ..Preview::default()
    }
}

#[test]
fn a_run_is_shown_before_it_begins() {
    let text = "\
Run of leak.csv
  server                 account   action     channel   operations  mailboxes
  web01                  exampleu  suspend    login         12,400     12,400
  web01                  exampleu  hold       outgoing          80         80
  web02.dc2.example.net  x         unsuspend  incoming           7          7
  total                                                     12,487     12,407
At most 10/s, 4 at a time at each server: at least 20m 48s if every operation needs its call
Recorded in mailsweep-runs/20260801T120000Z-leak
Left aside: 12 operations duplicate
Left aside: 1 operation blocked (protected)
! “web03” did not tell its domains
";
    assert_eq!(preview(&example(), Style::PLAIN, 100), text);
}

#[test]
fn a_narrow_terminal_clips_names_and_never_numbers() {
    let text = preview(&example(), Style::PLAIN, 70);
    assert!(
        text.contains("  web02.dc2.exa…  x         unsuspend  incoming           7          7\n"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 70), "{text}");
    for width in 0..40 {
        assert!(preview(&example(), Style::PLAIN, width).contains("12,487     12,407\n"));
    }
}

#[test]
fn a_long_table_is_cut_and_the_rest_counted() {
    let mut long = example();
    long.rows = (0..50).map(|i| row(&format!("s{i}"), None, Action::Suspend, Channel::Login, 2)).collect();
    let text = preview(&long, Style::PLAIN, 80);
    assert!(text.contains("  s29   "), "{text}");
    assert!(!text.contains("  s30   "), "{text}");
    assert!(text.contains("  and 20 more lines with 40 operations, counted in the total\n"), "{text}");
    assert!(text.contains("  total                               100     12,407\n"), "{text}");
    assert!(!text.contains("account"), "{text}");
}

#[test]
fn sending_queued_mail_is_said_without_being_asked() {
    let mut release = example();
    release.rows[1].action = Action::Release;
    let text = preview(&release, Style::PLAIN, 100);
    assert!(
        text.contains(
            "! release sends the mail that is queued for 80 mailboxes: that cannot be taken back\n"
        )
    );
}

#[test]
fn guards_are_shown_with_what_overrides_them() {
    let guarded = Preview {
        protect: vec!["postmaster@*".into(), "abuse@*".into()],
        max_changes: Some("5%".into()),
        ..example()
    };
    let text = preview(&guarded, Style::PLAIN, 200);
    let never = "Never touched: postmaster@*, abuse@* (key protect of the configuration; take a pattern out \
                 there to override it)\n";
    let most = "At most 5% changes, or nothing is changed: all state is read first (--max-changes N or N% \
                overrides it)\n";
    assert!(text.contains(&format!("{never}{most}")), "{text}");
    let many = Preview { protect: (0..20).map(|i| format!("u{i}@*")).collect(), ..example() };
    assert!(preview(&many, Style::PLAIN, 200).contains("u7@* and 12 more (key protect"));
    assert!(!preview(&example(), Style::PLAIN, 200).contains("Never touched"));
}

#[test]
fn what_reaches_further_than_the_job_or_cannot_be_undone_is_said() {
    let text = |preview: Preview| super::preview(&preview, Style::PLAIN, 250);
    let blind = text(Preview { blind: true, ..example() });
    assert!(
        blind.contains("! --blind: no state is read, so this run cannot be undone, and nothing shows"),
        "{blind}"
    );
    let ends = |accounts| text(Preview { ends_sessions: accounts, ..example() });
    for (accounts, told) in [
        (Some(1), "of all mailboxes of 1 account, those that are not in the job too"),
        (Some(1_200), "of all mailboxes of 1,200 accounts, those"),
        (None, "of all mailboxes of each account in which a login is suspended, those"),
    ] {
        let text = ends(Some(accounts));
        assert!(
            text.contains(&format!("! --end-sessions ends the open IMAP and POP sessions {told}")),
            "{text}"
        );
    }
    assert!(!ends(None).contains("end-sessions") && !ends(Some(Some(0))).contains("end-sessions"));
}

#[test]
fn limits_that_differ_stand_apart_with_the_slowest_first() {
    let lines = limits(&[
        limit("web01", None, 8, 100),
        limit("web02", Some(0.5), 1, 100),
        limit("web03", Some(250.0), 2, 100),
    ]);
    assert_eq!(
        lines,
        [
            "web02: at most 0.5/s, 1 at a time: at least 3m 16s if every operation needs its call",
            "web03: at most 250/s, 2 at a time: at least 1s if every operation needs its call",
            "web01: no limit on the rate, 8 at a time",
        ]
    );
    assert_eq!(
        limits(&[limit("a", Some(10.0), 4, 3)]),
        ["At most 10/s, 4 at a time: at least 1s if every operation needs its call"]
    );
    let at_once = [ServerLimits { burst: 50, ..limit("a", Some(10.0), 4, 50) }];
    assert_eq!(limits(&at_once), ["At most 10/s, 4 at a time"], "the burst needs no time");
    assert_eq!(limits(&[limit("a", Some(0.0), 4, 1)]).len(), 1, "a rate of nothing is no panic");
}

#[test]
fn foreign_names_cannot_move_the_cursor() {
    let mut odd = example();
    odd.title = "Run of \u{1b}[2J\u{202e}x\n.csv".into();
    odd.rows[0].server = Some("web\u{1b}]0;x\u{7}01".into());
    odd.warnings = vec!["\r\u{9b}K".into()];
    odd.run_dir = Some("runs/\u{1b}[2J".into());
    let text = preview(&odd, Style::PLAIN, 80);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}
