/// The words of a shell command. Variables and substitutions stay as they are written.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut symbols = line.chars().peekable();
    while let Some(symbol) = symbols.next() {
        match symbol {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\\' => match symbols.next() {
                // The end of a line that goes on.
                Some('\n') | None => {}
                Some('\r') => {
                    symbols.next_if_eq(&'\n');
                }
                Some(next) => word.get_or_insert_default().push(next),
            },
            '\'' => {
                let text = word.get_or_insert_default();
                loop {
                    match symbols.next() {
                        Some('\'') => break,
                        Some(inner) => text.push(inner),
                        None => return Err("a single quote is not closed".to_owned()),
                    }
                }
            }
            '"' => double_quoted(&mut symbols, word.get_or_insert_default())?,
            '$' if symbols.peek() == Some(&'(') => {
                let text = word.get_or_insert_default();
                text.push('$');
                loop {
                    match symbols.next() {
                        Some(')') => {
                            text.push(')');
                            break;
                        }
                        Some(inner) => text.push(inner),
                        None => return Err("$( is not closed".to_owned()),
                    }
                }
            }
            '|' | ';' | '&' | '<' | '>' => {
                return Err(format!(
                    "{symbol} belongs to the shell, not to docker run: paste only the command, or put it in quotes"
                ));
            }
            '#' if word.is_none() => break,
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(
    symbols: &mut std::iter::Peekable<std::str::Chars<'_>>,
    text: &mut String,
) -> Result<(), String> {
    loop {
        match symbols.next() {
            Some('"') => return Ok(()),
            Some('\\') => match symbols.next() {
                Some('\n') => {}
                Some(escaped @ ('"' | '\\' | '$' | '`')) => text.push(escaped),
                Some(other) => text.extend(['\\', other]),
                None => return Err("a double quote is not closed".to_owned()),
            },
            Some(inner) => text.push(inner),
            None => return Err("a double quote is not closed".to_owned()),
        }
    }
}
