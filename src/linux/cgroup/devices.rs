//! Which device nodes the processes of a group may make and open.
//!
//! A container holds CAP_MKNOD by default, so without this it could make the node of the machine's disk
//! and read it. v1 has the devices controller; v2 a BPF program that is attached to the group
//! (cgroup-v2.rst, "Device controller").

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::error::CgroupError;
use super::files;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceKind {
    Char,
    Block,
}

/// One kind of access that is allowed; everything else is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRule {
    pub(crate) kind: DeviceKind,
    /// `None` is every number.
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) mknod: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// One device of a volume: `mrw`, or `r` where it is only read (kubelet `makeBlockVolumes`).
pub(crate) const fn block_device(major: u32, minor: u32, writable: bool) -> DeviceRule {
    DeviceRule {
        kind: DeviceKind::Block,
        major: Some(major),
        minor: Some(minor),
        mknod: writable,
        read: true,
        write: writable,
    }
}

const fn nodes(kind: DeviceKind) -> DeviceRule {
    DeviceRule {
        kind,
        major: None,
        minor: None,
        mknod: true,
        read: false,
        write: false,
    }
}

const fn char_device(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule {
        kind: DeviceKind::Char,
        major: Some(major),
        minor,
        mknod: true,
        read: true,
        write: true,
    }
}

/// Making any node, and using null, zero, full, random, urandom, tty, console, ptmx and the
/// pseudo-terminals. The same as runc allows every container.
pub(crate) const DEFAULT_DEVICES: [DeviceRule; 11] = [
    nodes(DeviceKind::Char),
    nodes(DeviceKind::Block),
    char_device(1, Some(3)),
    char_device(1, Some(5)),
    char_device(1, Some(7)),
    char_device(1, Some(8)),
    char_device(1, Some(9)),
    char_device(5, Some(0)),
    char_device(5, Some(1)),
    char_device(5, Some(2)),
    char_device(136, None),
];

/// Values of `access_type` in struct bpf_cgroup_dev_ctx (include/uapi/linux/bpf.h).
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const KIND_BLOCK: i32 = 1;
const KIND_CHAR: i32 = 2;

pub(super) fn restrict_v1(directory: &Path, rules: &[DeviceRule]) -> Result<(), CgroupError> {
    files::write(&directory.join("devices.deny"), "a")?;
    // The kernel takes one rule per write(2).
    let rules: Vec<String> = rules.iter().map(|rule| v1_line(*rule)).collect();
    files::write_each(&directory.join("devices.allow"), &rules)
}

fn v1_line(rule: DeviceRule) -> String {
    let kind = match rule.kind {
        DeviceKind::Char => 'c',
        DeviceKind::Block => 'b',
    };
    let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let access: String = [(rule.read, 'r'), (rule.write, 'w'), (rule.mknod, 'm')]
        .into_iter()
        .filter_map(|(allowed, letter)| allowed.then_some(letter))
        .collect();
    format!(
        "{kind} {}:{} {access}",
        number(rule.major),
        number(rule.minor)
    )
}

/// Returns a note when the kernel has no such programs or does not let this process load one.
pub(super) fn restrict_v2(
    directory: &Path,
    rules: &[DeviceRule],
) -> Result<Vec<String>, CgroupError> {
    let fail = |source| CgroupError::Devices {
        path: directory.to_owned(),
        source,
    };
    let group = File::open(directory).map_err(fail)?;
    let attached = load(&program(rules)).and_then(|program| attach(&group, &program));
    match attached {
        Ok(()) => Ok(Vec::new()),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::EINVAL)
            ) =>
        {
            Ok(vec![format!(
                "access to devices is not restricted: {} refuses a device filter: {error}",
                directory.display()
            )])
        }
        Err(error) => Err(fail(error)),
    }
}

/// struct bpf_insn.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high half (little-endian bit fields).
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: dst | (src << 4),
        offset,
        immediate,
    }
}

const LOAD_WORD: u8 = 0x61;
const AND32: u8 = 0x54;
const SHIFT_RIGHT32: u8 = 0x74;
const MOVE32: u8 = 0xbc;
const MOVE64_CONSTANT: u8 = 0xb7;
const JUMP_NOT_EQUAL32: u8 = 0x56;
const JUMP_NOT_EQUAL32_REGISTER: u8 = 0x5e;
const EXIT: u8 = 0x95;

