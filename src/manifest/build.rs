//! Tokens to values: aliases and merges are expanded within a budget, duplicate keys are errors.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::document::{Children, Place, Places};
use super::scalar;
use super::yaml::{NodeTag, SyntaxError, Token, Tokens};

/// Nodes and bytes of text that all aliases of one text may add. Far beyond any honest manifest (an API object
/// is at most a few MiB), far below what hurts.
const ALIAS_NODES: usize = 100_000;
const ALIAS_BYTES: usize = 8 << 20;
/// Values of one text, whatever their size: hundreds of the largest honest objects.
const NODES_MAX: usize = 250_000;
/// Levels of lists and maps in each other. The deepest place of a Pod is at about 12.
const DEPTH: usize = 100;

/// Something wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) message: String,
}

/// Why a document has no value.
pub(super) enum Failure {
    /// Its text cannot be read; the next document can.
    Syntax(Problem),
    /// The same, and the reason is an escape in the double-quoted scalar at this byte.
    Escape(Problem, usize),
    /// Reading any further is not safe.
    Abuse(Problem),
}

impl From<SyntaxError> for Failure {
    fn from(error: SyntaxError) -> Self {
        let problem = Problem {
            place: error.place,
            message: error.message,
        };
        match error.bad_escape {
            Some(start) => Self::Escape(problem, start),
            None => Self::Syntax(problem),
        }
    }
}

struct Node {
    value: Value,
    places: Places,
    /// Nodes and bytes below, itself included: what one more copy costs.
    size: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.bytes += other.bytes;
    }
}

/// Builds the documents of one text, one after the other.
pub(super) struct Builder<'a> {
    tokens: Tokens<'a>,
    anchors: HashMap<usize, (Value, Size)>,
    /// What anchors and aliases have cost so far.
    spent: Size,
    nodes: usize,
    problems: Vec<Problem>,
}

