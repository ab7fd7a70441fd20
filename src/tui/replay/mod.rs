//! `--replay FILE.cast`: a recording of the screen, played in the terminal.
//!
//! * [`recording`] reads the file, which may come from anybody (asciicast v2 of `--record` or of another program).
//! * [`player`] knows where in it one is: time, speed, the emulated screen of that moment, and the keys typed until
//!   then. Pure: time is handed in.
//! * [`screen`] is the loop around it and what is drawn.
//!
//! Nothing of a recording reaches the terminal but cells: its output goes through the emulator of the terminal panes,
//! its keys and words are made safe. There is no engine, and no state directory is looked at. What a recording holds
//! is what was shown, what was pressed and in short what the screen was told; it is not fed into the screen again,
//! because objects and logs are not in it, on purpose.

mod player;
mod recording;
mod screen;

pub(crate) use screen::replay;
