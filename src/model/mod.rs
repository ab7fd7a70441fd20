//! The API vocabulary: Kubernetes objects as `k8s-openapi` types and the small pure rules about them
//! that several rooms need. No IO, no clock.
//!
//! * [`Kind`], [`Object`], [`Resource`], [`ObjectKey`] — which kinds exist and how to handle one without
//!   knowing which it is.
//! * [`ApiError`], [`FieldError`] — refusals in the shapes of the Kubernetes API (`metav1.Status`).
//! * [`decode`] — JSON to typed object, strictly: unknown fields and wrong types are reported with their path.
//! * [`fields`] — the types of the API: protobuf numbers, and how lists are merged.
//! * [`managed`] — who manages which fields, and server-side apply.
//! * [`applied`] — what `apply` remembers on an object, and the patch it sends.
//! * [`quantity`], [`selector`], [`patch`], [`names`], [`pod`], [`downward`] — the small languages and rules of
//!   the API.
//! * [`restarts`] — restarts of containers in place, as they are asked for.
//! * [`priority`] — how important pods are, and the classes that say so.
//! * [`storage`] — what persistent volumes, their claims and the pods that use them are to each other.
//! * [`unsupported`] — fields that are valid and not carried out yet, each with what happens instead.
//!
//! A kind that podtui does not have yet is refused by name in [`decode`]; it is never silently ignored.

mod api_error;
pub(crate) mod applied;
pub(crate) mod decode;
pub(crate) mod downward;
mod expansion;
mod field_error;
pub(crate) mod fields;
mod key;
mod kind;
pub(crate) mod managed;
pub(crate) mod names;
mod object;
pub(crate) mod patch;
pub(crate) mod pod;
mod pod_preset;
pub(crate) mod priority;
pub(crate) mod quantity;
pub(crate) mod restarts;
pub(crate) mod selector;
pub(crate) mod storage;
mod subresource;
mod unsupported;

pub(crate) use api_error::{ApiError, Cause, Reason};
pub(crate) use expansion::expand;
pub(crate) use field_error::FieldError;
pub(crate) use key::{ObjectKey, ResourceVersion};
pub(crate) use kind::Kind;
pub(crate) use object::{Object, Resource};
pub(crate) use pod_preset::PodPreset;
pub(crate) use subresource::Subresource;
pub(crate) use unsupported::{Support, unsupported};
