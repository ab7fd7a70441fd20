//! A `docker run` or `podman run` line as the manifest of a pod. Pure.
//!
//! [`words`] takes the line apart as a shell would, [`options`] knows the flags and which of them take a value,
//! [`pod`] says what each means for a pod. What a pod cannot express, or what means something else there, is written
//! into the manifest as a comment: nothing on the line is dropped in silence.

mod options;
mod pod;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use pod::pod_of_run_line;