/// Registers: 1 context, 2 access asked for, 3 kind, 4 major, 5 minor, 6 scratch, 0 answer.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut code = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE32, 3, 2, 0, 0),
        instruction(AND32, 3, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT32, 2, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules {
        code.extend(rule_code(*rule));
    }
    code.push(instruction(MOVE64_CONSTANT, 0, 0, 0, 0));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    code
}

/// Answers 1 when the rule allows the access, else falls through to what follows.
fn rule_code(rule: DeviceRule) -> Vec<Instruction> {
    let kind = match rule.kind {
        DeviceKind::Char => KIND_CHAR,
        DeviceKind::Block => KIND_BLOCK,
    };
    let mut access = 0;
    if rule.mknod {
        access |= ACCESS_MKNOD;
    }
    if rule.read {
        access |= ACCESS_READ;
    }
    if rule.write {
        access |= ACCESS_WRITE;
    }
    let mut tests = vec![
        instruction(JUMP_NOT_EQUAL32, 3, 0, 0, kind),
        instruction(MOVE32, 6, 2, 0, 0),
        instruction(AND32, 6, 0, 0, access),
        instruction(JUMP_NOT_EQUAL32_REGISTER, 6, 2, 0, 0),
    ];
    for (register, number) in [(4, rule.major), (5, rule.minor)] {
        if let Some(number) = number {
            tests.push(instruction(
                JUMP_NOT_EQUAL32,
                register,
                0,
                0,
                number.cast_signed(),
            ));
        }
    }
    tests.push(instruction(MOVE64_CONSTANT, 0, 0, 0, 1));
    tests.push(instruction(EXIT, 0, 0, 0, 0));
    let length = tests.len();
    for (index, test) in tests.iter_mut().enumerate() {
        if matches!(test.code, JUMP_NOT_EQUAL32 | JUMP_NOT_EQUAL32_REGISTER) {
            test.offset = i16::try_from(length - index - 1).expect("a rule has eight instructions");
        }
    }
    tests
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The start of union bpf_attr for BPF_PROG_LOAD; the kernel takes the rest as zero.
#[repr(C)]
struct LoadArguments {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
}

fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let arguments = LoadArguments {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(code.len()).map_err(io::Error::other)?,
        instructions: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
    };
    let size = size_of::<LoadArguments>();
    // SAFETY: the structure has the layout bpf(2) reads, and what it points to outlives the call.
    let raw = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const arguments, size) };
    let raw = i32::try_from(raw).map_err(io::Error::other)?;
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: bpf(2) has just returned this descriptor (always close-on-exec) and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

#[repr(C)]
struct AttachArguments {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

fn attach(group: &File, program: &OwnedFd) -> io::Result<()> {
    let arguments = AttachArguments {
        target: group.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    let size = size_of::<AttachArguments>();
    // SAFETY: the structure has the layout bpf(2) reads and outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const arguments, size) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_lines_are_as_the_kernel_reads_them() {
        let lines: Vec<String> = DEFAULT_DEVICES.into_iter().map(v1_line).collect();
        assert_eq!(lines[0], "c *:* m");
        assert_eq!(lines[1], "b *:* m");
        assert_eq!(lines[2], "c 1:3 rwm");
        assert_eq!(lines[10], "c 136:* rwm");
        assert_eq!(v1_line(block_device(7, 3, true)), "b 7:3 rwm");
        assert_eq!(v1_line(block_device(7, 3, false)), "b 7:3 r");
    }

    #[test]
    fn jumps_of_a_rule_lead_to_its_end() {
        let volumes = [block_device(7, 3, true), block_device(7, 3, false)];
        for rule in DEFAULT_DEVICES.into_iter().chain(volumes) {
            let code = rule_code(rule);
            for (index, instruction) in code.iter().enumerate() {
                if instruction.offset != 0 {
                    let target = index + 1 + usize::try_from(instruction.offset).unwrap();
                    assert_eq!(target, code.len());
                }
            }
        }
    }
}
