//! The one file that names the YAML library: its events as tokens of ours, places counted from 1.

use serde_yaml::granit_parser::{
    Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag,
};

use std::ops::Range;

use super::document::Place;

/// What a node's tag says about its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodeTag {
    None,
    /// `!`: not resolved, a string.
    NonSpecific,
    /// A tag of the YAML schemas, e.g. `int`.
    Core(String),
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    DocumentStart,
    DocumentEnd,
    Scalar {
        text: String,
        plain: bool,
        anchor: usize,
        tag: NodeTag,
        /// The bytes it was read from, when it stands in one piece that can be exchanged.
        source: Option<Range<usize>>,
    },
    ListStart {
        anchor: usize,
        tag: NodeTag,
    },
    ListEnd,
    MapStart {
        anchor: usize,
        tag: NodeTag,
    },
    MapEnd,
    Alias(usize),
}

/// The text is not YAML from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
    /// Where the double-quoted scalar with an escape that YAML does not know begins, in bytes.
    pub(super) bad_escape: Option<usize>,
}

pub(super) struct Tokens<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut options = serde_yaml::granit_parser::Options::default();
        options.set_emit_comments(false);
        // JSON in one line has keys that YAML would call too long to be simple.
        options.simple_key_max_lookahead = 64 * 1024;
        Self {
            parser: Parser::new_from_str_with_options(text, options),
        }
    }

    /// `None` at the end of the text.
    pub(super) fn next(&mut self) -> Option<Result<(Token, Place), SyntaxError>> {
        loop {
            let event = match self.parser.next_event()? {
                Ok(event) => event,
                Err(error) => return Some(Err(syntax_error(&error))),
            };
            let (event, span) = event;
            if let Some(token) = token(event, &span) {
                return Some(Ok((token, start(&span))));
            }
        }
    }

    /// Leaves the current document; false when there is no further one.
    pub(super) fn skip_document(&mut self) -> bool {
        self.parser.proceed_next_document().unwrap_or(false)
    }
}

fn syntax_error(error: &ScanError) -> SyntaxError {
    let message = error.info();
    let bad_escape = message.contains("unknown escape character");
    SyntaxError {
        place: place(error.marker()),
        bad_escape: bad_escape.then(|| error.marker().byte_offset()).flatten(),
        message,
    }
}

fn place(marker: &Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn start(span: &Span) -> Place {
    place(&span.start)
}

fn token(event: Event<'_>, span: &Span) -> Option<Token> {
    Some(match event {
        Event::DocumentStart(..) => Token::DocumentStart,
        Event::DocumentEnd => Token::DocumentEnd,
        Event::Alias(id) => Token::Alias(id),
        Event::Scalar(text, style, anchor, tag) => Token::Scalar {
            text: text.into_owned(),
            source: source(style, span),
            plain: style == ScalarStyle::Plain,
            anchor,
            tag: node_tag(tag.as_deref()),
        },
        Event::SequenceStart(_, anchor, tag) => Token::ListStart {
            anchor,
            tag: node_tag(tag.as_deref()),
        },
        Event::SequenceEnd => Token::ListEnd,
        Event::MappingStart(_, anchor, tag) => Token::MapStart {
            anchor,
            tag: node_tag(tag.as_deref()),
        },
        Event::MappingEnd => Token::MapEnd,
        // Stream boundaries, and the presentation events of options that are off.
        _ => return None,
    })
}

/// Block scalars are not exchanged: their indentation belongs to what is around them.
fn source(style: ScalarStyle, span: &Span) -> Option<Range<usize>> {
    let is_inline = matches!(
        style,
        ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted
    );
    span.byte_range()
        .filter(|range| is_inline && !range.is_empty())
}

fn node_tag(tag: Option<&Tag>) -> NodeTag {
    let Some(tag) = tag else {
        return NodeTag::None;
    };
    match tag.parts() {
        ("" | "!", "") | ("", "!") => NodeTag::NonSpecific,
        ("tag:yaml.org,2002:", suffix) => NodeTag::Core(suffix.to_owned()),
        _ => NodeTag::Other(tag.original()),
    }
}
