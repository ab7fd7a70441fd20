use std::ops::Range;

use serde_json::Value;

use super::build::{Builder, Built, Failure, Problem};
use super::document::{Children, Excerpt, Place, Places};
use super::{Diagnostic, Document, Severity};

/// Larger texts are refused unread. The API takes objects of at most 3 MiB; a file may hold a few.
const TEXT_MAX: usize = 16 << 20;

/// How many scalars with `\'` are tolerated in one text; every one costs another reading.
const REPAIRS_MAX: usize = 20;

/// More errors than this help nobody and are costly to describe.
const DIAGNOSTICS_MAX: usize = 100;

/// What a text holds: the objects that could be read, and what is wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LoadResult {
    pub(crate) documents: Vec<Document>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads every object of a text. `source` is the file name for messages, `-` for standard input.
///
/// Empty documents are skipped and lists (`kind: List`) are taken apart. A document with any error is left out;
/// the ones around it are not. A text without any object gets a warning.
pub(crate) fn load(text: &str, source: &str) -> LoadResult {
    let mut loader = Loader {
        text,
        source,
        result: LoadResult::default(),
        excerpts: Vec::new(),
    };
    loader.run();
    loader.result
}

struct Loader<'a> {
    text: &'a str,
    source: &'a str,
    result: LoadResult,
    /// The first line (from 1) and the bytes of each document.
    excerpts: Vec<(usize, Range<usize>)>,
}

const START: Place = Place { line: 1, column: 1 };

impl Loader<'_> {
    fn run(&mut self) {
        if self.text.len() > TEXT_MAX {
            let message = format!("the file is larger than {} MiB", TEXT_MAX >> 20);
            self.report(Problem {
                place: START,
                message,
            });
            return;
        }
        // The byte order mark that some editors put in front is not part of the text.
        let text = self.text.strip_prefix('\u{feff}').unwrap_or(self.text);
        self.excerpts = excerpts(text);
        let mut repaired = self.read(text, true);
        for repairs_left in (0..REPAIRS_MAX).rev() {
            let Some(text) = repaired else { break };
            self.result = LoadResult::default();
            // Places in the repaired text are not those of the file.
            self.excerpts.clear();
            repaired = self.read(&text, repairs_left > 0);
        }
        if self.result.documents.is_empty() && self.result.diagnostics.is_empty() {
            self.report(Problem {
                place: START,
                message: "there is no object in this file".to_owned(),
            });
            // One file of a directory may be empty; whether any object is left is for the caller to see.
            for diagnostic in &mut self.result.diagnostics {
                diagnostic.severity = Severity::Warning;
            }
        }
    }

    /// Reads all documents. When one fails for `\'` in a double-quoted scalar and `repair` is set, nothing is
    /// reported and the repaired text is returned, to be read instead.
    fn read(&mut self, text: &str, repair: bool) -> Option<String> {
        let mut builder = Builder::new(text);
        while let Some(document) = builder.next_document() {
            let problem = match document {
                Ok(built) => {
                    self.accept(built, text);
                    continue;
                }
                Err(Failure::Syntax(problem)) => problem,
                Err(Failure::Escape(problem, start)) => {
                    let repaired = repair.then(|| without_escaped_apostrophes(text, start));
                    match repaired.flatten() {
                        Some(text) => return Some(text),
                        None => problem,
                    }
                }
                Err(Failure::Abuse(problem)) => {
                    self.report(problem);
                    return None;
                }
            };
            let place = problem.place;
            self.report_syntax(problem);
            if self.result.diagnostics.len() >= DIAGNOSTICS_MAX {
                let message = "too many errors; the rest of the file was not read".to_owned();
                self.report(Problem { place, message });
                break;
            }
            if !builder.skip_document() {
                break;
            }
        }
        None
    }

    fn report(&mut self, problem: Problem) {
        self.result.diagnostics.push(Diagnostic {
            source: self.source.to_owned(),
            line: problem.place.line,
            column: problem.place.column,
            severity: Severity::Error,
            path: String::new(),
            message: problem.message,
        });
    }

    /// A tab at the beginning of a line is the usual reason and the parser's message seldom says so.
    fn report_syntax(&mut self, problem: Problem) {
        let line = problem.place.line;
        // A scalar that a tab breaks off is reported where it begins.
        let next = if problem.message.contains("tab") {
            line + 1
        } else {
            line
        };
        let tab = [line, next, line.saturating_sub(1)]
            .into_iter()
            .find_map(|line| {
                let text = self.text.lines().nth(line.checked_sub(1)?)?;
                let indent = text.find(|symbol: char| !symbol.is_whitespace())?;
                let column = text[..indent].chars().position(|symbol| symbol == '\t')? + 1;
                Some(Place { line, column })
            });
        match tab {
            Some(place) => self.report(Problem {
                place,
                message: "found a tab character in the indentation; YAML is indented with blanks"
                    .to_owned(),
            }),
            None => self.report(Problem {
                place: problem.place,
                message: format!("invalid YAML: {}", problem.message),
            }),
        }
    }

    fn accept(&mut self, built: Built, text: &str) {
        if built.problems.is_empty() {
            let excerpt = self.excerpt(text, built.places.place.line);
            self.unfold(built.value, built.places, excerpt);
            return;
        }
        for problem in built.problems {
            self.report(problem);
        }
    }

    fn excerpt(&self, text: &str, line: usize) -> Option<Excerpt> {
        let behind = self.excerpts.partition_point(|(first, _)| *first <= line);
        let (_, range) = self.excerpts.get(behind.checked_sub(1)?)?;
        Some(Excerpt {
            text: text.get(range.clone())?.into(),
            start: range.start,
        })
    }

    /// Takes lists apart, also lists in lists; their depth is bounded by that of the text.
    fn unfold(&mut self, value: Value, places: Places, excerpt: Option<Excerpt>) {
        let kind = value.get("kind").and_then(Value::as_str);
        let item_kind = kind.and_then(|kind| kind.strip_suffix("List"));
        let items = value.get("items");
        if kind == Some("List") && !matches!(items, Some(Value::Array(_))) {
            let found = items.map_or("not set", describe);
            return self.report(Problem {
                place: place_of_items(&places),
                message: format!("items: {found}; the items of a List must be a list of objects"),
            });
        }
        let (Some(item_kind), Some(Value::Array(_))) = (item_kind, items) else {
            if !value.is_null() {
                self.result.documents.push(Document {
                    value,
                    source: self.source.to_owned(),
                    places,
                    excerpt,
                });
            }
            return;
        };
        let item_kind = item_kind.to_owned();
        let api_version = value.get("apiVersion").cloned();
        let item_places = item_places(&places);
        let Value::Object(mut list) = value else {
            return;
        };
        let Some(Value::Array(items)) = list.swap_remove("items") else {
            return;
        };
        for (index, mut item) in items.into_iter().enumerate() {
            // The items of a typed list (`PodList`) may leave their type out.
            if let (Value::Object(item), false) = (&mut item, item_kind.is_empty()) {
                item.entry("kind")
                    .or_insert_with(|| item_kind.clone().into());
                if let Some(version) = &api_version {
                    item.entry("apiVersion").or_insert_with(|| version.clone());
                }
            }
            let fallback = || Places::leaf(places.place);
            let places = item_places.get(index).cloned().unwrap_or_else(fallback);
            self.unfold(item, places, None);
        }
    }
}

