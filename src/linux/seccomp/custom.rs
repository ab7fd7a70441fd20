//! A filter made of rules that somebody wrote, with the meaning that libseccomp gives them.

use std::collections::HashMap;
use std::mem::offset_of;

use libc::sock_filter;
use syscalls::Sysno;

use super::program::{
    ARCHITECTURE, JUMP_EQUAL, JUMP_GREATER_EQUAL, LOAD_WORD, Program, RETURN, RETURN_ALLOW,
    RETURN_ERRNO, RETURN_KILL_PROCESS, instruction, search,
};

/// BPF_JMP | BPF_JGT | BPF_K and BPF_ALU | BPF_AND | BPF_K.
const JUMP_GREATER: u16 = 0x25;
const AND: u16 = 0x54;

const RETURN_KILL_THREAD: u32 = 0;
const RETURN_TRAP: u32 = 0x0003_0000;
const RETURN_TRACE: u32 = 0x7ff0_0000;
const RETURN_LOG: u32 = 0x7ffc_0000;
const ENOSYS: u16 = 38;
/// The bit of x32 calls on x86_64; no other architecture has numbers that high.
const X32: u32 = 0x4000_0000;

/// What is answered to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Allow,
    Log,
    Errno(u16),
    Trace(u16),
    Trap,
    KillThread,
    KillProcess,
}

impl Action {
    const fn value(self) -> u32 {
        match self {
            Self::Allow => RETURN_ALLOW,
            Self::Log => RETURN_LOG,
            Self::Errno(errno) => RETURN_ERRNO | errno as u32,
            Self::Trace(number) => RETURN_TRACE | number as u32,
            Self::Trap => RETURN_TRAP,
            Self::KillThread => RETURN_KILL_THREAD,
            Self::KillProcess => RETURN_KILL_PROCESS,
        }
    }

    /// Whether the call may be carried out.
    const fn permits(self) -> bool {
        matches!(self, Self::Allow | Self::Log | Self::Trace(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    NotEqual,
    LessThan,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    GreaterThan,
    /// After this mask.
    MaskedEqual(u64),
}

/// One argument of a call against a value, all 64 bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Argument {
    /// 0 to 5.
    pub(crate) index: u8,
    pub(crate) comparison: Comparison,
    pub(crate) value: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) names: Vec<String>,
    pub(crate) action: Action,
    /// All have to match.
    pub(crate) arguments: Vec<Argument>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) default: Action,
    pub(crate) log: bool,
    pub(crate) rules: Vec<Rule>,
}

/// What happens to one call: the rules with arguments in their order, and what holds when none matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Decision {
    rules: Vec<(Vec<Argument>, Action)>,
    otherwise: Action,
}

