use std::collections::BTreeMap;

/// Values for one group, in the units of both cgroup versions so that the writer only copies. `None`
/// leaves the kernel's value; a value of a controller that is missing becomes a note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// v1 `cpu.shares`.
    pub(crate) cpu_shares: Option<u64>,
    /// v2 `cpu.weight`.
    pub(crate) cpu_weight: Option<u64>,
    /// Microseconds per period; `Some(-1)` writes "no quota" explicitly.
    pub(crate) cpu_quota: Option<i64>,
    pub(crate) cpu_period: Option<u64>,
    /// Bytes; `Some(-1)` writes "no limit" explicitly.
    pub(crate) memory_limit: Option<i64>,
    /// v2 `memory.swap.max` in bytes; v1 `memory.memsw.limit_in_bytes` becomes limit + swap.
    pub(crate) swap_limit: Option<i64>,
    /// v2 `memory.oom.group`. v1 has no such switch; there the kernel always kills one process.
    pub(crate) oom_group: bool,
    /// `Some(-1)` writes `max`.
    pub(crate) pids_limit: Option<i64>,
    /// Bytes that huge pages may take, by page size in bytes.
    pub(crate) huge_pages: BTreeMap<u64, u64>,
}

impl Limits {
    /// Beginning of the names of the files of each page size, and the limit (hugetlb-controller.rst).
    pub(super) fn huge_page_files(&self) -> impl Iterator<Item = (String, u64)> {
        self.huge_pages.iter().map(|(page, bytes)| {
            let name = match page {
                page if *page >= 1 << 30 => format!("{}GB", page >> 30),
                page if *page >= 1 << 20 => format!("{}MB", page >> 20),
                page => format!("{}KB", page >> 10),
            };
            (format!("hugetlb.{name}"), *bytes)
        })
    }
}

/// One level of a path below the root of the hierarchy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level<'a> {
    pub(crate) name: &'a str,
    /// Written whether the level is new or not; `None` leaves an existing level alone.
    pub(crate) limits: Option<&'a Limits>,
}
