//! `podtui image …`: what there is, where it comes from, and how it goes.

mod pull;
mod verbs;

pub(crate) use verbs::ImageArgs;
pub(in crate::cli) use verbs::image;
