#![expect(unsafe_code, reason = "tests make raw system calls")]

use std::collections::HashMap;
use std::mem::offset_of;

use super::super::{caps, fork_test};
use super::program::{self, Answer};
use super::*;

struct Call {
    architecture: u32,
    number: u32,
    arguments: [u32; 2],
}

/// Runs the program as the kernel would; returns the action and the instructions it took.
fn interpret(program: &Program, call: &Call) -> (u32, usize) {
    let code = program.instructions();
    let (mut at, mut accumulator, mut steps) = (0usize, 0u32, 0usize);
    loop {
        let step = code[at];
        steps += 1;
        at += 1;
        let mut branch = |taken: bool| at += usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            program::LOAD_WORD => {
                let arguments = offset_of!(libc::seccomp_data, args);
                accumulator = match step.k as usize {
                    0 => call.number,
                    4 => call.architecture,
                    offset => {
                        assert_eq!((offset - arguments) % 8, 0);
                        call.arguments[(offset - arguments) / 8]
                    }
                };
            }
            program::JUMP_ALWAYS => at += step.k as usize,
            program::JUMP_EQUAL => branch(accumulator == step.k),
            program::JUMP_GREATER_EQUAL => branch(accumulator >= step.k),
            program::JUMP_ANY_BIT => branch(accumulator & step.k != 0),
            program::RETURN => return (step.k, steps),
            other => panic!("instruction {other:#x}"),
        }
    }
}

const ALLOW: u32 = program::RETURN_ALLOW;
const EPERM: u32 = program::RETURN_ERRNO | 1;
const ENOSYS: u32 = program::RETURN_ERRNO | 38;

#[track_caller]
fn check(capabilities: u64, name: &str, arguments: [u32; 2], expected: u32) {
    let number: syscalls::Sysno = name.parse().unwrap();
    let call = Call {
        architecture: program::ARCHITECTURE,
        number: number.id().cast_unsigned(),
        arguments,
    };
    let (action, _) = interpret(&compile_default(capabilities), &call);
    assert_eq!(
        action, expected,
        "{name}({arguments:?}) with {capabilities:#x}: {action:#x}"
    );
}

#[test]
fn every_number_gets_the_answer_of_the_table() {
    for capabilities in [0, caps::DEFAULT, caps::SYS_ADMIN, caps::ALL] {
        let program = compile_default(capabilities);
        let table: HashMap<u32, Answer> = program::answers(capabilities).into_iter().collect();
        for number in (0..1024).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
            let call = Call {
                architecture: program::ARCHITECTURE,
                number,
                arguments: [0, 0],
            };
            let expected = match table.get(&number) {
                None => ENOSYS,
                Some(Answer::Refuse(errno)) => program::RETURN_ERRNO | u32::from(*errno),
                // With zero as arguments every conditional rule allows.
                Some(_) => ALLOW,
            };
            let (action, steps) = interpret(&program, &call);
            assert_eq!(action, expected, "number {number} with {capabilities:#x}");
            assert!(steps <= 20, "number {number} takes {steps} instructions");
        }
    }
}

