//! `doctor`: what this machine can and cannot do for pods, and what to do about it. Reads files below
//! `/proc`, `/sys` and `/dev` and asks for the free space of the state directory; changes nothing.

mod checks;
mod command;
mod finding;
mod machine;

pub(crate) use command::{DoctorArgs, doctor};