/// A rule without arguments hides all others of its call, whatever their order (libseccomp,
/// seccomp_rule_add(3)). Calls that are newer than all that the profile names get ENOSYS instead of a
/// refusal, so that C libraries fall back to what they used before (runc does the same). Calls of other
/// architectures kill the process, whatever the profile says.
pub(crate) fn compile(profile: &Profile) -> Program {
    let (decisions, ranges) = ranges(profile);
    let mut code = vec![
        load(offset_of!(libc::seccomp_data, arch)),
        instruction(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        answer(RETURN_KILL_PROCESS),
        load(offset_of!(libc::seccomp_data, nr)),
    ];
    code.extend(search(&ranges, &|index: usize| {
        decisions.get(index).map(leaf).unwrap_or_default()
    }));
    Program::new(code, profile.log)
}

fn ranges(profile: &Profile) -> (Vec<Decision>, Vec<(u32, usize)>) {
    let mut by_number: HashMap<u32, Decision> = HashMap::new();
    let mut plain: HashMap<u32, Action> = HashMap::new();
    for rule in &profile.rules {
        let numbers = rule.names.iter().filter_map(|name| name.parse().ok());
        for number in numbers.map(|call: Sysno| call.id().cast_unsigned()) {
            if rule.arguments.is_empty() {
                plain.entry(number).or_insert(rule.action);
                continue;
            }
            let decision = by_number.entry(number).or_insert_with(|| Decision {
                rules: Vec::new(),
                otherwise: profile.default,
            });
            decision.rules.push((rule.arguments.clone(), rule.action));
        }
    }
    for (number, action) in plain {
        by_number.insert(number, only(action));
    }
    let newest = by_number.keys().copied().max();
    let unknown = if profile.default.permits() {
        profile.default
    } else {
        Action::Errno(ENOSYS)
    };
    let mut decisions: Vec<Decision> = Vec::new();
    let mut ranges: Vec<(u32, usize)> = Vec::new();
    let mut push = |start: u32, decision: Decision| {
        let known = decisions.iter().position(|known| *known == decision);
        let index = known.unwrap_or_else(|| {
            decisions.push(decision);
            decisions.len() - 1
        });
        if ranges.last().is_none_or(|(_, last)| *last != index) {
            ranges.push((start, index));
        }
    };
    // A profile without any call means its default for all of them.
    let end = newest.unwrap_or_else(|| Sysno::last().id().cast_unsigned());
    for number in 0..=end {
        let decision = by_number.remove(&number);
        push(number, decision.unwrap_or_else(|| only(profile.default)));
    }
    push(end + 1, only(unknown));
    push(X32, only(Action::Errno(ENOSYS)));
    (decisions, ranges)
}

fn only(action: Action) -> Decision {
    Decision {
        rules: Vec::new(),
        otherwise: action,
    }
}

fn leaf(decision: &Decision) -> Vec<sock_filter> {
    let mut code = Vec::new();
    for (arguments, action) in &decision.rules {
        code.extend(rule(arguments, *action));
    }
    code.push(answer(decision.otherwise.value()));
    code
}

/// Where a jump leads.
#[derive(Clone, Copy)]
enum To {
    Next,
    /// Over so many instructions.
    Over(u8),
    /// Behind the rule.
    Fail,
}

enum Step {
    Plain(sock_filter),
    Jump(u16, u32, To, To),
}

/// Answers when all arguments match and falls through otherwise. At most 6 comparisons of 6 instructions.
fn rule(arguments: &[Argument], action: Action) -> Vec<sock_filter> {
    let mut steps: Vec<Step> = arguments.iter().flat_map(compare).collect();
    steps.push(Step::Plain(answer(action.value())));
    let length = steps.len();
    let resolve = |at: usize, to: To| match to {
        To::Next => 0,
        To::Over(count) => count,
        To::Fail => u8::try_from(length - at - 1).unwrap_or(u8::MAX),
    };
    steps
        .into_iter()
        .enumerate()
        .map(|(at, step)| match step {
            Step::Plain(code) => code,
            Step::Jump(code, value, yes, no) => {
                instruction(code, value, resolve(at, yes), resolve(at, no))
            }
        })
        .collect()
}

/// Classic BPF computes with 32 bits: the high half first. Both architectures are little-endian.
fn compare(argument: &Argument) -> Vec<Step> {
    let offset = offset_of!(libc::seccomp_data, args) + 8 * usize::from(argument.index);
    let [low, high] = halves(argument.value);
    let (load_low, load_high) = (Step::Plain(load(offset)), Step::Plain(load(offset + 4)));
    let jump = Step::Jump;
    match argument.comparison {
        Comparison::Equal => vec![
            load_high,
            jump(JUMP_EQUAL, high, To::Next, To::Fail),
            load_low,
            jump(JUMP_EQUAL, low, To::Next, To::Fail),
        ],
        Comparison::NotEqual => vec![
            load_high,
            jump(JUMP_EQUAL, high, To::Next, To::Over(2)),
            load_low,
            jump(JUMP_EQUAL, low, To::Fail, To::Next),
        ],
        Comparison::MaskedEqual(mask) => {
            let [mask_low, mask_high] = halves(mask);
            let and = |mask| Step::Plain(instruction(AND, mask, 0, 0));
            vec![
                load_high,
                and(mask_high),
                jump(JUMP_EQUAL, high, To::Next, To::Fail),
                load_low,
                and(mask_low),
                jump(JUMP_EQUAL, low, To::Next, To::Fail),
            ]
        }
        Comparison::GreaterOrEqual | Comparison::GreaterThan => {
            let code = if argument.comparison == Comparison::GreaterThan {
                JUMP_GREATER
            } else {
                JUMP_GREATER_EQUAL
            };
            vec![
                load_high,
                jump(JUMP_GREATER, high, To::Over(3), To::Next),
                jump(JUMP_EQUAL, high, To::Next, To::Fail),
                load_low,
                jump(code, low, To::Next, To::Fail),
            ]
        }
        Comparison::LessThan | Comparison::LessOrEqual => {
            let code = if argument.comparison == Comparison::LessThan {
                JUMP_GREATER_EQUAL
            } else {
                JUMP_GREATER
            };
            vec![
                load_high,
                jump(JUMP_GREATER, high, To::Fail, To::Next),
                jump(JUMP_EQUAL, high, To::Next, To::Over(2)),
                load_low,
                jump(code, low, To::Fail, To::Next),
            ]
        }
    }
}

/// Low and high.
fn halves(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ]
}

fn load(offset: usize) -> sock_filter {
    let offset = u32::try_from(offset).expect("seccomp_data has 64 bytes");
    instruction(LOAD_WORD, offset, 0, 0)
}

