//! `podtui image …`: what there is, where it comes from, and how it goes.

mod filter;
mod housekeeping;
mod list;
mod load;
mod pull;
mod save;
mod verbs;

pub(crate) use housekeeping::SystemArgs;
pub(in crate::cli) use housekeeping::system;
pub(crate) use verbs::ImageArgs;
pub(in crate::cli) use verbs::image;
