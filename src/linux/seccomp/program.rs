use std::collections::HashMap;
use std::mem::offset_of;

use libc::sock_filter;
use syscalls::Sysno;

use super::profile;

/// A BPF program ready to be installed.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    code: Vec<sock_filter>,
    log: bool,
}

impl Program {
    /// `log`: whatever is not simply allowed is logged.
    pub(super) fn new(code: Vec<sock_filter>, log: bool) -> Self {
        Self { code, log }
    }

    pub(in crate::linux) fn instructions(&self) -> &[sock_filter] {
        &self.code
    }

    pub(in crate::linux) fn is_logged(&self) -> bool {
        self.log
    }
}

/// What is answered to one system call. Equal answers of neighbouring numbers share a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    /// This errno.
    Refuse(u16),
    /// EPERM when any of these bits is in the argument.
    UnlessBits {
        argument: u8,
        mask: u32,
    },
    /// EPERM when the argument is one of these.
    Unless {
        argument: u8,
        values: &'static [u32],
    },
    /// EPERM when the argument is none of these.
    Only {
        argument: u8,
        values: &'static [u32],
    },
}

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// AUDIT_ARCH_* of this build (include/uapi/linux/audit.h).
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;

/// The profile for a container whose bounding set is `capabilities`.
pub(crate) fn compile_default(capabilities: u64) -> Program {
    let ranges = ranges(&answers(capabilities));
    let mut code = vec![
        load(offset_of!(libc::seccomp_data, arch)),
        jump(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        answer(RETURN_KILL_PROCESS),
        load(offset_of!(libc::seccomp_data, nr)),
    ];
    code.extend(search(&ranges, &leaf));
    Program::new(code, false)
}

/// The answer for every number this build knows, in order; numbers that are missing get ENOSYS.
pub(super) fn answers(capabilities: u64) -> Vec<(u32, Answer)> {
    let by_name = answers_by_name(capabilities);
    let known = |number: u32| {
        if profile::ALLOWED_NUMBERS.contains(&number) {
            return Some((number, Answer::Allow));
        }
        let call = Sysno::new(usize::try_from(number).ok()?)?;
        let answer = by_name.get(call.name()).copied();
        Some((number, answer.unwrap_or(Answer::Refuse(EPERM))))
    };
    (0..=Sysno::last().id().cast_unsigned())
        .filter_map(known)
        .collect()
}

/// The answers that differ from EPERM.
fn answers_by_name(capabilities: u64) -> HashMap<&'static str, Answer> {
    let allow = |names: &'static str| names.split_whitespace().map(|name| (name, Answer::Allow));
    let mut answers: HashMap<&str, Answer> = allow(profile::ALLOWED).collect();
    answers.extend([
        (
            "clone",
            Answer::UnlessBits {
                argument: 0,
                mask: profile::NAMESPACE_FLAGS,
            },
        ),
        ("clone3", Answer::Refuse(ENOSYS)),
        (
            "personality",
            Answer::Only {
                argument: 0,
                values: &profile::PERSONALITIES,
            },
        ),
        (
            "socket",
            Answer::Unless {
                argument: 0,
                values: &[profile::AF_VSOCK],
            },
        ),
        (
            "ioctl",
            Answer::Unless {
                argument: 1,
                values: &[profile::TIOCSTI, profile::TIOCLINUX],
            },
        ),
    ]);
    for (capability, names) in profile::BY_CAPABILITY {
        if capabilities & capability != 0 {
            answers.extend(allow(names));
        }
    }
    answers
}

/// First number and answer of each run of equal answers, from 0 to the end of all numbers. The bit that
/// marks x32 calls lies above every known number, so they fall into the last run.
fn ranges(table: &[(u32, Answer)]) -> Vec<(u32, Answer)> {
    let mut ranges = vec![(0, Answer::Refuse(ENOSYS))];
    let mut next = 0;
    let mut push = |start: u32, answer: Answer| match ranges.last_mut() {
        Some((_, last)) if *last == answer => {}
        Some(entry) if entry.0 == start => entry.1 = answer,
        _ => ranges.push((start, answer)),
    };
    for (number, answer) in table {
        if *number > next {
            push(next, Answer::Refuse(ENOSYS));
        }
        push(*number, *answer);
        next = number + 1;
    }
    push(next, Answer::Refuse(ENOSYS));
    ranges
}

