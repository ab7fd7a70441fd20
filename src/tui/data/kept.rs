use std::sync::Arc;

use k8s_openapi::api::core::v1::Event;

use super::packed::Packed;
use crate::base::Uid;
use crate::model::{Kind, Object};

/// An object as a row keeps it.
///
/// A pod is some 18 KiB in memory and half a KiB as packed text, because its type has room for every field there is. So
/// a pod that nobody else holds, which is one that came over a socket, is kept as text and read again when somebody
/// wants to know more of it than its row says. Objects of the engine in this process are shared with it as they are.
#[derive(Clone, Debug)]
pub(in crate::tui) enum Kept {
    Whole(Object),
    Text { kind: Kind, uid: Uid, text: Packed },
}

impl Kept {
    pub(super) fn of(object: Object) -> Self {
        let text = match &object {
            Object::Pod(pod) if Arc::strong_count(pod) == 1 => Packed::of(&**pod),
            _ => None,
        };
        match text {
            Some(text) => Self::Text {
                kind: object.kind(),
                uid: object.uid(),
                text,
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

    /// Reads it when it is kept as text; nothing of that stays.
    pub(in crate::tui) fn to_object(&self) -> Object {
        match self {
            Self::Whole(object) => object.clone(),
            Self::Text { kind, text, .. } => Object::from_slice(*kind, &text.text())
                .expect("the text was written from an object of this kind"),
        }
    }

    /// Events are never text: every frame of a list of them needs all that they say.
    pub(in crate::tui) fn event(&self) -> Option<&Event> {
        match self {
            Self::Whole(Object::Event(event)) => Some(event),
            Self::Whole(_) | Self::Text { .. } => None,
        }
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
            assert!(matches!(kept, Kept::Text { .. }));
            assert_eq!((kept.uid(), kept.to_object()), (object.uid(), object));
        }
    }
}