fn answer(action: u32) -> sock_filter {
    instruction(RETURN, action, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The action for a call of this architecture, as the kernel would compute it.
    fn run(program: &Program, number: u32, arguments: [u64; 6]) -> u32 {
        let code = program.instructions();
        let (mut at, mut accumulator) = (0usize, 0u32);
        loop {
            let step = code[at];
            at += 1;
            let mut branch = |taken: bool| at += usize::from(if taken { step.jt } else { step.jf });
            match step.code {
                LOAD_WORD => {
                    let first = offset_of!(libc::seccomp_data, args);
                    accumulator = match step.k as usize {
                        0 => number,
                        4 => ARCHITECTURE,
                        offset => {
                            let at = offset - first;
                            halves(arguments[at / 8])[at % 8 / 4]
                        }
                    };
                }
                AND => accumulator &= step.k,
                super::super::program::JUMP_ALWAYS => at += step.k as usize,
                JUMP_EQUAL => branch(accumulator == step.k),
                JUMP_GREATER => branch(accumulator > step.k),
                JUMP_GREATER_EQUAL => branch(accumulator >= step.k),
                RETURN => return step.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn rule(names: &[&str], action: Action, arguments: &[Argument]) -> Rule {
        Rule {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            action,
            arguments: arguments.to_vec(),
        }
    }

    fn number(name: &str) -> u32 {
        let call: Sysno = name.parse().unwrap();
        call.id().cast_unsigned()
    }

    fn compiled(default: Action, rules: Vec<Rule>) -> Program {
        compile(&Profile {
            default,
            log: false,
            rules,
        })
    }

    #[test]
    fn comparisons_look_at_all_64_bits() {
        let samples = [
            0u64,
            1,
            5,
            (1 << 32) - 1,
            1 << 32,
            (1 << 32) + 5,
            (5 << 32) + 4,
            (5 << 32) + 5,
            (5 << 32) + 6,
            (6 << 32) + 1,
            u64::MAX,
        ];
        type Oracle = fn(u64, u64) -> bool;
        let kinds: [(Comparison, Oracle); 7] = [
            (Comparison::NotEqual, |a, v| a != v),
            (Comparison::LessThan, |a, v| a < v),
            (Comparison::LessOrEqual, |a, v| a <= v),
            (Comparison::Equal, |a, v| a == v),
            (Comparison::GreaterOrEqual, |a, v| a >= v),
            (Comparison::GreaterThan, |a, v| a > v),
            (Comparison::MaskedEqual(0x5_0000_0005), |a, v| {
                a & 0x5_0000_0005 == v
            }),
        ];
        for (comparison, oracle) in kinds {
            for value in samples {
                let argument = Argument {
                    index: 3,
                    comparison,
                    value,
                };
                let program = compiled(
                    Action::Errno(1),
                    vec![rule(&["read"], Action::Allow, &[argument])],
                );
                for sample in samples {
                    let found = run(&program, number("read"), [0, 0, 0, sample, 0, 0]);
                    let expected = if oracle(sample, value) {
                        RETURN_ALLOW
                    } else {
                        RETURN_ERRNO | 1
                    };
                    assert_eq!(found, expected, "{comparison:?} {value:#x} {sample:#x}");
                }
            }
        }
    }

    #[test]
    fn rules_of_one_call_add_up_and_a_plain_one_hides_them() {
        let equal = |index, value| Argument {
            index,
            comparison: Comparison::Equal,
            value,
        };
        let program = compiled(
            Action::KillProcess,
            vec![
                rule(&["socket"], Action::Allow, &[equal(0, 1)]),
                rule(&["socket"], Action::Errno(97), &[equal(0, 2), equal(1, 3)]),
                rule(&["read", "no_such_call"], Action::Errno(5), &[equal(0, 1)]),
                rule(&["read"], Action::Log, &[]),
                rule(&["read"], Action::Trap, &[]),
            ],
        );
        let socket = number("socket");
        let with = |a, b| run(&program, socket, [a, b, 0, 0, 0, 0]);
        assert_eq!(with(1, 9), RETURN_ALLOW);
        assert_eq!(with(2, 3), RETURN_ERRNO | 97);
        assert_eq!(with(2, 4), RETURN_KILL_PROCESS);
        assert_eq!(run(&program, number("read"), [1; 6]), RETURN_LOG);
        assert_eq!(run(&program, number("write"), [1; 6]), RETURN_KILL_PROCESS);
    }

    #[test]
    fn newer_calls_and_x32_are_not_there() {
        let program = compiled(
            Action::KillThread,
            vec![rule(&["read", "write", "openat"], Action::Allow, &[])],
        );
        let run_plain = |number| run(&program, number, [0; 6]);
        assert_eq!(run_plain(number("openat") - 1), RETURN_KILL_THREAD);
        assert_eq!(run_plain(number("openat") + 1), RETURN_ERRNO | 38);
        assert_eq!(run_plain(X32 | 1), RETURN_ERRNO | 38);
        let open = compiled(Action::Allow, vec![rule(&["read"], Action::Errno(1), &[])]);
        assert_eq!(run(&open, 5000, [0; 6]), RETURN_ALLOW);
        assert_eq!(run(&open, X32 | number("read"), [0; 6]), RETURN_ERRNO | 38);
        let nothing = compiled(Action::Errno(1), Vec::new());
        assert_eq!(run(&nothing, number("read"), [0; 6]), RETURN_ERRNO | 1);
    }
}