/// A document that could be read to its end, with what is wrong inside it.
pub(super) struct Built {
    pub(super) value: Value,
    pub(super) places: Places,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            tokens: Tokens::new(text),
            anchors: HashMap::new(),
            spent: Size::default(),
            nodes: 0,
            problems: Vec::new(),
        }
    }

    /// `None` after the last document.
    pub(super) fn next_document(&mut self) -> Option<Result<Built, Failure>> {
        self.anchors.clear();
        self.problems.clear();
        loop {
            match self.tokens.next()? {
                Ok((Token::DocumentStart, _)) => break,
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
        }
        Some(self.document())
    }

    pub(super) fn skip_document(&mut self) -> bool {
        self.tokens.skip_document()
    }

    fn document(&mut self) -> Result<Built, Failure> {
        let (token, place) = self.token()?;
        let node = if token == Token::DocumentEnd {
            return Ok(Built {
                value: Value::Null,
                places: Places::leaf(place),
                problems: Vec::new(),
            });
        } else {
            self.node(token, place, 0)?
        };
        match self.token()? {
            (Token::DocumentEnd, _) => Ok(Built {
                value: node.value,
                places: node.places,
                problems: std::mem::take(&mut self.problems),
            }),
            (_, place) => Err(Failure::Syntax(Problem {
                place,
                message: "the document was expected to end here".to_owned(),
            })),
        }
    }

    fn token(&mut self) -> Result<(Token, Place), Failure> {
        match self.tokens.next() {
            Some(token) => Ok(token?),
            None => Err(Failure::Syntax(Problem {
                place: Place { line: 0, column: 0 },
                message: "the text ends within a document".to_owned(),
            })),
        }
    }

    fn problem(&mut self, place: Place, message: impl Into<String>) {
        let message = message.into();
        self.problems.push(Problem { place, message });
    }

    fn node(&mut self, token: Token, place: Place, depth: usize) -> Result<Node, Failure> {
        if depth > DEPTH {
            let message = format!("lists and maps are nested more than {DEPTH} levels deep");
            return Err(Failure::Abuse(Problem { place, message }));
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("the file holds more than {NODES_MAX} values");
            return Err(Failure::Abuse(Problem { place, message }));
        }
        let (node, anchor) = match token {
            Token::Scalar {
                text,
                plain,
                anchor,
                tag,
                source,
            } => {
                let mut node = self.scalar(&text, plain, &tag, place);
                node.places.source = source;
                (node, anchor)
            }
            Token::ListStart { anchor, tag } => {
                self.collection_tag(&tag, "seq", place);
                (self.list(place, depth)?, anchor)
            }
            Token::MapStart { anchor, tag } => {
                self.collection_tag(&tag, "map", place);
                (self.map(place, depth)?, anchor)
            }
            Token::Alias(id) => return self.alias(id, place),
            Token::DocumentStart | Token::DocumentEnd | Token::ListEnd | Token::MapEnd => {
                let message = "a value was expected here".to_owned();
                return Err(Failure::Syntax(Problem { place, message }));
            }
        };
        if anchor > 0 {
            // The copy that is kept costs as much as one that is used; anchors nest.
            self.spend(node.size, place)?;
            self.anchors.insert(anchor, (node.value.clone(), node.size));
        }
        Ok(node)
    }

    fn collection_tag(&mut self, tag: &NodeTag, own: &str, place: Place) {
        match tag {
            NodeTag::None | NodeTag::NonSpecific => {}
            NodeTag::Core(core) if core == own => {}
            NodeTag::Core(core) => self.problem(place, format!("the tag !!{core} does not fit")),
            NodeTag::Other(tag) => self.problem(place, format!("the tag {tag} is not known")),
        }
    }

    fn scalar(&mut self, text: &str, plain: bool, tag: &NodeTag, place: Place) -> Node {
        let value = match scalar::resolve(text, plain, tag) {
            Ok(value) => value,
            Err(message) => {
                self.problem(place, message);
                Value::Null
            }
        };
        Node {
            value,
            places: Places::leaf(place),
            size: Size {
                nodes: 1,
                bytes: text.len(),
            },
        }
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<Node, Failure> {
        let Some((value, size)) = self.anchors.get(&id) else {
            // The parser knows the anchor, so it is one whose node is still being read.
            let message = "an alias stands inside the node that it refers to".to_owned();
            return Err(Failure::Syntax(Problem { place, message }));
        };
        let node = Node {
            value: value.clone(),
            places: Places::leaf(place),
            size: *size,
        };
        self.spend(node.size, place)?;
        Ok(node)
    }

    fn spend(&mut self, size: Size, place: Place) -> Result<(), Failure> {
        self.spent.add(size);
        if self.spent.nodes <= ALIAS_NODES && self.spent.bytes <= ALIAS_BYTES {
            return Ok(());
        }
        let message = format!(
            "anchors and aliases expand to more than {ALIAS_NODES} values or {} MiB of text",
            ALIAS_BYTES >> 20
        );
        Err(Failure::Abuse(Problem { place, message }))
    }

    fn list(&mut self, place: Place, depth: usize) -> Result<Node, Failure> {
        let (mut items, mut places) = (Vec::new(), Vec::new());
        let mut size = Size { nodes: 1, bytes: 0 };
        loop {
            let (token, item_place) = self.token()?;
            if token == Token::ListEnd {
                break;
            }
            let node = self.node(token, item_place, depth + 1)?;
            size.add(node.size);
            items.push(node.value);
            places.push(node.places);
        }
        Ok(Node {
            value: Value::Array(items),
            places: Places {
                place,
                source: None,
                children: Children::List(places),
            },
            size,
        })
    }

    fn map(&mut self, place: Place, depth: usize) -> Result<Node, Failure> {
        let mut map = Map::new();
        let mut places: HashMap<String, Places> = HashMap::new();
        let mut merges = Vec::new();
        let mut size = Size { nodes: 1, bytes: 0 };
        loop {
            let (token, key_place) = self.token()?;
            if token == Token::MapEnd {
                break;
            }
            let merge = matches!(&token, Token::Scalar { text, plain: true, tag: NodeTag::None, .. } if text == "<<");
            let key = self.key(token, key_place, depth)?;
            let (token, value_place) = self.token()?;
            let node = self.node(token, value_place, depth + 1)?;
            size.add(node.size);
            let Some(key) = key else { continue };
            if merge {
                merges.push((node.value, key_place));
                continue;
            }
            size.bytes += key.len();
            if let Some(first) = places.get(&key) {
                let line = first.place.line;
                self.problem(
                    key_place,
                    format!("key {key:?} already set in map (line {line})"),
                );
                continue;
            }
            let at_key = Places {
                place: key_place,
                ..node.places
            };
            places.insert(key.clone(), at_key);
            map.insert(key, node.value);
        }
        for (value, place) in merges {
            self.merge(&mut map, value, place);
        }
        Ok(Node {
            value: Value::Object(map),
            places: Places {
                place,
                source: None,
                children: Children::Map(places),
            },
            size,
        })
    }

    /// `None` when the key is unusable, which has been noted.
    fn key(&mut self, token: Token, place: Place, depth: usize) -> Result<Option<String>, Failure> {
        let key = match token {
            Token::Scalar {
                text,
                plain,
                anchor,
                tag,
                source: _,
            } => {
                let key = scalar::key(&text, plain, &tag);
                if let (Ok(key), true) = (&key, anchor > 0) {
                    let size = Size {
                        nodes: 1,
                        bytes: key.len(),
                    };
                    self.anchors
                        .insert(anchor, (Value::String(key.clone()), size));
                }
                key
            }
            other => match self.node(other, place, depth + 1)?.value {
                Value::String(text) => Ok(text),
                Value::Bool(value) => Ok(value.to_string()),
                Value::Number(value) => Ok(value.to_string()),
                Value::Null => Err("a key must not be null".to_owned()),
                Value::Array(_) | Value::Object(_) => {
                    Err("a list or map cannot be a key".to_owned())
                }
            },
        };
        match key {
            Ok(key) => Ok(Some(key)),
            Err(message) => {
                self.problem(place, message);
                Ok(None)
            }
        }
    }

    /// `<<`: keys that are written down win over merged ones, earlier merges over later ones.
    fn merge(&mut self, map: &mut Map<String, Value>, value: Value, place: Place) {
        match value {
            Value::Object(other) => {
                for (key, value) in other {
                    map.entry(key).or_insert(value);
                }
            }
            Value::Array(list) if list.iter().all(Value::is_object) => {
                for value in list {
                    self.merge(map, value, place);
                }
            }
            _ => self.problem(
                place,
                "map merge requires map or sequence of maps as the value",
            ),
        }
    }
}
