//! Arguments and one file per verb; the only room that prints.
