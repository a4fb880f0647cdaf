use super::*;
use crate::domain::{ErrorClass, Status};
use crate::view::made_up_tests::MadeUp;

const HOSTILE: &str = "</script><img src=x onerror=\"document.title='run'\"><b>&amp;'";

fn page(run: &MadeUp) -> String {
    let told = run.told();
    let mut page = Vec::new();
    report(&told.report(run), &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

fn rows(n: usize) -> String {
    (0..n).map(|i| format!("u{i}@example.com,suspend,login,1\n")).collect()
}

/// The tags of the page, and what stands between them.
fn tags_and_text(page: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut tags, mut texts) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some((text, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag that does not end");
        texts.push(text);
        tags.push(tag);
        rest = after;
        // What stands in these is not read as markup.
        if let Some(end) = ["style", "script"].into_iter().find(|name| *name == tag) {
            let end = format!("</{end}>");
            rest = &rest[rest.find(&end).expect("it is not closed")..];
        }
    }
    (tags, texts)
}

/// Everything that comes from outside, hostile.
fn hostile() -> MadeUp {
    let row = HOSTILE.replace('"', "\"\"");
    let rows =
        format!("\"{row}\",suspend,login,1\nu1@example.com,suspend,login,1\nu2@example.com,suspend,all,2\n");
    let mut run = MadeUp::new(&rows);
    run.facts.operator = HOSTILE.into();
    run.facts.ticket = Some(HOSTILE.into());
    run.facts.input.name = HOSTILE.into();
    run.facts.run_id = HOSTILE.into();
    run.facts.version = HOSTILE.into();
    run.facts.undo_of = Some(HOSTILE.into());
    run.facts.settings = serde_json::json!({ HOSTILE: HOSTILE, "list": [HOSTILE] });
    run.facts.servers = serde_json::json!([{ "name": HOSTILE, "url": HOSTILE }]);
    run.sessions[0].operator = HOSTILE.into();
    run.sessions[0].host = HOSTILE.into();
    run.ends(1, 10, Status::Failed, Some(ErrorClass::Api), HOSTILE);
    run.ends(2, 20, Status::Ok, None, "");
    let (at, class, reason) = (crate::record::Stamp(0), ErrorClass::Auth, HOSTILE.to_owned());
    run.note(crate::record::Entry::Halt { at, server: 0, class, reason });
    run.note(crate::record::Entry::Route { at, server: 0, account: HOSTILE.into(), mailboxes: vec![(0, 1)] });
    run
}

#[test]
fn what_comes_from_outside_is_text_wherever_it_stands() {
    let page = page(&hostile());
    let (tags, texts) = tags_and_text(&page);
    for tag in &tags {
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        let known = [
            "!doctype",
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "a",
            "header",
            "p",
            "h1",
            "h2",
            "h3",
            "div",
            "ul",
            "li",
            "span",
            "nav",
            "main",
            "section",
            "dl",
            "dt",
            "dd",
            "table",
            "caption",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "svg",
            "rect",
            "path",
            "code",
            "figure",
            "figcaption",
            "form",
            "label",
            "input",
            "select",
            "option",
            "button",
            "output",
            "b",
            "i",
            "wbr",
            "br",
            "details",
            "summary",
            "footer",
            "script",
        ];
        assert!(known.contains(&name), "<{tag}>");
        assert!(!tag.contains("onerror=\""), "<{tag}>");
        assert!(!tag.contains("style="), "the policy allows no style but the one: <{tag}>");
    }
    assert_eq!(tags.iter().filter(|tag| **tag == "script").count(), 1);
    let told = texts.iter().filter(|text| text.contains("&lt;img src=x onerror=&quot;")).count();
    assert!(told >= 12, "{told} of what is hostile is on the page");
    assert!(!SCRIPT.contains("</") && !STYLE.contains("</"), "they would end before their end");
}

#[test]
fn the_policy_allows_the_one_style_and_the_one_script_and_nothing_else() {
    let page = page(&MadeUp::new(&rows(1)));
    let between = |open: &str, close: &str| {
        let start = page.find(open).unwrap() + open.len();
        &page[start..start + page[start..].find(close).unwrap()]
    };
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let policy =
        between("Content-Security-Policy\" content=\"", "\"").replace("&#x27;", "'").replace("&#x2f;", "/");
    let expected = format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(between("<style>", "</style>")),
        hash(between("<script>", "</script>"))
    );
    assert_eq!(policy, expected);
    let outside =
        ["http:", "https:", "src=", "url(", "@import", "<link", "fetch(", "XMLHttp", "innerHTML", "eval("];
    for word in outside {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn every_failure_is_told_with_its_row_and_its_reason_and_what_went_well_is_not() {
    let mut run = MadeUp::new(&rows(4));
    run.ends(0, 10, Status::Ok, None, "");
    run.ends(1, 20, Status::Failed, Some(ErrorClass::NoSuchMailbox), "No such user at row 2");
    run.ends(2, 30, Status::Unknown, Some(ErrorClass::Timeout), "");
    let page = page(&run);
    assert!(!page.contains("u0<wbr>"), "it went well");
    let row = |n: u32| {
        let start = page.find(&format!("<tr><td>{n}</td>")).unwrap_or_else(|| panic!("no row {n}"));
        page[start..start + page[start..].find("</tr>").unwrap()].to_owned()
    };
    for (number, words) in [
        (
            2,
            [
                "u1<wbr>@example.com",
                "suspend login",
                ">failed<",
                ">no_such_mailbox<",
                "No such user at row 2",
                "web02 &#x2f; beta",
                "19:00:00",
            ],
        ),
        (
            3,
            [
                "u2<wbr>@example.com",
                "suspend login",
                ">unknown<",
                ">timeout<",
                "no whole answer came in time",
                "web01 &#x2f; alfa",
                "19:00:00",
            ],
        ),
        (
            4,
            [
                "u3<wbr>@example.com",
                "suspend login",
                ">not_attempted<",
                ">interrupted<",
                "the session ended",
                "web02",
                "beta",
            ],
        ),
    ] {
        for word in words {
            assert!(row(number).contains(word), "{word} in {}", row(number));
        }
    }
    assert!(page.contains("3 operations, in the order of the input"));
}

#[test]
fn a_page_is_bounded_and_says_what_it_leaves_out() {
    let many = crate::record::MOST_LISTED + 1234;
    let mut run = MadeUp::new(&rows(many));
    for op in 0..many as u32 {
        run.ends(op, op.into(), Status::Failed, Some(ErrorClass::Api), "no");
    }
    let page = page(&run);
    assert_eq!(page.matches("<wbr>@example.com").count(), crate::record::MOST_LISTED);
    assert!(page.contains("The first 10000 are listed. 1,234 more are in <code>results.csv</code>"));
    // What went well has no line of its own, however many there are.
    let size = |n: usize| {
        let mut run = MadeUp::new(&rows(n));
        (0..n as u32).for_each(|op| run.ends(op, i64::from(op) * 50, Status::Ok, None, ""));
        super::tests::page(&run).len()
    };
    let (few, more) = (size(2_000), size(20_000));
    assert!(more < few + 2_000, "{few} and {more} bytes");
}

#[test]
fn a_mailbox_with_one_channel_shut_and_another_not_is_told_as_such() {
    let rows = "a@example.com,suspend,login+outgoing,1\nb@example.com,suspend,login+outgoing,1\n\
                c@example.com,suspend,login+outgoing,1\nd@example.com,unsuspend,login,1\n";
    let mut run = MadeUp::new(rows);
    run.ends(0, 10, Status::Failed, Some(ErrorClass::Api), "no");
    for op in [1, 2, 3, 6] {
        run.ends(op, 10, Status::Ok, None, "");
    }
    let page = page(&run);
    let partly = &page[page.find("Only partly as wanted: 1<").expect("none is told")..];
    let partly = &partly[..partly.find("</table>").unwrap()];
    assert!(partly.contains("a@example.com") && !partly.contains("b@example.com") && !partly.contains("c@"));
    assert!(partly.contains("not shut (api)") && partly.contains(">shut<") && partly.contains("not asked"));
    let words: String = page.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text).collect();
    assert!(words.contains("Mailboxes contained 1 of 3 (33.3 %)"), "{words}");
    assert!(words.contains("Only partly contained 1 "), "{words}");
    assert!(words.contains("Mailboxes restored 1 of 1 (100 %)"), "{words}");
}

#[test]
fn a_later_session_is_drawn_behind_the_one_before_without_the_night_between() {
    let mut run = MadeUp::new(&rows(20));
    for op in 0..10 {
        run.ends(op, i64::from(op) * 1000, Status::Ok, None, "");
    }
    run.session(50_000_000);
    for op in 10..20 {
        run.ends(op, 50_000_000 + i64::from(op - 10) * 1000, Status::Ok, None, "");
    }
    let page = page(&run);
    assert!(page.contains("class=\"divider\" d=\"M500.00 0V100\""), "half of the bars each");
    assert!(page.contains("a dashed line: session of 2026-11-24 08:53:20 UTC"));
}

#[test]
fn a_run_that_has_not_ended_says_so() {
    let mut run = MadeUp::new(&rows(1));
    run.sessions[0].exit_code = None;
    run.sessions[0].ended_at = None;
    let page = page(&run);
    assert!(page.contains("Has not ended: its last session was killed, or is still at work"));
    assert!(!page.contains("<dt>Ended</dt>"));
}

#[test]
fn what_was_left_out_on_purpose_is_no_failure() {
    let mut run = MadeUp::new(&rows(3));
    run.ends(0, 10, Status::Ok, None, "");
    for op in [1, 2] {
        let (at, class) = (crate::record::Stamp(0), Some(ErrorClass::Excluded));
        let (server, ms, http, error) = (None, None, None, "--only".into());
        let status = Status::NotAttempted;
        run.note(crate::record::Entry::End(crate::record::Ended {
            at,
            op,
            server,
            ms,
            status,
            class,
            http,
            error,
        }));
    }
    let page = page(&run);
    assert!(page.contains("3 operations: 1 as wanted, 0 not, 2 left out on purpose. What the servers accepted was not read again afterwards.<"), "{page}");
    assert!(page.contains("There are none.") && !page.contains("Not as wanted"));
    assert!(page.contains(">of 1 (100 %)<"));
}
