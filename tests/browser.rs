//! The page in a real browser: nothing that a server said runs in it, what it shows can be read,
//! narrowed by keyboard, heard and printed. Where there is no Chromium these tests are passed over
//! with a word about it, or fail if `MAILSWEEP_TEST_BROWSER` is set.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/made_up.rs"]
mod made_up;
mod support;

use browser::Browser;
use mailsweep::sandbox::{Fault, Rule, Script};
use serde_json::json;
use support::{Place, expect, job, server, wait_until};

const HOSTILE: &str = "</script></td><img src=x onerror=\"window.ran=1\"><script>window.ran=1</script>";

/// Runs one operation after the other against a server whose answers and whose operator are hostile.
fn hostile_run(place: &Place) {
    let rules = [Rule::new(Fault::ApiFailure(HOSTILE.into())).email("user00")];
    let sandbox = server(10, 0, Script::of(rules));
    let row = HOSTILE.replace('"', "\"\"");
    place.write("job.csv", job(10) + &format!("\"{row}\",suspend,login\n"));
    let flags = ["--rate", "none", "--skip-invalid", "--ticket", HOSTILE, "--max-errors", "100"];
    let mut run = place.run_against(&sandbox.url(), &flags);
    run.env("MAILSWEEP_OPERATOR", HOSTILE);
    expect(run, 1);
}

#[test]
fn nothing_that_came_from_outside_runs_and_the_console_is_silent() {
    let Some(browser) = Browser::start("nothing_that_came_from_outside_runs_and_the_console_is_silent")
    else {
        return;
    };
    let place = Place::new();
    hostile_run(&place);
    browser.open(&place.path("run/report.html"));
    assert_eq!(browser.console(), Vec::<String>::new());
    let found = browser.run(
        "return [document.images.length, document.scripts.length, window.ran === undefined, \
         document.querySelectorAll('table.failures tbody tr').length, \
         document.querySelector('table.failures tbody tr td:nth-child(5)').textContent, \
         document.querySelector('dl dd').textContent]",
    );
    let expected = json!([0, 1, true, 21, HOSTILE, found[5]]);
    assert_eq!(found, expected);
    assert!(found[5].as_str().unwrap().starts_with("</script></td><img"), "{}", found[5]);

    // And were it ever taken for markup, the page's policy would hold.
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">'); \
         const script = document.createElement('script'); script.textContent = 'window.ran=1'; \
         document.body.append(script); return 0",
    );
    let mut console = Vec::new();
    wait_until("the browser's refusal", || {
        console.extend(browser.console());
        console.iter().filter(|line| line.contains("Content Security Policy")).count() >= 2
    });
    assert_eq!(browser.run("return window.ran === undefined"), json!(true));
}

