use serde_json::Value;

/// Why a template cannot be used or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonPathError {
    #[error("unclosed action")]
    UnclosedAction,
    #[error("unterminated array")]
    UnterminatedArray,
    #[error("unterminated filter")]
    UnterminatedFilter,
    #[error("unterminated quoted string")]
    UnterminatedString,
    #[error("invalid array index {0}")]
    InvalidIndex(String),
    #[error("unrecognized character in action: {0:?}")]
    UnexpectedCharacter(char),
    #[error("unrecognized identifier {0}")]
    UnknownIdentifier(String),
    #[error("not in range, nothing to end")]
    NothingToEnd,
    #[error("unclosed range: {{end}} is missing")]
    UnclosedRange,
    #[error(
        "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{{name1.name2}}' or '{{.name1.name2}}'"
    )]
    NotAPath,
    #[error("array index out of bounds: index {index}, length {length}")]
    OutOfBounds { index: i64, length: usize },
    #[error("{0} is not array or slice")]
    NotAnArray(String),
    #[error("starting index {from} is greater than ending index {to}")]
    Backwards { from: i64, to: i64 },
    #[error("step must be > 0")]
    InvalidStep,
    #[error("can only compare one element at a time")]
    ManyOperands,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// One `{…}`: its results are printed, separated by a blank.
    Action(Expression),
    Range {
        over: Expression,
        body: Vec<Node>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Literal(Value),
    Path(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Root,
    Field(String),
    /// `['a.b']`: a field of that name; where there is none, the path `.a.b`, as kubectl takes it.
    Quoted(String),
    Wildcard,
    /// The object and all objects and arrays below it.
    Recursive,
    Index(i64),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: i64,
    },
    Union(Vec<Vec<Step>>),
    Filter {
        left: Expression,
        test: Option<(Comparison, Expression)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

pub(super) fn parse_template(template: &str) -> Result<Vec<Node>, JsonPathError> {
    // Each open range keeps what it iterates over; the bottom of the stack is the template itself.
    let mut stack: Vec<(Option<Expression>, Vec<Node>)> = vec![(None, Vec::new())];
    let mut rest = template;
    while !rest.is_empty() {
        let Some(open) = rest.find('{') else {
            push(&mut stack, Node::Text(rest.to_owned()));
            break;
        };
        if open > 0 {
            push(&mut stack, Node::Text(rest[..open].to_owned()));
        }
        let mut parser = Parser {
            rest: &rest[open + 1..],
        };
        match parser.action()? {
            Action::Expression(expression) => push(&mut stack, Node::Action(expression)),
            Action::Range(over) => stack.push((Some(over), Vec::new())),
            Action::End => {
                let Some((Some(over), body)) = stack.pop() else {
                    return Err(JsonPathError::NothingToEnd);
                };
                push(&mut stack, Node::Range { over, body });
            }
        }
        rest = parser.rest;
    }
    match stack.pop() {
        Some((None, nodes)) => Ok(nodes),
        _ => Err(JsonPathError::UnclosedRange),
    }
}

fn push(stack: &mut [(Option<Expression>, Vec<Node>)], node: Node) {
    if let Some((_, nodes)) = stack.last_mut() {
        nodes.push(node);
    }
}

/// The relaxed form of `--sort-by` and custom columns: braces and the first dot may be missing.
pub(super) fn parse_relaxed(text: &str) -> Result<Vec<Node>, JsonPathError> {
    let text = text.trim();
    let inner = text
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .unwrap_or(text);
    if inner.is_empty() || inner.contains(['{', '}']) {
        return Err(JsonPathError::NotAPath);
    }
    let dot = if inner.starts_with(['.', '[', '$', '@']) {
        ""
    } else {
        "."
    };
    parse_template(&format!("{{{dot}{inner}}}"))
}

enum Action {
    Expression(Expression),
    Range(Expression),
    End,
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// The inside of `{…}` up to and with the closing brace.
    fn action(&mut self) -> Result<Action, JsonPathError> {
        self.skip_blanks();
        let action = if self.word("range") {
            Action::Range(self.expression(&['}'])?)
        } else if self.word("end") {
            Action::End
        } else {
            Action::Expression(self.expression(&['}'])?)
        };
        self.skip_blanks();
        match self.peek() {
            Some('}') => {
                self.rest = &self.rest[1..];
                Ok(action)
            }
            Some(other) => Err(JsonPathError::UnexpectedCharacter(other)),
            None => Err(JsonPathError::UnclosedAction),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let Some(after) = self.rest.strip_prefix(word) else {
            return false;
        };
        if after.starts_with(|next: char| next.is_ascii_alphanumeric()) {
            return false;
        }
        self.rest = after;
        true
    }

    /// A literal, or a path that ends before one of `stop`.
    fn expression(&mut self, stop: &[char]) -> Result<Expression, JsonPathError> {
        self.skip_blanks();
        match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.rest = &self.rest[1..];
                self.string(quote)
                    .map(|text| Expression::Literal(Value::String(text)))
            }
            Some(first) if first.is_ascii_digit() || first == '-' || first == '+' => self.number(),
            Some(first) if first.is_ascii_alphabetic() => {
                let length = self
                    .rest
                    .find(|next: char| !next.is_ascii_alphanumeric())
                    .unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(length);
                self.rest = rest;
                match word {
                    "true" => Ok(Expression::Literal(Value::Bool(true))),
                    "false" => Ok(Expression::Literal(Value::Bool(false))),
                    _ => Err(JsonPathError::UnknownIdentifier(word.to_owned())),
                }
            }
            _ => self.path(stop).map(Expression::Path),
        }
    }

    fn number(&mut self) -> Result<Expression, JsonPathError> {
        let length = self
            .rest
            .find(|next: char| !(next.is_ascii_digit() || matches!(next, '-' | '+' | '.')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        let digits = word.strip_prefix('+').unwrap_or(word);
        let value = serde_json::from_str::<Value>(digits);
        value
            .map(Expression::Literal)
            .map_err(|_| JsonPathError::UnknownIdentifier(word.to_owned()))
    }

    /// After the opening quote, to and with the closing one.
    fn string(&mut self, quote: char) -> Result<String, JsonPathError> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                _ if character == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                _ => text.push(character),
            }
        }
        Err(JsonPathError::UnterminatedString)
    }

    fn path(&mut self, stop: &[char]) -> Result<Vec<Step>, JsonPathError> {
        let mut steps = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Ok(steps),
                Some(next) if stop.contains(&next) => return Ok(steps),
                Some('$') => {
                    self.rest = &self.rest[1..];
                    steps.push(Step::Root);
                }
                Some('@') => self.rest = &self.rest[1..],
                Some('*') => {
                    self.rest = &self.rest[1..];
                    steps.push(Step::Wildcard);
                }
                Some('[') => {
                    self.rest = &self.rest[1..];
                    let step = self.bracket()?;
                    steps.push(step);
                }
                Some('.') => {
                    self.rest = &self.rest[1..];
                    if self.eat(".") {
                        steps.push(Step::Recursive);
                    }
                    if let Some(name) = self.field_name() {
                        steps.push(if name == "*" {
                            Step::Wildcard
                        } else {
                            Step::Field(name)
                        });
                    }
                }
                Some(other) => return Err(JsonPathError::UnexpectedCharacter(other)),
            }
        }
    }

    /// The name after a dot; a backslash takes the next character as it is.
    fn field_name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
                '.' | '[' | ']' | '{' | '}' | '(' | ')' | '=' | '!' | '<' | '>' | ',' | '$'
                | '@' => {
                    end = at;
                    break;
                }
                _ if character.is_whitespace() => {
                    end = at;
                    break;
                }
                _ => name.push(character),
            }
        }
        self.rest = &self.rest[end..];
        (!name.is_empty()).then_some(name)
    }

    /// After `[`, to and with `]`.
    fn bracket(&mut self) -> Result<Step, JsonPathError> {
        self.skip_blanks();
        if self.eat("?(") {
            return self.filter();
        }
        let mut parts = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(quote @ ('"' | '\'')) => {
                    self.rest = &self.rest[1..];
                    let name = self.string(quote)?;
                    parts.push(vec![Step::Quoted(name)]);
                }
                _ => {
                    let length = self
                        .rest
                        .find([',', ']'])
                        .ok_or(JsonPathError::UnterminatedArray)?;
                    let (index, rest) = self.rest.split_at(length);
                    self.rest = rest;
                    parts.push(vec![index_step(index.trim())?]);
                }
            }
            self.skip_blanks();
            if self.eat("]") {
                break;
            }
            if !self.eat(",") {
                return Err(JsonPathError::UnterminatedArray);
            }
        }
        // A single part is the step itself.
        if parts.len() == 1 && parts[0].len() == 1 {
            return parts
                .pop()
                .and_then(|mut part| part.pop())
                .ok_or(JsonPathError::UnterminatedArray);
        }
        Ok(Step::Union(parts))
    }

    fn filter(&mut self) -> Result<Step, JsonPathError> {
        const STOP: [char; 5] = [')', '=', '!', '<', '>'];
        let left = self.expression(&STOP)?;
        self.skip_blanks();
        let comparison = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ]
        .into_iter()
        .find(|(sign, _)| self.eat(sign));
        let test = match comparison {
            Some((_, comparison)) => Some((comparison, self.expression(&STOP)?)),
            None => None,
        };
        self.skip_blanks();
        if !self.eat(")") {
            return Err(JsonPathError::UnterminatedFilter);
        }
        self.skip_blanks();
        if !self.eat("]") {
            return Err(JsonPathError::UnterminatedFilter);
        }
        Ok(Step::Filter { left, test })
    }
}

fn index_step(text: &str) -> Result<Step, JsonPathError> {
    let invalid = || JsonPathError::InvalidIndex(text.to_owned());
    if text == "*" {
        return Ok(Step::Wildcard);
    }
    let parse = |part: &str| match part.trim() {
        "" => Ok(None),
        digits => digits.parse::<i64>().map(Some).map_err(|_| invalid()),
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        // kubectl reads empty brackets as the slice of the first element.
        [index] => Ok(parse(index)?.map_or(
            Step::Slice {
                from: Some(0),
                to: Some(1),
                step: 1,
            },
            Step::Index,
        )),
        [from, to] => Ok(Step::Slice {
            from: parse(from)?,
            to: parse(to)?,
            step: 1,
        }),
        [from, to, step] => {
            let step = parse(step)?.unwrap_or(1);
            if step < 1 {
                return Err(JsonPathError::InvalidStep);
            }
            Ok(Step::Slice {
                from: parse(from)?,
                to: parse(to)?,
                step,
            })
        }
        _ => Err(invalid()),
    }
}
