//! What operating system commands of a program in a pane may do. Everything not named here does nothing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::emulator::Report;
use crate::tui::sanitize::plain;

const MAX_TITLE: usize = 80;
const MAX_NOTIFICATION: usize = 200;
/// Longest colour command that is looked at.
const MAX_COLOR: usize = 1024;
const MAX_URL: usize = 2048;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The emulator may have this, wrapped up as an OSC again.
    Pass(Vec<u8>),
    Report(Report),
    Drop,
}

/// `content` is what stands between `ESC ]` and its terminator.
pub(super) fn judge(content: &[u8]) -> Judgement {
    let text = String::from_utf8_lossy(content);
    let (number, rest) = text.split_once(';').unwrap_or((&text, ""));
    match number {
        "0" | "2" => Judgement::Report(Report::Title(short(rest, MAX_TITLE))),
        "4" | "10" | "11" | "12" | "104" | "110" | "111" | "112" if content.len() <= MAX_COLOR => {
            Judgement::Pass(content.to_vec())
        }
        "8" => Judgement::Pass(link(rest)),
        // `9;4;…` is the progress bar of ConEmu.
        "9" if !rest.starts_with("4;") => notification(rest),
        "52" => clipboard(rest),
        "777" => match rest.strip_prefix("notify;") {
            Some(text) => notification(text),
            None => Judgement::Drop,
        },
        _ => Judgement::Drop,
    }
}

fn short(text: &str, characters: usize) -> String {
    plain(text).chars().take(characters).collect()
}

fn notification(text: &str) -> Judgement {
    match short(text, MAX_NOTIFICATION) {
        text if text.trim().is_empty() => Judgement::Drop,
        text => Judgement::Report(Report::Notification(text)),
    }
}

/// `52;<selections>;<base64>`. A question (`?`) gets no answer: a program in a container never reads what
/// the user has copied.
fn clipboard(rest: &str) -> Judgement {
    let Some((_, data)) = rest.split_once(';') else {
        return Judgement::Drop;
    };
    let decoded = STANDARD
        .decode(data)
        .or_else(|_| STANDARD_NO_PAD.decode(data));
    match decoded {
        Ok(bytes) if !bytes.is_empty() => {
            Judgement::Report(Report::Clipboard(clipboard_text(&bytes)))
        }
        Ok(_) | Err(_) => Judgement::Drop,
    }
}

/// Text that can be pasted without harm: line breaks and tabs are its only controls.
fn clipboard_text(bytes: &[u8]) -> String {
    let keep = |character: &char| !character.is_control() || matches!(character, '\n' | '\t');
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(keep)
        .collect()
}

/// A link to another scheme, without a host or with odd characters ends the link before it.
fn link(rest: &str) -> Vec<u8> {
    let (parameters, url) = rest.split_once(';').unwrap_or(("", rest));
    match host_of(url) {
        Some(_) if parameters.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("8;{parameters};{url}").into_bytes()
        }
        _ => b"8;;".to_vec(),
    }
}

/// The host a browser would really go to: `http://good.example@evil.example/` leads to `evil.example`.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let lower = url.get(..8)?.to_ascii_lowercase();
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| lower.starts_with(scheme))?;
    // A backslash is a slash to browsers (WHATWG URL), so it must not hide where the host ends.
    let is_clean = url.len() <= MAX_URL
        && url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let authority = url[scheme.len()..].split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (is_clean && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &str, expected: Judgement) {
        assert_eq!(judge(content.as_bytes()), expected, "{content}");
    }

    fn report(report: Report) -> Judgement {
        Judgement::Report(report)
    }

    #[test]
    fn titles_and_notifications_are_plain_and_short() {
        check("0;vim a.rs", report(Report::Title("vim a.rs".to_owned())));
        check(
            "2;a\x1b[31m\u{202e}b",
            report(Report::Title("a<202E>b".to_owned())),
        );
        check("1;icon", Judgement::Drop);
        check("9;done", report(Report::Notification("done".to_owned())));
        check(
            "777;notify;build;done",
            report(Report::Notification("build;done".to_owned())),
        );
        check("9;4;1;50", Judgement::Drop);
        let long = judge(format!("2;{}", "x".repeat(5000)).as_bytes());
        assert_eq!(long, report(Report::Title("x".repeat(MAX_TITLE))));
    }

    #[test]
    fn the_clipboard_is_written_but_never_read() {
        check("52;c;aGk=", report(Report::Clipboard("hi".to_owned())));
        check("52;c;aGk", report(Report::Clipboard("hi".to_owned())));
        check(
            "52;;G1sybQo=",
            report(Report::Clipboard("[2m\n".to_owned())),
        );
        check("52;c;?", Judgement::Drop);
        check("52;c;", Judgement::Drop);
        check("52;c;!!!", Judgement::Drop);
    }

    #[test]
    fn links_go_to_web_hosts_only() {
        let pass = |text: &str| Judgement::Pass(text.as_bytes().to_vec());
        check("8;;https://example.org/a", pass("8;;https://example.org/a"));
        check(
            "8;id=1;http://example.org",
            pass("8;id=1;http://example.org"),
        );
        check("8;;", pass("8;;"));
        for bad in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https://@/",
            "https://a\u{202e}b/",
            "ssh://x",
        ] {
            check(&format!("8;;{bad}"), pass("8;;"));
        }
        assert_eq!(
            host_of("https://good.example@evil.example:8443/x"),
            Some("evil.example:8443")
        );
        assert_eq!(host_of("HTTP://example.org?x=@y"), Some("example.org"));
        assert_eq!(host_of("https://evil.example\\@good.example/"), None);
    }

    #[test]
    fn colours_pass_and_the_rest_does_nothing() {
        check("11;?", Judgement::Pass(b"11;?".to_vec()));
        check(
            "4;1;rgb:ff/00/00",
            Judgement::Pass(b"4;1;rgb:ff/00/00".to_vec()),
        );
        for other in [
            "7;file://host/",
            "133;A",
            "1337;File=:x",
            "22;hand",
            "50;CursorShape=1",
            "",
            "x",
        ] {
            check(other, Judgement::Drop);
        }
    }
}
