use std::io;
use std::path::PathBuf;

use crate::base::Pid;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("no cgroup hierarchy is mounted below {0}; mount one or run inside a login session")]
    NotMounted(PathBuf),
    #[error("{0:?} is not a name for a cgroup")]
    Name(String),
    #[error("create cgroup {path}")]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("open cgroup {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("parse {path}: {text:?}")]
    Parse { path: PathBuf, text: String },
    #[error("write {value:?} to {path}")]
    Write {
        path: PathBuf,
        value: String,
        #[source]
        source: io::Error,
    },
    #[error("remove cgroup {path}")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("signal process {pid} of cgroup {path}")]
    Signal {
        path: PathBuf,
        pid: Pid,
        #[source]
        source: io::Error,
    },
    #[error("processes {pids:?} of cgroup {path} are still there {seconds} s after SIGKILL")]
    Survivors {
        path: PathBuf,
        pids: Vec<i32>,
        seconds: u64,
    },
    #[error("watch {path} for kills for lack of memory")]
    Watch {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cgroup {0} has no memory controller, so kills for lack of memory cannot be watched")]
    NoMemoryController(PathBuf),
    #[error("attach the device filter to {path}")]
    Devices {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// A group or its parent was not there (any more).
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.errno(), libc::ENOENT | libc::ENODEV)
    }

    /// The errno(3) at the bottom, 0 when no system call failed.
    pub(crate) fn errno(&self) -> i32 {
        match self {
            Self::NotMounted(_)
            | Self::Name(_)
            | Self::Parse { .. }
            | Self::Survivors { .. }
            | Self::NoMemoryController(_) => 0,
            Self::Create { source, .. }
            | Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Remove { source, .. }
            | Self::Signal { source, .. }
            | Self::Watch { source, .. }
            | Self::Devices { source, .. } => source.raw_os_error().unwrap_or(0),
        }
    }
}