#[test]
fn ten_thousand_failures_can_be_narrowed_by_keyboard() {
    let Some(browser) = Browser::start("ten_thousand_failures_can_be_narrowed_by_keyboard") else { return };
    let place = Place::new();
    made_up::run(&place.path("run"), 10_500, 1, "The mailbox is locked");
    browser.look(1280, false);
    browser.open(&place.path("run/report.html"));
    let shown = || {
        browser.run(
            "return [document.querySelector('form.filter output').textContent, \
             Array.from(document.querySelectorAll('table.failures tbody tr')) \
             .filter((row) => row.offsetParent !== null).length]",
        )
    };
    let wait_for = |text: &str, rows: u32| {
        wait_until(text, || shown()[0] == json!(text));
        assert_eq!(shown()[1], json!(rows), "{text}");
    };
    wait_for("500 shown; 10,000 of 10,000 fit", 500);
    let said = browser.run("return document.body.innerText");
    assert!(said.as_str().unwrap().contains("500 more are in results.csv"));

    browser.type_at("form.filter input", "CASE 9977)");
    wait_for("1 shown; 1 of 10,000 fit", 1);
    browser.press('\u{e004}');
    assert_eq!(browser.run("return document.activeElement.name"), json!("status"));
    browser.run("document.querySelector('form.filter').reset(); return 0");
    wait_for("500 shown; 10,000 of 10,000 fit", 500);
    browser.type_at("select[name=class]", "api");
    browser.type_at("form.filter input", "domain7.example");
    wait_for("34 shown; 34 of 10,000 fit", 34);
    browser.run("document.querySelector('form.filter').reset(); return 0");
    wait_for("500 shown; 10,000 of 10,000 fit", 500);
    browser.type_at(".more button", "\u{e007}");
    wait_for("1,000 shown; 10,000 of 10,000 fit", 1000);
    browser.type_at(".more button[name=all]", "\u{e007}");
    wait_for("10,000 shown; 10,000 of 10,000 fit", 10_000);
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn it_can_be_read_at_any_width_by_day_and_by_night() {
    let Some(browser) = Browser::start("it_can_be_read_at_any_width_by_day_and_by_night") else { return };
    let place = Place::new();
    made_up::run(
        &place.path("run"),
        900,
        9,
        "A reason that is long enough to need more than one line of the page",
    );
    for (width, is_dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        browser.look(width, is_dark);
        browser.open(&place.path("run/report.html"));
        let wide = browser.run("return document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= width.into(), "{wide} wide at {width}");
        // Text and what lies behind it differ by 4.5 to 1 at least, as WCAG asks for.
        let faint = browser.run(CONTRAST);
        assert_eq!(faint, json!([]), "at {width}, dark: {is_dark}");
        let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground == json!("rgb(255, 255, 255)"), !is_dark);
    }
}

/// All texts that are too faint.
const CONTRAST: &str = r#"
const light = (colour) => {
  const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => {
    const share = part / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/^rgba\(.*, 0\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const faint = [];
for (const element of document.querySelectorAll("body *")) {
  const own = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || element.closest("script, style, svg, option") || !element.checkVisibility()) continue;
  const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faint.push(element.textContent.slice(0, 40) + ": " + ratio.toFixed(2));
}
return Array.from(new Set(faint)).slice(0, 10);
"#;

#[test]
fn a_screen_reader_is_told_everything_by_name() {
    let Some(browser) = Browser::start("a_screen_reader_is_told_everything_by_name") else { return };
    let place = Place::new();
    made_up::run(&place.path("run"), 300, 3, "no");
    for width in [1280, 390] {
        browser.look(width, false);
        browser.open(&place.path("run/report.html"));
        let spoken = browser.spoken();
        let of = |role: &str| -> Vec<&str> {
            spoken.iter().filter(|(known, _)| known == role).map(|(_, name)| name.as_str()).collect()
        };
        for role in ["image", "table", "region", "searchbox", "combobox", "navigation", "link", "button"] {
            let named = of(role);
            assert!(!named.is_empty(), "no {role} at {width}");
            assert!(
                named.iter().all(|name| !name.trim().is_empty()),
                "a {role} without a name at {width}: {named:?}"
            );
        }
        // However its rows are laid out, it is a table.
        let cells = of("cell").iter().filter(|name| name.starts_with("suspend login")).count();
        let rows = of("row").len();
        assert!(cells >= 100 && rows >= 100, "{cells} cells and {rows} rows at {width}");
        let mailboxes = of("rowheader").iter().filter(|name| name.ends_with(".example")).count();
        assert_eq!(mailboxes, 100, "at {width}");
        assert_eq!(of("searchbox"), ["Containing"]);
        assert!(
            of("image").iter().any(|name| name.starts_with("Share done over time: login reached 66.6 %"))
        );
        assert!(of("table").contains(&"Failures"), "at {width}: {:?}", of("table"));
        assert_eq!(browser.run("return document.querySelectorAll('main h1, h1').length"), json!(1));
    }
    // The first stop leads past all that comes before the report.
    browser.press('\u{e004}');
    assert_eq!(browser.run("return document.activeElement.textContent"), json!("Skip to the report"));
}

#[test]
fn it_is_printed_whole_and_without_what_paper_cannot_do() {
    let Some(browser) = Browser::start("it_is_printed_whole_and_without_what_paper_cannot_do") else {
        return;
    };
    let place = Place::new();
    made_up::run(&place.path("run"), 900, 9, "no");
    made_up::run(&place.path("long"), 4200, 7, "no");
    browser.open(&place.path("run/report.html"));
    let pdf = browser.print();
    assert!(pdf.starts_with(b"%PDF-"));
    let pages = String::from_utf8_lossy(&pdf).matches("/Type /Page\n").count();
    assert!(pages >= 3, "{pages} pages");
    browser.command("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    browser.open(&place.path("long/report.html"));
    let found = browser.run(
        "const height = (selector) => document.querySelector(selector).getBoundingClientRect().height; \
         const whole = (one) => one.scrollHeight <= one.clientHeight + 1; \
         return [height('form.filter'), height('nav'), \
         Array.from(document.querySelectorAll('.scroll')).every(whole), \
         height('table.failures tbody tr:last-child') > 0, \
         getComputedStyle(document.querySelector('table.failures thead')).display]",
    );
    assert_eq!(found, json!([0, 0, true, true, "table-header-group"]));
}
