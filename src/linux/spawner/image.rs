use std::ffi::CStr;
use std::mem::{offset_of, size_of};

use super::order::{BASE, FIRST, Header, MOST, NONE, ROOM, Rule, Step};
use crate::linux::clone::Namespaces;
use crate::linux::proc::CStringArray;
use crate::linux::seccomp::Program;

/// What the spawner is sent, but for the number of the slot.
#[derive(Debug)]
pub(crate) struct Order {
    bytes: Vec<u8>,
    descriptors: usize,
}

impl Order {
    /// How many descriptors have to be sent with it.
    pub(super) const fn descriptors(&self) -> usize {
        self.descriptors
    }

    pub(super) fn for_slot(&mut self, slot: u32) -> &[u8] {
        let at = offset_of!(Header, slot);
        self.bytes[at..at + size_of::<u32>()].copy_from_slice(&slot.to_ne_bytes());
        &self.bytes
    }
}

/// A descriptor that comes with the order, by its place there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried(usize);

/// An order that is being composed: the steps of the child, each of them one system call.
#[derive(Debug)]
pub(crate) struct Image {
    data: Vec<u8>,
    steps: Vec<Step>,
    descriptors: usize,
    pid_namespace: i32,
    cgroup: i32,
}

impl Image {
    pub(crate) fn new() -> Self {
        Self {
            data: Vec::new(),
            steps: Vec::with_capacity(48),
            descriptors: 0,
            pid_namespace: NONE,
            cgroup: NONE,
        }
    }

    /// The next descriptor that will be sent with the order.
    pub(crate) fn descriptor(&mut self) -> Carried {
        self.descriptors += 1;
        Carried(self.descriptors - 1)
    }

    /// The child is born in the pid namespace of the process behind `pidfd`.
    pub(crate) fn in_pid_namespace(&mut self, pidfd: Carried) {
        self.pid_namespace = number(pidfd);
    }

    /// The child is born in this group of the cgroup2 tree.
    pub(crate) fn in_cgroup(&mut self, directory: Carried) {
        self.cgroup = number(directory);
    }

    /// `None` when it is longer than an order may be.
    pub(crate) fn finish(mut self) -> Option<Order> {
        self.align();
        let header = Header {
            slot: 0,
            steps: u32::try_from(self.steps.len()).ok()?,
            descriptors: u32::try_from(self.descriptors).ok()?,
            pid_namespace: self.pid_namespace,
            cgroup: self.cgroup,
            steps_at: u32::try_from(size_of::<Header>() + self.data.len()).ok()?,
        };
        let mut bytes = Vec::with_capacity(ROOM / 4);
        for field in [
            header.slot,
            header.steps,
            header.descriptors,
            header.pid_namespace.cast_unsigned(),
            header.cgroup.cast_unsigned(),
            header.steps_at,
        ] {
            bytes.extend_from_slice(&field.to_ne_bytes());
        }
        bytes.extend_from_slice(&self.data);
        for step in &self.steps {
            bytes.extend_from_slice(&step.call.to_ne_bytes());
            bytes.extend_from_slice(&(step.rule as u32).to_ne_bytes());
            for argument in step.arguments {
                bytes.extend_from_slice(&argument.to_ne_bytes());
            }
        }
        (bytes.len() <= ROOM - PATH_ROOM && self.descriptors <= MOST).then_some(Order {
            bytes,
            descriptors: self.descriptors,
        })
    }

    fn align(&mut self) {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
    }

    /// The address that `bytes` will have.
    fn put(&mut self, bytes: &[u8]) -> u64 {
        self.align();
        let at = BASE + (size_of::<Header>() + self.data.len()) as u64;
        self.data.extend_from_slice(bytes);
        at
    }

    fn put_string(&mut self, text: &CStr) -> u64 {
        self.put(text.to_bytes_with_nul())
    }

