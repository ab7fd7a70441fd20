use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret,
    ServiceAccount,
};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kind, ObjectKey, PodPreset, ResourceVersion};
use crate::base::Uid;

/// A type of object that the store keeps.
pub(crate) trait Resource:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    const KIND: Kind;

    fn meta(&self) -> &ObjectMeta;
    fn into_object(self: Arc<Self>) -> Object;
    fn from_object(object: &Object) -> Option<&Arc<Self>>;

    fn key(&self) -> ObjectKey {
        let meta = self.meta();
        ObjectKey::new(
            Self::KIND,
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        )
    }

    /// Empty before the store has assigned one.
    fn uid(&self) -> Uid {
        Uid::new(self.meta().uid.clone().unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct RawList<T> {
    metadata: RawListMeta,
    items: Option<Vec<Arc<T>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawListMeta {
    resource_version: Option<String>,
}

#[derive(Deserialize)]
struct RawEvent<T> {
    object: Arc<T>,
}

macro_rules! objects {
    ($($kind:ident),+) => {
        /// One object of any stored kind. Cloning is cheap.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Object {
            $($kind(Arc<$kind>),)+
        }

        impl Object {
            pub(crate) fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)+ }
            }

            pub(crate) fn meta(&self) -> &ObjectMeta {
                match self { $(Self::$kind(object) => &object.metadata,)+ }
            }

            /// Copies the object first when it is shared.
            pub(crate) fn meta_mut(&mut self) -> &mut ObjectMeta {
                match self { $(Self::$kind(object) => &mut Arc::make_mut(object).metadata,)+ }
            }

            /// The JSON of the object, `apiVersion` and `kind` included.
            pub(crate) fn to_value(&self) -> Value {
                match self { $(Self::$kind(object) => serde_json::to_value(&**object),)+ }
                    .expect("API types have string keys and no failing serializer")
            }

            /// As [`Object::from_value`], from the text itself.
            pub(crate) fn from_slice(kind: Kind, text: &[u8]) -> Result<Self, serde_json::Error> {
                match kind {
                    $(Kind::$kind => serde_json::from_slice(text).map(Self::$kind),)+
                }
            }

            /// The objects of a list and its version, without the detour over a tree of values: ten thousand
            /// pods are 150 MB as one.
            pub(crate) fn list_from_slice(
                kind: Kind,
                text: &[u8],
            ) -> Result<(Vec<Self>, Option<ResourceVersion>), serde_json::Error> {
                match kind {
                    $(Kind::$kind => serde_json::from_slice::<RawList<$kind>>(text).map(|list| {
                        let version = list.metadata.resource_version;
                        let items = list.items.unwrap_or_default().into_iter().map(Self::$kind);
                        (items.collect(), version.and_then(|text| text.parse().ok()))
                    }),)+
                }
            }

            /// The object of a watch event.
            pub(crate) fn from_event(kind: Kind, text: &[u8]) -> Result<Self, serde_json::Error> {
                match kind {
                    $(Kind::$kind => serde_json::from_slice::<RawEvent<$kind>>(text)
                        .map(|event| Self::$kind(event.object)),)+
                }
            }

            /// Lenient: unknown fields are dropped. For data that podtui wrote itself; input from users
            /// goes through `decode`.
            pub(crate) fn from_value(kind: Kind, value: Value) -> Result<Self, serde_json::Error> {
                match kind {
                    $(Kind::$kind => serde_json::from_value::<$kind>(value).map(|object| Self::$kind(Arc::new(object))),)+
                }
            }
        }

        $(impl Resource for $kind {
            const KIND: Kind = Kind::$kind;

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn into_object(self: Arc<Self>) -> Object {
                Object::$kind(self)
            }

            fn from_object(object: &Object) -> Option<&Arc<Self>> {
                match object {
                    Object::$kind(object) => Some(object),
                    _ => None,
                }
            }
        })+
    };
}

objects!(
    Pod,
    ConfigMap,
    Secret,
    ServiceAccount,
    PodPreset,
    Event,
    Node,
    Namespace,
    PersistentVolume,
    PersistentVolumeClaim,
    PriorityClass
);

impl Object {
    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(self.kind(), self.namespace(), self.name())
    }

    pub(crate) fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    /// Empty for kinds without namespaces.
    pub(crate) fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> Uid {
        Uid::new(self.meta().uid.clone().unwrap_or_default())
    }

    /// 0 before the store has assigned one.
    pub(crate) fn resource_version(&self) -> ResourceVersion {
        self.meta()
            .resource_version
            .as_deref()
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }
}
