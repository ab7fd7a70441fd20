//! The Spec editor: an object's text edited, checked, compared and applied inside the screen.
//!
//! * [`source`] decides which text is opened, [`outcome`] what a change would do, [`diff`] what differs,
//!   [`diagnose`] what is wrong, [`complete`] what could be written, [`highlight`] what the parts of a line are:
//!   pure functions over texts and objects.
//! * [`state`] is the part of the model that lives while an editor is open, in three stages: the text, the
//!   review (the difference with the effect of each change), and waiting for the server's answer. [`keys`] and
//!   [`replies`] change it.
//! * [`outside`] is the text as `$EDITOR` gets it. The editor runs in a terminal pane (`tasks::outside`), the text
//!   waits meanwhile, and what comes back goes through the same checks and the same review.
//! * Nothing typed is lost: a refusal comes back to the text with its causes at their lines; leaving asks; every
//!   pause in typing puts the text into a file ([`draft`]) that the next screen offers after a crash.
//!
//! Comments and order survive because the text itself is edited and kept on the object
//! (`model::applied::APPLIED_TEXT`); where the program must change a value, it replaces just its bytes.

mod buffer;
mod complete;
mod diagnose;
mod diff;
mod draft;
mod highlight;
mod keys;
mod opening;
mod outcome;
mod outside;
mod replies;
mod source;
mod state;
#[cfg(test)]
mod tests;

pub(super) use diagnose::{Surroundings, diagnose};
pub(super) use diff::Sign;
pub(super) use draft::{Draft, Drafts};
pub(super) use highlight::{Highlighter, Token};
pub(super) use keys::{answer, ask_close_outside, on_key, on_mouse, on_paste};
pub(super) use opening::{
    edit_selected, new_from_run_line, new_from_template, recreate_selected, undo,
};
pub(super) use replies::on_reply;
pub(super) use source::without_server_parts;
pub(super) use state::{
    Answer as EditorAnswer, Applied, ApplyRequest, Editing, Editor, Effect as EditorEffect, Item,
    OutsideEdit, OutsideEnd, Popup, Reply as EditorReply, Review, Stage, Subject, settle,
};