/// The number is in the accumulator; every path ends in a return, as every `leaf` does.
pub(super) fn search<T: Copy>(
    ranges: &[(u32, T)],
    leaf: &dyn Fn(T) -> Vec<sock_filter>,
) -> Vec<sock_filter> {
    if let Some(code) = near(ranges, leaf) {
        return code;
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let Some((pivot, _)) = high.first() else {
        return Vec::new();
    };
    let low = search(low, leaf);
    let mut code = match u8::try_from(low.len()) {
        Ok(distance) => vec![jump(JUMP_GREATER_EQUAL, *pivot, distance, 0)],
        // Conditional jumps reach 255 instructions; the unconditional one reaches everywhere.
        Err(_) => vec![
            jump(JUMP_GREATER_EQUAL, *pivot, 0, 1),
            instruction(
                JUMP_ALWAYS,
                u32::try_from(low.len()).unwrap_or(u32::MAX),
                0,
                0,
            ),
        ],
    };
    code.extend(low);
    code.extend(search(high, leaf));
    code
}

/// A search in which every conditional jump reaches everything: equal leaves are there once, behind all comparisons,
/// which halves what the kernel has to translate for each process that installs it. `None` for more than that.
fn near<T: Copy>(
    ranges: &[(u32, T)],
    leaf: &dyn Fn(T) -> Vec<sock_filter>,
) -> Option<Vec<sock_filter>> {
    let nodes = ranges.len().checked_sub(1)?;
    let mut code = vec![answer(RETURN_KILL_PROCESS); nodes];
    let mut leaves: Vec<(usize, Vec<sock_filter>)> = Vec::new();
    let mut places = Vec::with_capacity(ranges.len());
    for (_, what) in ranges {
        let wanted = leaf(*what);
        let known = leaves.iter().find(|(_, code)| is_same(code, &wanted));
        let place = known.map_or(code.len(), |(place, _)| *place);
        if known.is_none() {
            code.extend(&wanted);
            leaves.push((place, wanted));
        }
        places.push(place);
    }
    if code.len() > usize::from(u8::MAX) {
        return None;
    }
    divide(ranges, &places, 0, &mut code)?;
    Some(code)
}

/// Writes the comparisons of a part of the search from `at` on, as many as it has ranges but one.
fn divide<T>(
    ranges: &[(u32, T)],
    places: &[usize],
    at: usize,
    code: &mut [sock_filter],
) -> Option<()> {
    if ranges.len() < 2 {
        return Some(());
    }
    let middle = ranges.len() / 2;
    let (low, high) = ranges.split_at(middle);
    let (low_places, high_places) = places.split_at(middle);
    let begin = |part: &[usize], node| match part {
        [leaf] => *leaf,
        _ => node,
    };
    let (low_at, high_at) = (at + 1, at + middle);
    // A jump counts from the instruction behind it.
    let distance = |to: usize| u8::try_from(to - at - 1).ok();
    let pivot = high.first()?.0;
    code[at] = jump(
        JUMP_GREATER_EQUAL,
        pivot,
        distance(begin(high_places, high_at))?,
        distance(begin(low_places, low_at))?,
    );
    divide(low, low_places, low_at, code)?;
    divide(high, high_places, high_at, code)
}

fn is_same(one: &[sock_filter], other: &[sock_filter]) -> bool {
    let fields = |step: &sock_filter| (step.code, step.jt, step.jf, step.k);
    one.iter().map(fields).eq(other.iter().map(fields))
}

fn leaf(what: Answer) -> Vec<sock_filter> {
    match what {
        Answer::Allow => vec![answer(RETURN_ALLOW)],
        Answer::Refuse(errno) => vec![answer(refusal(errno))],
        Answer::UnlessBits { argument, mask } => vec![
            load_argument(argument),
            jump(JUMP_ANY_BIT, mask, 1, 0),
            answer(RETURN_ALLOW),
            answer(refusal(EPERM)),
        ],
        Answer::Unless { argument, values } => {
            compare(argument, values, refusal(EPERM), RETURN_ALLOW)
        }
        Answer::Only { argument, values } => {
            compare(argument, values, RETURN_ALLOW, refusal(EPERM))
        }
    }
}

/// `found` when the argument is one of the values, else `other`.
fn compare(argument: u8, values: &[u32], found: u32, other: u32) -> Vec<sock_filter> {
    let mut code = vec![load_argument(argument)];
    for (index, value) in values.iter().enumerate() {
        let distance = u8::try_from(values.len() - index).expect("a handful of values");
        code.push(jump(JUMP_EQUAL, *value, distance, 0));
    }
    code.push(answer(other));
    code.push(answer(found));
    code
}

// Codes of classic BPF (include/uapi/linux/bpf_common.h) and actions (include/uapi/linux/seccomp.h).
pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const JUMP_ALWAYS: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER_EQUAL: u16 = 0x35;
pub(super) const JUMP_ANY_BIT: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;
pub(super) const RETURN_ALLOW: u32 = 0x7fff_0000;
pub(super) const RETURN_KILL_PROCESS: u32 = 0x8000_0000;
pub(super) const RETURN_ERRNO: u32 = 0x0005_0000;

fn refusal(errno: u16) -> u32 {
    RETURN_ERRNO | u32::from(errno)
}

fn load(offset: usize) -> sock_filter {
    let offset = u32::try_from(offset).expect("seccomp_data has 64 bytes");
    instruction(LOAD_WORD, offset, 0, 0)
}

/// The low half of an argument (both architectures are little-endian). The checked arguments are all
/// 32-bit to the kernel (`clone` uses the low half of its flags), so the high half means nothing.
fn load_argument(index: u8) -> sock_filter {
    load(offset_of!(libc::seccomp_data, args) + 8 * usize::from(index))
}

fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(code, value, if_true, if_false)
}

fn answer(action: u32) -> sock_filter {
    instruction(RETURN, action, 0, 0)
}

pub(super) const fn instruction(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}