/// Where documents begin and end. A line that begins with `---` or `...` is a marker wherever it stands: neither
/// quoted nor block scalars may hold one (YAML 1.2, rule c-forbidden).
fn excerpts(text: &str) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    let (mut first_line, mut start, mut offset) = (1, 0, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .or_else(|| line.strip_prefix("..."));
        if let Some(rest) =
            marker.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        {
            found.push((first_line, start..offset));
            let is_alone = rest.trim_start().is_empty() || rest.trim_start().starts_with('#');
            let skipped = if is_alone { line.len() } else { 3 };
            (first_line, start) = (index + 1, offset + skipped);
        }
        offset += line.len();
    }
    found.push((first_line, start..offset));
    found
}

/// Go's YAML reader takes `\'` in a double-quoted scalar for an apostrophe, and manifests in the wild use it. YAML
/// does not know it. `start` is the byte of the opening quote.
fn without_escaped_apostrophes(text: &str, start: usize) -> Option<String> {
    let scalar = text.get(start..)?;
    let mut symbols = scalar.char_indices();
    if symbols.next()?.1 != '"' {
        return None;
    }
    let mut repaired = text[..=start].to_owned();
    let mut found = false;
    while let Some((index, symbol)) = symbols.next() {
        match symbol {
            '"' => {
                repaired.push_str(&scalar[index..]);
                return found.then_some(repaired);
            }
            '\\' => match symbols.next()?.1 {
                '\'' => {
                    found = true;
                    repaired.push('\'');
                }
                other => repaired.extend(['\\', other]),
            },
            other => repaired.push(other),
        }
    }
    None
}

/// What a value is, in the middle of a sentence.
fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Where `items` stands, or the list that should have it.
fn place_of_items(places: &Places) -> Place {
    let Children::Map(map) = &places.children else {
        return places.place;
    };
    map.get("items").map_or(places.place, |items| items.place)
}

fn item_places(places: &Places) -> Vec<Places> {
    let Children::Map(map) = &places.children else {
        return Vec::new();
    };
    match map.get("items").map(|items| &items.children) {
        Some(Children::List(list)) => list.clone(),
        _ => Vec::new(),
    }
}