    fn put_all(&mut self, numbers: impl IntoIterator<Item = u64>) -> u64 {
        let bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_ne_bytes).collect();
        self.put(&bytes)
    }

    /// The array of pointers that execve(2) wants.
    fn put_strings(&mut self, strings: &CStringArray) -> u64 {
        let mut pointers = Vec::with_capacity(strings.strings().len() + 1);
        for string in strings.strings() {
            pointers.push(self.put_string(string));
        }
        pointers.push(0);
        self.put_all(pointers)
    }

    fn step<const N: usize>(&mut self, rule: Rule, call: libc::c_long, arguments: [u64; N]) {
        let mut all = [0; 5];
        all[..N].copy_from_slice(&arguments);
        self.steps.push(Step {
            // System calls have small numbers.
            call: u32::try_from(call).unwrap_or(u32::MAX),
            rule,
            arguments: all,
        });
    }

    // ---- the steps

    pub(crate) fn unblock_signals(&mut self) {
        let none = self.put_all([0]);
        let how = libc::SIG_SETMASK.cast_unsigned().into();
        self.step(Rule::Must, libc::SYS_rt_sigprocmask, [how, none, 0, 8]);
    }

    pub(crate) fn new_session(&mut self) {
        self.step(Rule::Must, libc::SYS_setsid, []);
    }

    /// As [`crate::linux::proc::new_session_keyring`].
    pub(crate) fn new_session_keyring(&mut self) {
        const KEYCTL_JOIN_SESSION_KEYRING: u64 = 1;
        self.step(
            Rule::IfKnown,
            libc::SYS_keyctl,
            [KEYCTL_JOIN_SESSION_KEYRING, 0],
        );
    }

    /// What cannot be set stays as it is.
    pub(crate) fn set_oom_score_adj(&mut self, value: i32) {
        let path = self.put_string(c"/proc/self/oom_score_adj");
        let value = value.to_string();
        let text = self.put(value.as_bytes());
        let (length, file) = (value.len() as u64, self.opened());
        self.step(
            Rule::May,
            libc::SYS_openat,
            [here(), path, flags(libc::O_WRONLY | libc::O_CLOEXEC), 0],
        );
        self.step(Rule::May, libc::SYS_write, [file, text, length]);
        self.step(Rule::May, libc::SYS_close, [file]);
    }

    /// As [`crate::linux::cgroup::Cgroup::join_v1`], through the open file.
    pub(crate) fn join_group(&mut self, tasks: Carried) {
        let own = self.put(b"0");
        self.step(Rule::Must, libc::SYS_write, [carried(tasks), own, 1]);
    }

    pub(crate) fn enter(&mut self, target: Carried, namespaces: Namespaces) {
        if namespaces.is_empty() {
            return;
        }
        let flags = flags(namespaces.bits());
        self.step(Rule::Must, libc::SYS_setns, [carried(target), flags]);
    }

    /// From the root that was entered, and not out of it: the path is resolved beneath it, and what the kernel calls
    /// the place afterwards is checked (CVE-2024-21626). In the root itself one is already.
    pub(crate) fn enter_directory(&mut self, path: &CStr) {
        if path == c"/" {
            return;
        }
        let directory = self.opened();
        let path = self.put_string(path);
        let wanted = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let how = self.put_all([
            flags(wanted),
            0,
            libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS,
        ]);
        self.step(Rule::Must, libc::SYS_openat2, [here(), path, how, 24]);
        self.step(Rule::Must, libc::SYS_fchdir, [directory]);
        // Behind the longest order.
        let name = BASE + (ROOM - PATH_ROOM) as u64;
        self.step(Rule::Absolute, libc::SYS_getcwd, [name, PATH_ROOM as u64]);
    }

    /// Both outputs; the input is `/dev/null` already.
    pub(crate) fn write_to(&mut self, output: Carried) {
        for number in [1, 2] {
            self.step(Rule::Must, libc::SYS_dup3, [carried(output), number, 0]);
        }
    }

    pub(crate) fn set_no_new_privileges(&mut self) {
        self.prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
    }

    pub(crate) fn install_filter(&mut self, filter: &Program) {
        let code = filter.instructions();
        let mut bytes = Vec::with_capacity(code.len() * 8);
        for one in code {
            bytes.extend_from_slice(&one.code.to_ne_bytes());
            bytes.extend_from_slice(&[one.jt, one.jf]);
            bytes.extend_from_slice(&one.k.to_ne_bytes());
        }
        let code = self.put(&bytes);
        // struct sock_fprog: a length of 16 bits, and the pointer at the next multiple of its size.
        let length = u16::try_from(filter.instructions().len()).unwrap_or(u16::MAX);
        let mut header = [0; 16];
        header[..2].copy_from_slice(&length.to_ne_bytes());
        header[8..].copy_from_slice(&code.to_ne_bytes());
        let header = self.put(&header);
        let log = if filter.is_logged() {
            libc::SECCOMP_FILTER_FLAG_LOG
        } else {
            0
        };
        self.step(
            Rule::Must,
            libc::SYS_seccomp,
            [libc::SECCOMP_SET_MODE_FILTER.into(), log, header],
        );
    }

    /// Drops every capability of `drop` from the bounding set.
    pub(crate) fn drop_bounding(&mut self, drop: u64) {
        for number in (0..64).filter(|number| drop & (1 << number) != 0) {
            self.prctl(libc::PR_CAPBSET_DROP, number);
        }
    }

    /// As [`crate::linux::proc::become_user`].
    pub(crate) fn become_user(&mut self, uid: u32, gid: u32, groups: &[u32]) {
        let list: Vec<u8> = groups.iter().flat_map(|one| one.to_ne_bytes()).collect();
        let list = self.put(&list);
        self.step(Rule::Must, libc::SYS_setgroups, [groups.len() as u64, list]);
        self.step(Rule::Must, libc::SYS_setresgid, [gid.into(); 3]);
        self.step(Rule::Must, libc::SYS_setresuid, [uid.into(); 3]);
    }

    /// Effective and permitted; inheritable and ambient sets become empty.
    pub(crate) fn set_capabilities(&mut self, keep: u64) {
        const VERSION_3: u32 = 0x2008_0522;
        let header = self.put(&[VERSION_3, 0].map(u32::to_ne_bytes).concat());
        let low = u32::try_from(keep & u64::from(u32::MAX)).unwrap_or(0);
        let high = u32::try_from(keep >> 32).unwrap_or(0);
        let sets = [low, low, 0, high, high, 0].map(u32::to_ne_bytes).concat();
        let sets = self.put(&sets);
        self.step(Rule::Must, libc::SYS_capset, [header, sets]);
        self.prctl(libc::PR_CAP_AMBIENT, flags(libc::PR_CAP_AMBIENT_CLEAR_ALL));
    }

    pub(crate) fn set_umask(&mut self, mask: u32) {
        self.step(Rule::Must, libc::SYS_umask, [mask.into()]);
    }

    /// Every descriptor from 3 on is closed by execve.
    pub(crate) fn close_on_exec(&mut self) {
        self.step(
            Rule::Must,
            libc::SYS_close_range,
            [3, u32::MAX.into(), libc::CLOSE_RANGE_CLOEXEC.into()],
        );
    }

    /// The first of `programs` that exists and may be executed.
    pub(crate) fn execute(
        &mut self,
        programs: &[impl AsRef<CStr>],
        arguments: &CStringArray,
        environment: &CStringArray,
    ) {
        let arguments = self.put_strings(arguments);
        let environment = self.put_strings(environment);
        for program in programs {
            let program = self.put_string(program.as_ref());
            self.step(
                Rule::Execute,
                libc::SYS_execve,
                [program, arguments, environment],
            );
        }
    }

    fn prctl(&mut self, option: i32, argument: u64) {
        self.step(
            Rule::Must,
            libc::SYS_prctl,
            [flags(option), argument, 0, 0, 0],
        );
    }

    /// The number that an open(2) of the child returns: the lowest that is free. All that are carried are known by then.
    fn opened(&self) -> u64 {
        carried(Carried(self.descriptors))
    }
}

/// For what the kernel calls a directory; a longer name is an error there.
const PATH_ROOM: usize = 4096;

/// AT_FDCWD.
fn here() -> u64 {
    i64::from(libc::AT_FDCWD).cast_unsigned()
}

fn flags(bits: i32) -> u64 {
    bits.cast_unsigned().into()
}

fn number(place: Carried) -> i32 {
    // There are [`MOST`] at most.
    FIRST + i32::try_from(place.0).unwrap_or(i32::MAX - FIRST)
}

fn carried(place: Carried) -> u64 {
    number(place).cast_unsigned().into()
}
