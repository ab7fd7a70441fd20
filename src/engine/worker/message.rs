use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Container;

use crate::volume::read_termination_log;

/// For all containers of a pod together; what one of them has is cut to its share (kubelet `normalizeStatus`).
const POD_LIMIT: usize = 12288;
const LOG_LINES: usize = 80;
const LOG_BYTES: usize = 2048;
/// A CRI line carries about 40 bytes in front of its text, and up to 16 KiB of text; this is enough for one such
/// line and `LOG_LINES` short ones behind it.
const LOG_WINDOW: u64 = 24 << 10;

/// What the container left to say, as `state.terminated.message` shows it. Blocking file work.
pub(super) fn termination_message(
    container: &Container,
    containers: usize,
    termination_log: &Path,
    log: &Path,
    exit_code: i32,
) -> String {
    let limit = POD_LIMIT / containers.max(1);
    let written = read_termination_log(termination_log).unwrap_or_else(|error| {
        tracing::warn!(
            error = crate::base::chain(&error),
            "a termination message cannot be read"
        );
        Vec::new()
    });
    let mut text = String::from_utf8_lossy(&written).into_owned();
    let falls_back =
        container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if text.is_empty() && falls_back && exit_code != 0 {
        text = last_lines(log).unwrap_or_default();
    }
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn last_lines(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LOG_WINDOW);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_WINDOW).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    if start > 0 && !lines.is_empty() {
        lines.remove(0);
    }
    let first = lines.len().saturating_sub(LOG_LINES);
    let mut joined = String::new();
    for line in &lines[first..] {
        // `<time> <stream> <P|F> <text>`: a partial line goes on in the next one.
        let mut fields = line.splitn(4, ' ');
        let tag = fields.nth(2).unwrap_or_default();
        joined.push_str(fields.next().unwrap_or_default());
        if tag != "P" {
            joined.push('\n');
        }
    }
    let mut cut = joined.len().saturating_sub(LOG_BYTES);
    while !joined.is_char_boundary(cut) {
        cut += 1;
    }
    Ok(joined.split_off(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, log: &str, policy: &str, exit_code: i32, expected: &str) {
        check_share(1, written, log, policy, exit_code, expected);
    }

    #[track_caller]
    fn check_share(
        containers: usize,
        written: &str,
        log: &str,
        policy: &str,
        exit_code: i32,
        expected: &str,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("termination-log");
        let log_file = directory.path().join("0.log");
        std::fs::write(&file, written).unwrap();
        std::fs::write(&log_file, log).unwrap();
        let container = Container {
            termination_message_policy: Some(policy.to_owned()),
            ..Container::default()
        };
        let found = termination_message(&container, containers, &file, &log_file, exit_code);
        assert_eq!(found, expected);
    }

    #[test]
    fn no_more_than_its_share() {
        let numbers: String = (0..2000).map(|number| format!("{number:04}")).collect();
        let last = &numbers[numbers.len() - 4096..];
        for containers in [1, 2, 3] {
            check_share(containers, &numbers, "", "File", 1, last);
        }
        // Twelve KiB in all: of the end that was read, the beginning.
        check_share(4, &numbers, "", "File", 1, &last[..3072]);
        check_share(12, &numbers, "", "File", 0, &last[..1024]);
        check_share(12, "short", "", "File", 0, "short");
        let log = format!("2026-01-01T00:00:00Z stdout F {}\n", "z".repeat(1999));
        let whole = format!("{}\n", "z".repeat(1999));
        let policy = "FallbackToLogsOnError";
        check_share(6, "", &log, policy, 1, &whole);
        check_share(12, "", &log, policy, 1, &whole[..1024]);
        // Never in the middle of a character.
        check_share(12, &"ü".repeat(600), "", "File", 1, &"ü".repeat(512));
    }

    #[test]
    fn file_first_then_the_log_of_a_failure() {
        let log = "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stderr P tw\n2026-01-01T00:00:00Z stderr F o\n";
        check("said", log, "File", 1, "said");
        check("", log, "File", 1, "");
        check("", log, "FallbackToLogsOnError", 1, "one\ntwo\n");
        check("", log, "FallbackToLogsOnError", 0, "");
        check("said", log, "FallbackToLogsOnError", 1, "said");
    }

    #[test]
    fn only_the_end_of_the_log_counts() {
        use std::fmt::Write;
        let mut log = String::new();
        for number in 0..2000 {
            writeln!(log, "2026-01-01T00:00:00Z stdout F line {number}").unwrap();
        }
        let expected = (1920..2000).fold(String::new(), |mut text, number| {
            writeln!(text, "line {number}").unwrap();
            text
        });
        check("", &log, "FallbackToLogsOnError", 1, &expected);
        // The longest lines that are written, alone, continued, and before lines of a few characters.
        let line =
            |tag: &str, text: &str| format!("2026-01-01T00:00:00.123456789Z stdout {tag} {text}\n");
        let whole = "y".repeat(16 << 10);
        let last = |text: &str| text[text.len() - LOG_BYTES..].to_owned();
        let expected = last(&format!("{whole}\n"));
        check(
            "",
            &line("F", &whole),
            "FallbackToLogsOnError",
            1,
            &expected,
        );
        let continued = line("P", &whole) + &line("F", "zz");
        let expected = last(&format!("{whole}zz\n"));
        check("", &continued, "FallbackToLogsOnError", 1, &expected);
        let short = line("F", "a very short one.").repeat(79);
        let expected = last(&format!("{whole}\n{}", "a very short one.\n".repeat(79)));
        check(
            "",
            &(line("F", &whole) + &short),
            "FallbackToLogsOnError",
            1,
            &expected,
        );
        let long = format!("2026-01-01T00:00:00Z stdout F {}\n", "x".repeat(4000));
        check(
            "",
            &long,
            "FallbackToLogsOnError",
            1,
            &format!("{}\n", "x".repeat(2047)),
        );
    }
}
