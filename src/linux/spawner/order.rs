//! What the shim tells the spawner and hears of it: plain memory, compiled into both programs.

/// Where the spawner keeps the order that it carries out; addresses inside of it are true in the child.
pub(crate) const BASE: u64 = 0x10_0000_0000;
/// The longest order.
pub(crate) const ROOM: usize = 64 << 10;
/// Where the spawner maps the memory that it shares with the shim.
pub(crate) const SHARED: u64 = 0x10_1000_0000;
/// Its length: one page of the smallest size.
pub(crate) const SHARED_LENGTH: usize = 4096;
/// Commands at the same time.
pub(crate) const SLOTS: usize = 64;

/// Descriptors of the spawner: the socket that orders come over, then the shared memory while it starts.
pub(crate) const SOCKET: i32 = 3;
pub(crate) const MEMORY: i32 = 4;
/// The first descriptor that comes with an order; the others have the numbers after it.
pub(crate) const FIRST: i32 = 4;
/// The most that come.
pub(crate) const MOST: usize = 24;

/// No descriptor.
pub(crate) const NONE: i32 = -1;

/// The beginning of an order; what the arguments of its steps point to follows, and then the steps.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) slot: u32,
    pub(crate) steps: u32,
    pub(crate) descriptors: u32,
    /// The process whose pid namespace the child is born in.
    pub(crate) pid_namespace: i32,
    /// The cgroup2 group that the child is born in.
    pub(crate) cgroup: i32,
    /// Where the steps begin, counted from the header.
    pub(crate) steps_at: u32,
}

/// What follows from the result of a step.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// An error ends the child.
    Must = 0,
    /// An error changes nothing.
    May = 1,
    /// As `Must`, but a kernel that does not know the call is as good.
    IfKnown = 2,
    /// It fills its first argument, and what it puts there begins with a slash.
    Absolute = 3,
    /// It does not return; when there is no such program here, the next step tries another place.
    Execute = 4,
}

/// A system call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) call: u32,
    pub(crate) rule: Rule,
    pub(crate) arguments: [u64; 5],
}

/// How far a child is.
pub(crate) const BEGINS: u32 = 0;
/// From here on it may have executed its program.
pub(crate) const EXECUTES: u32 = 1;
/// It could not execute anything; nothing has run.
pub(crate) const FAILED: u32 = 2;

/// What the shim sees of a command.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Slot {
    /// Written by the kernel before the child runs; 0 until then.
    pub(crate) pid: core::sync::atomic::AtomicI32,
    pub(crate) state: core::sync::atomic::AtomicU32,
}

#[repr(C)]
#[derive(Debug)]
pub(crate) struct Shared {
    /// Capabilities that any child may need in its bounding set.
    pub(crate) bounding: core::sync::atomic::AtomicU64,
    pub(crate) slots: [Slot; SLOTS],
}
