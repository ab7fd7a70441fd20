//! A list as it comes in: object by object, so that neither its text nor all of its objects are in memory at once.
//! Ten thousand pods are 25 MB as text and 180 MB as objects.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use hyper::body::Incoming;

use super::connection::broken;
use super::watch::{self, LONGEST_LINE};
use crate::client::ListPart;
use crate::model::{ApiError, Kind, Object};

/// What stands around the items: kind, version, and in some lists columns.
const LONGEST_REST: usize = 1 << 20;

/// The objects in parts as they arrive, their version at the end. It ends after an error.
pub(super) fn parts(kind: Kind, body: Incoming) -> BoxStream<'static, Result<ListPart, ApiError>> {
    let reading = Some((watch::bytes(body), Splitter::default()));
    stream::unfold(reading, move |reading| async move {
        let (mut body, mut splitter) = reading?;
        let part = match next_texts(&mut body, &mut splitter).await {
            Ok(Some(texts)) => objects(kind, &texts),
            Ok(None) => version(kind, &splitter),
            Err(error) => Err(error),
        };
        let goes_on = matches!(part, Ok(ListPart::Objects(_)));
        Some((part, goes_on.then_some((body, splitter))))
    })
    .boxed()
}

/// Hands every item of a list to `take`, in their order.
pub(super) async fn each_item(
    body: Incoming,
    mut take: impl FnMut(&[u8]) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let (mut body, mut splitter) = (watch::bytes(body), Splitter::default());
    while let Some(texts) = next_texts(&mut body, &mut splitter).await? {
        for text in &texts {
            take(text)?;
        }
    }
    splitter.is_whole().then_some(()).ok_or_else(cut_short)
}

/// The texts of the items that end in the next piece of the body that ends one.
async fn next_texts(
    body: &mut BoxStream<'static, Result<Bytes, ApiError>>,
    splitter: &mut Splitter,
) -> Result<Option<Vec<Vec<u8>>>, ApiError> {
    while let Some(data) = body.try_next().await? {
        let mut texts = Vec::new();
        splitter.push(&data, &mut texts);
        if splitter.item.len() > LONGEST_LINE || splitter.rest.len() > LONGEST_REST {
            return Err(broken("an object of a list is too long"));
        }
        if !texts.is_empty() {
            return Ok(Some(texts));
        }
    }
    Ok(None)
}

fn objects(kind: Kind, texts: &[Vec<u8>]) -> Result<ListPart, ApiError> {
    let objects = texts.iter().map(|text| Object::from_slice(kind, text));
    let objects = objects.collect::<Result<Vec<Object>, _>>();
    objects
        .map(ListPart::Objects)
        .map_err(|error| broken(&error.to_string()))
}

fn version(kind: Kind, splitter: &Splitter) -> Result<ListPart, ApiError> {
    if !splitter.is_whole() {
        return Err(cut_short());
    }
    let (_, version) = Object::list_from_slice(kind, &splitter.rest)
        .map_err(|error| broken(&error.to_string()))?;
    version
        .map(ListPart::Version)
        .ok_or_else(|| broken("a list without resourceVersion"))
}

fn cut_short() -> ApiError {
    broken("a list is cut short")
}

/// Takes the objects of the field `items` out of a JSON text that comes in pieces. It looks at brackets and strings
/// only; whether what they enclose is right shows when it is decoded.
#[derive(Default)]
struct Splitter {
    /// Open brackets and braces.
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// The last string of the outermost object; in front of a bracket that is the name of a field.
    name: Vec<u8>,
    in_items: bool,
    /// The item that has begun.
    item: Vec<u8>,
    /// Everything but the items.
    rest: Vec<u8>,
}

impl Splitter {
    fn push(&mut self, data: &[u8], texts: &mut Vec<Vec<u8>>) {
        for &byte in data {
            let is_between = self.in_items && self.depth == 2;
            self.step(byte);
            let ends = is_between && self.depth < 2;
            if self.in_items && (self.depth > 2 || !is_between) {
                self.item.push(byte);
            } else if !is_between || (ends || byte != b',') {
                self.rest.push(byte);
            }
            if self.in_items && !is_between && self.depth == 2 {
                texts.push(std::mem::take(&mut self.item));
            }
            self.in_items &= !ends;
            // The bracket of the items themselves belongs to the rest.
            self.in_items |= !is_between && self.opens_items(byte);
        }
    }

    fn opens_items(&self, byte: u8) -> bool {
        byte == b'[' && self.depth == 2 && !self.in_string && self.name == b"items"
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            if self.depth == 1 && self.in_string {
                self.name.push(byte);
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.name.clear();
                }
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn is_whole(&self) -> bool {
        self.depth == 0 && !self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the pieces are.
    #[track_caller]
    fn check(text: &str, items: &[&str], rest: &str) {
        for size in 1..=text.len() {
            let mut splitter = Splitter::default();
            let mut texts = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                splitter.push(piece, &mut texts);
            }
            let texts: Vec<&str> = texts
                .iter()
                .map(|text| std::str::from_utf8(text).unwrap())
                .collect();
            assert_eq!(texts, items, "{text} in pieces of {size}");
            assert_eq!(std::str::from_utf8(&splitter.rest).unwrap(), rest, "{text}");
            assert!(splitter.is_whole());
        }
    }

    #[test]
    fn items_are_taken_out_of_their_list() {
        check(
            r#"{"metadata":{"items":[1]},"items":[{"a":"]}\"{"},{"items":[{}]}],"kind":"L"}"#,
            &[r#"{"a":"]}\"{"}"#, r#"{"items":[{}]}"#],
            r#"{"metadata":{"items":[1]},"items":[],"kind":"L"}"#,
        );
        check(
            "{ \"items\" : [ {} , {\"b\":[[]]} ] }\n",
            &["{}", "{\"b\":[[]]}"],
            "{ \"items\" : [    ] }\n",
        );
        check(r#"{"items":[]}"#, &[], r#"{"items":[]}"#);
        check(r#"{"items":null}"#, &[], r#"{"items":null}"#);
        check(
            r#"{"kind":"items","x":[{}]}"#,
            &[],
            r#"{"kind":"items","x":[{}]}"#,
        );
    }

    #[test]
    fn the_version_may_come_before_and_after_the_items() {
        for text in [
            r#"{"metadata":{"resourceVersion":"7"},"items":[{"kind":"Pod"}]}"#,
            r#"{"items":[{"kind":"Pod"}],"metadata":{"resourceVersion":"7"}}"#,
        ] {
            let mut splitter = Splitter::default();
            splitter.push(text.as_bytes(), &mut Vec::new());
            let part = version(Kind::Pod, &splitter).unwrap();
            assert_eq!(part, ListPart::Version("7".parse().unwrap()));
        }
    }

    #[test]
    fn what_is_cut_short_is_no_list() {
        let text = r#"{"metadata":{"resourceVersion":"7"},"items":[{"kind":"Pod"}"#;
        let mut splitter = Splitter::default();
        splitter.push(text.as_bytes(), &mut Vec::new());
        assert!(version(Kind::Pod, &splitter).is_err());
        assert!(version(Kind::Pod, &Splitter::default()).is_err());
    }
}
