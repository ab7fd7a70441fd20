//! The re-executed, single-threaded process that owns one pod's sandbox, containers, ptys and log files.
