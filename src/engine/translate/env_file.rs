//! Files of variables for `fileKeyRef` (KEP-3721): lines `KEY='value'`, where the quoted value may go over
//! several lines; empty lines and lines that begin with `#` do not count.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvFileError {
    #[error("line {0}: not KEY='value'")]
    Syntax(usize),
    #[error("line {0}: the closing quote is missing")]
    Open(usize),
    #[error("line {0}: nothing may follow the closing quote")]
    Trailing(usize),
}

/// The value of `key`; the last one counts. The whole file is checked whether or not the key is in it.
pub(super) fn value(text: &str, key: &str) -> Result<Option<String>, EnvFileError> {
    let mut found = None;
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if first.trim().is_empty() || first.starts_with('#') {
            rest = after;
            line += 1;
            continue;
        }
        let (name, quoted) = rest.split_once("='").ok_or(EnvFileError::Syntax(line))?;
        let is_name = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'=';
        if name.is_empty()
            || !name.bytes().all(is_name)
            || name.starts_with(' ')
            || name.ends_with(' ')
        {
            return Err(EnvFileError::Syntax(line));
        }
        let (content, after) = quoted.split_once('\'').ok_or(EnvFileError::Open(line))?;
        line += content.matches('\n').count();
        rest = match after.strip_prefix('\n') {
            Some(next) => next,
            None if after.is_empty() => "",
            None => return Err(EnvFileError::Trailing(line)),
        };
        line += 1;
        if name == key {
            found = Some(content.to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Option<&str>, EnvFileError>) {
        let expected = expected.map(|value| value.map(str::to_owned));
        assert_eq!(value(text, "K"), expected, "{text:?}");
    }

    #[test]
    fn quoted_values_only() {
        check("", Ok(None));
        check("K='v'", Ok(Some("v")));
        check("# K='no'\n\nA='1'\nK='v'\n", Ok(Some("v")));
        check(
            "K='two\nlines # kept'\nA=''\n",
            Ok(Some("two\nlines # kept")),
        );
        check("K=''\n", Ok(Some("")));
        check("K='1'\nK='2'\n", Ok(Some("2")));
        check("K='$(A) \"x\"'", Ok(Some("$(A) \"x\"")));
        check("K=v\n", Err(EnvFileError::Syntax(1)));
        check("K=\"v\"\n", Err(EnvFileError::Syntax(1)));
        check("\nK ='v'\n", Err(EnvFileError::Syntax(2)));
        check("='v'\n", Err(EnvFileError::Syntax(1)));
        check("K='v\n", Err(EnvFileError::Open(1)));
        check("A='1\n2'\nK='v' # x\n", Err(EnvFileError::Trailing(3)));
    }
}
