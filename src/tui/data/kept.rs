use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::base::Uid;
use crate::model::{Kind, Object};

/// An object as a row keeps it. It reads like the [`Object`] itself.
///
/// A pod is some 18 KiB in memory and 3 KiB as text, because its type has room for every field there is. So a
/// pod that nobody else holds, which is one that came over a socket, is kept as text until somebody wants to
/// know more of it than its row says. Objects of the engine in this process are shared with it as they are.
#[derive(Clone)]
pub(in crate::tui) enum Kept {
    Whole(Object),
    Text {
        kind: Kind,
        uid: Uid,
        text: Box<[u8]>,
        whole: OnceLock<Object>,
    },
}

impl Kept {
    pub(super) fn of(object: Object) -> Self {
        let text = match &object {
            Object::Pod(pod) if Arc::strong_count(pod) == 1 => serde_json::to_vec(&**pod).ok(),
            _ => None,
        };
        match text {
            Some(text) => Self::Text {
                kind: object.kind(),
                uid: object.uid(),
                text: text.into(),
                whole: OnceLock::new(),
            },
            None => Self::Whole(object),
        }
    }

    /// Asked for by every message; needs no more than what is at hand.
    pub(in crate::tui) fn uid(&self) -> Uid {
        match self {
            Self::Whole(object) => object.uid(),
            Self::Text { uid, .. } => uid.clone(),
        }
    }

    /// The object for once: nothing of it stays.
    pub(in crate::tui) fn to_object(&self) -> Object {
        match self {
            Self::Whole(object) => object.clone(),
            Self::Text {
                kind, text, whole, ..
            } => match whole.get() {
                Some(object) => object.clone(),
                None => read(*kind, text),
            },
        }
    }
}

fn read(kind: Kind, text: &[u8]) -> Object {
    Object::from_slice(kind, text).expect("the text was written from an object of this kind")
}

impl Deref for Kept {
    type Target = Object;

    fn deref(&self) -> &Object {
        match self {
            Self::Whole(object) => object,
            Self::Text {
                kind, text, whole, ..
            } => whole.get_or_init(|| read(*kind, text)),
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_object().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::{crashing, running};

    #[test]
    fn an_object_reads_the_same_from_its_text() {
        for object in [running("a"), crashing("b")] {
            let shared = Kept::of(object.clone());
            assert!(matches!(shared, Kept::Whole(_)), "the engine holds it, too");
            drop(shared);
            // Made again, so that nobody else holds it.
            let own = Object::from_value(Kind::Pod, object.to_value()).unwrap();
            let kept = Kept::of(own);
            let Kept::Text { whole, .. } = &kept else {
                panic!("kept whole");
            };
            assert_eq!(
                (kept.uid(), kept.to_object()),
                (object.uid(), object.clone())
            );
            assert!(whole.get().is_none(), "nothing of it stays");
            assert_eq!(*kept, object);
        }
    }
}
