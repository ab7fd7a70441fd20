//! The whole screen on a test backend: keys in, text out.

mod actions;
mod app;
mod behaviour;
mod hostile;
mod inspector;
mod keys;
mod log_files;
mod logs;
mod newcomer;
mod order;
mod properties;
mod screens;
mod terminals;
mod views;
