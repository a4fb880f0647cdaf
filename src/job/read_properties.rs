//! Whole inputs of every kind: what holds for all of them, and what a large one costs.

use proptest::prelude::*;

use super::tests::{asked, with};
use super::*;
use crate::domain::{Action, Channel};

fn encode(text: &str, encoding: u8) -> Vec<u8> {
    let marked = || "\u{feff}".encode_utf16().chain(text.encode_utf16());
    match encoding {
        0 => text.as_bytes().to_vec(),
        1 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        2 => marked().flat_map(u16::to_le_bytes).collect(),
        _ => marked().flat_map(u16::to_be_bytes).collect(),
    }
}

proptest! {
    #[test]
    fn encoding_line_ends_and_delimiter_make_no_difference(
        list in prop::collection::vec(("[a-cä]{1,2}@[x-y]ö?\\.example", 0..6_usize, "[a é]{0,3}"), 1..10),
        encoding in 0..4_u8,
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        delimiter in prop::sample::select(vec![",", ";", "\t"]),
    ) {
        let kinds = [
            ["suspend", "login"], ["unsuspend", "all"], ["hold", "outgoing"], ["frob", "login"], ["hold", "all"],
            ["suspend", "outgoing+login"],
        ];
        let text = |delimiter: &str, line_end: &str| {
            let mut lines = vec![["note", "email", "action", "channel"].join(delimiter)];
            for (email, kind, note) in &list {
                lines.push([note, email, kinds[*kind][0], kinds[*kind][1]].join(delimiter));
                lines.push(String::new());
            }
            lines.join(line_end)
        };
        for skip_invalid in [false, true] {
            let options = InputOptions { skip_invalid, ..InputOptions::default() };
            let plain = with(text(",", "\n"), &options);
            let other = with(encode(&text(delimiter, line_end), encoding), &options);
            match (plain, other) {
                (Ok(plain), Ok(other)) => {
                    prop_assert_eq!(asked(&plain), asked(&other));
                    prop_assert_eq!(plain.warnings, other.warnings);
                }
                (Err(plain), Err(other)) => prop_assert_eq!(plain.to_string(), other.to_string()),
                (plain, other) => prop_assert!(false, "{:?} {:?}", plain, other),
            }
        }
    }

    #[test]
    fn any_bytes_are_a_job_or_an_error(
        bytes in prop::collection::vec(prop::sample::select(&b"a@x.,;\t\"#\r\n \0\xff\xfe\xef\xbb\xbf\xc3\xa9+"[..]), 0..120),
        header in any::<bool>(),
        no_header in any::<bool>(),
        skip_invalid in any::<bool>(),
    ) {
        let text = if header { [b"email,note\n", &bytes[..]].concat() } else { bytes };
        let options = InputOptions {
            action: Some(Action::Suspend), channels: Channel::ALL.to_vec(), no_header, skip_invalid,
            allow_empty: true, ..InputOptions::default()
        };
        match with(text.clone(), &options) {
            Ok(job) => {
                // Whoever reads the rows again meets the same ones.
                let mut rows = job.layout.rows(&text[..]);
                let mut count = 0;
                while let Some(row) = rows.next().unwrap() {
                    count = row.number();
                    let invalid = row.interpret(&options, &mut String::new()).is_err();
                    let stored = job.operations.iter().find(|operation| operation.row == count).unwrap();
                    prop_assert_eq!(stored.what == What::Invalid, invalid);
                }
                prop_assert_eq!(job.rows, count);
            }
            Err(error) => {
                let shown = error.to_string();
                prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", shown);
            }
        }
    }
}

/// How fast and in how much memory a large input is read. `cargo test --release --lib job:: --
/// --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a check"]
fn measure_a_million_rows() {
    use std::io::Write;
    let count: u32 = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = io::BufWriter::new(&mut file);
    writeln!(writer, "email,action,channel").unwrap();
    for number in 0..count {
        writeln!(writer, "name.{number:011}@example.example,suspend,login").unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    let source = Source::file(file.path()).unwrap();
    let peak_kib = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    // Time on the processor, which other work on the machine does not lengthen.
    let processor_ns = || -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        stat.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let (before, before_ns) = (peak_kib(), processor_ns());
    let start = std::time::Instant::now();
    let job = read(&source, &InputOptions::default()).unwrap();
    let took = start.elapsed();
    let bytes = (peak_kib() - before) * 1024 / u64::from(count);
    let processor_ms = (processor_ns() - before_ns) / 1_000_000;
    println!(
        "{} operations in {} ms ({processor_ms} ms of processor), {bytes} bytes of peak resident memory a row",
        job.operations.len(),
        took.as_millis()
    );
}