#[test]
fn names_and_arguments() {
    let default = caps::DEFAULT;
    check(default, "read", [0, 0], ALLOW);
    check(default, "execve", [0, 0], ALLOW);
    check(default, "chroot", [0, 0], ALLOW);
    check(0, "chroot", [0, 0], EPERM);
    check(default, "mount", [0, 0], EPERM);
    check(caps::SYS_ADMIN, "mount", [0, 0], ALLOW);
    check(default, "unshare", [0, 0], EPERM);
    check(default, "keyctl", [0, 0], EPERM);
    check(caps::ALL, "keyctl", [0, 0], EPERM);
    check(default, "io_uring_setup", [0, 0], EPERM);
    check(default, "bpf", [0, 0], EPERM);
    check(caps::named("BPF"), "bpf", [0, 0], ALLOW);
    check(caps::named("PERFMON"), "perf_event_open", [0, 0], ALLOW);
    check(caps::named("SYSLOG"), "syslog", [0, 0], ALLOW);
    check(caps::named("SYS_TIME"), "clock_settime", [0, 0], ALLOW);
    check(caps::named("SYS_MODULE"), "finit_module", [0, 0], ALLOW);
    check(caps::named("SYS_NICE"), "mbind", [0, 0], ALLOW);
    check(caps::named("SYS_BOOT"), "reboot", [0, 0], ALLOW);
    check(caps::named("SYS_PTRACE"), "kcmp", [0, 0], ALLOW);
    check(caps::named("SYS_PACCT"), "acct", [0, 0], ALLOW);
    check(caps::named("SYS_TTY_CONFIG"), "vhangup", [0, 0], ALLOW);
    check(
        caps::named("DAC_READ_SEARCH"),
        "open_by_handle_at",
        [0, 0],
        ALLOW,
    );
    check(default, "clone", [0x0120_0011, 0], ALLOW);
    for namespace in [17, 25, 26, 27, 28, 29, 30] {
        check(default, "clone", [1 << namespace, 0], EPERM);
        check(caps::SYS_ADMIN, "clone", [1 << namespace, 0], ALLOW);
    }
    check(default, "clone3", [0, 0], ENOSYS);
    check(caps::SYS_ADMIN, "clone3", [0, 0], ALLOW);
    for allowed in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        check(default, "personality", [allowed, 0], ALLOW);
    }
    check(default, "personality", [0x0004_0000, 0], EPERM);
    check(default, "socket", [2, 0], ALLOW);
    check(default, "socket", [40, 0], EPERM);
    check(caps::ALL, "socket", [40, 0], EPERM);
    check(default, "ioctl", [0, 0x5413], ALLOW);
    check(default, "ioctl", [0, 0x5412], EPERM);
    check(caps::ALL, "ioctl", [0, 0x541c], EPERM);
}

#[test]
fn another_architecture_is_killed() {
    let call = Call {
        architecture: 0x4000_0003,
        number: 1,
        arguments: [0, 0],
    };
    let (action, _) = interpret(&compile_default(caps::DEFAULT), &call);
    assert_eq!(action, program::RETURN_KILL_PROCESS);
}

/// A misspelt name would silently allow nothing.
#[test]
#[cfg(target_arch = "x86_64")]
fn every_name_is_known() {
    let listed = profile::BY_CAPABILITY.iter().map(|(_, names)| *names);
    let unknown: Vec<&str> = listed
        .chain([profile::ALLOWED])
        .flat_map(str::split_whitespace)
        .filter(|name| name.parse::<syscalls::Sysno>().is_err())
        .collect();
    // The name aarch64 has for newfstatat.
    assert_eq!(unknown, ["fstatat"]);
}

/// The errno of a system call with plain numbers as arguments, 0 when it succeeds.
fn errno_of(number: libc::c_long, arguments: [libc::c_long; 3]) -> i32 {
    let [a, b, c] = arguments;
    // SAFETY: the calls below take numbers, and clone3 is refused before its pointer is looked at.
    match unsafe { libc::syscall(number, a, b, c) } {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap(),
        _ => 0,
    }
}

#[test]
fn the_kernel_takes_it_and_obeys() {
    let program = compile_default(caps::DEFAULT);
    fork_test::run(|| {
        // SAFETY: prctl with plain numbers.
        let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        assert_eq!(done, 0);
        install(&program).unwrap();
        let new_mounts = libc::CLONE_NEWNS.into();
        let stream = libc::SOCK_STREAM.into();
        assert_eq!(errno_of(libc::SYS_unshare, [new_mounts, 0, 0]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_clone3, [0, 0, 0]), libc::ENOSYS);
        assert_eq!(errno_of(1000, [0, 0, 0]), libc::ENOSYS);
        let (vsock, unix) = (libc::AF_VSOCK.into(), libc::AF_UNIX.into());
        assert_eq!(errno_of(libc::SYS_socket, [vsock, stream, 0]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_socket, [unix, stream, 0]), 0);
        assert!(std::fs::read_to_string("/proc/self/comm").is_ok());
    });
}
