//! Holds the namespaces of a pod open. See `mod.rs` beside this file; compiled on its own by `build.rs`.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

// The kernel enters with the stack aligned and argc on it; `main` never returns.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "and $-16, %rsp",
    "call pause_main",
    "ud2",
    options(att_syntax)
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "bl pause_main",
    "brk #1",
);

#[cfg(target_arch = "x86_64")]
mod number {
    pub const WAIT4: usize = 61;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const PRCTL: usize = 157;
    pub const EXIT_GROUP: usize = 231;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const WAIT4: usize = 260;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const PRCTL: usize = 167;
    pub const EXIT_GROUP: usize = 94;
}

const SIGINT: isize = 2;
const SIGTERM: isize = 15;
const SIGCHLD: isize = 17;
const SIG_BLOCK: usize = 0;
const WNOHANG: usize = 1;
const PR_SET_NAME: usize = 15;
const ANY_CHILD: usize = usize::MAX;
/// Bytes of the kernel's sigset_t.
const SET_SIZE: usize = 8;

#[cfg(target_arch = "x86_64")]
fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the calls below pass valid pointers or none; rcx and r11 are lost to the syscall.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the calls below pass valid pointers or none.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a.cast_signed() => result,
            in("x1") b, in("x2") c, in("x3") d,
            options(nostack)
        );
    }
    result
}

fn exit(code: usize) -> ! {
    loop {
        call(number::EXIT_GROUP, code, 0, 0, 0);
    }
}

#[unsafe(no_mangle)]
extern "C" fn pause_main() -> ! {
    let set: u64 = (1 << (SIGINT - 1)) | (1 << (SIGTERM - 1)) | (1 << (SIGCHLD - 1));
    let set_address = &raw const set as usize;
    call(number::RT_SIGPROCMASK, SIG_BLOCK, set_address, 0, SET_SIZE);
    // Run from a descriptor, the thread name would be that of the descriptor. It comes after the mask, so
    // that whoever sees the name knows that a signal will be answered in order.
    let name = c"pause";
    call(number::PRCTL, PR_SET_NAME, name.as_ptr() as usize, 0, 0);
    loop {
        // First the children that ended before SIGCHLD was blocked or whose signals were merged.
        while call(number::WAIT4, ANY_CHILD, 0, WNOHANG, 0) > 0 {}
        match call(number::RT_SIGTIMEDWAIT, set_address, 0, 0, SET_SIZE) {
            SIGINT | SIGTERM => exit(0),
            _ => {}
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(101)
}
