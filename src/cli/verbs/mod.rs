//! One file per verb. A verb takes its parsed arguments and the [`super::context::Context`] and returns
//! nothing or the [`super::failure::Failure`] that decides text and exit code.

mod apply;
mod attach;
mod completion;
mod containers;
mod create;
mod create_objects;
mod delete;
mod describe;
mod doctor;
mod edit;
mod engine;
mod events;
mod exec;
mod get;
mod image;
mod logs;
mod metadata;
mod replace;
mod run_pod;
mod top;
mod wait;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use apply::ApplyArgs;
pub(super) use apply::apply;
pub(crate) use attach::AttachArgs;
pub(super) use attach::attach;
pub(crate) use completion::CompletionArgs;
pub(super) use completion::completion;
pub(crate) use create::CreateArgs;
pub(super) use create::create;
pub(crate) use delete::DeleteArgs;
pub(super) use delete::delete;
pub(crate) use describe::DescribeArgs;
pub(super) use describe::describe;
pub(crate) use doctor::DoctorArgs;
pub(super) use doctor::doctor;
pub(crate) use edit::EditArgs;
pub(super) use edit::edit;
pub(crate) use engine::EngineArgs;
pub(super) use engine::engine;
pub(crate) use events::EventsArgs;
pub(super) use events::events;
pub(crate) use exec::ExecArgs;
pub(super) use exec::exec;
pub(crate) use get::GetArgs;
pub(super) use get::get;
pub(crate) use image::{ImageArgs, SystemArgs};
pub(super) use image::{image, system};
pub(crate) use logs::LogsArgs;
pub(super) use logs::logs;
pub(crate) use metadata::{AnnotateArgs, LabelArgs};
pub(super) use metadata::{annotate, label};
pub(crate) use replace::ReplaceArgs;
pub(super) use replace::replace;
pub(crate) use run_pod::RunArgs;
pub(super) use run_pod::run;
pub(crate) use top::TopArgs;
pub(super) use top::top;
pub(crate) use wait::WaitArgs;
pub(super) use wait::wait;
