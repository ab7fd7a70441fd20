//! `localhost/toolbox:latest`: an image put together from the machine's own shell and utilities, so that a
//! first pod runs on a machine that has no image and reaches no registry.
//!
//! * [`elf`] reads which interpreter and libraries a program needs; [`libraries`] finds them as the dynamic
//!   loader would. Nothing is executed for that (ldd(1) runs what it looks at).
//! * [`plan`] lists every file of the image by its path; [`tools`] says which utilities are wanted.
//! * [`assemble`] writes the plan as a tar stream and hands it to the same unpacking as any import.
//!
//! The same host gives the same image: order, owners and modes are fixed and times are those of the host's
//! files. The layout is always the merged one (`/bin` is a link to `usr/bin`), also where the host's is not.
//! Programs lose set-user-ID bits. What the host lacks the toolbox lacks, except for what busybox has.
//! It is not refreshed when the host's programs change: remove it, and the next use makes it anew.

mod assemble;
mod elf;
mod libraries;
mod plan;
mod tools;

pub(super) use assemble::{NAME, assemble, keep};
