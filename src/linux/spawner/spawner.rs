//! Starts commands in containers. See `mod.rs` beside this file; compiled on its own by `build.rs` of pause.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::sync::atomic::Ordering;

#[expect(dead_code, reason = "the shim compiles it too and uses the rest")]
mod order;

use order::{
    BASE, BEGINS, EXECUTES, FAILED, FIRST, Header, MEMORY, MOST, NONE, ROOM, Rule, SHARED,
    SHARED_LENGTH, SLOTS, SOCKET, Shared, Slot, Step,
};

// The kernel enters with the stack aligned; `spawner_main` never returns.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "and $-16, %rsp",
    "call spawner_main",
    "ud2",
    options(att_syntax)
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "bl spawner_main",
    "brk #1",
);

#[cfg(target_arch = "x86_64")]
mod number {
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const WRITE: usize = 1;
    pub const RECVMSG: usize = 47;
    pub const PRCTL: usize = 157;
    pub const EXIT_GROUP: usize = 231;
    pub const SETNS: usize = 308;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const CLOSE: usize = 57;
    pub const MMAP: usize = 222;
    pub const WRITE: usize = 64;
    pub const RECVMSG: usize = 212;
    pub const PRCTL: usize = 167;
    pub const EXIT_GROUP: usize = 94;
    pub const SETNS: usize = 268;
}
const CLONE3: usize = 435;
const CLOSE_RANGE: usize = 436;

const PR_SET_DUMPABLE: usize = 4;
const PR_SET_NAME: usize = 15;
const PR_CAPBSET_DROP: usize = 24;
const PROT_READ_WRITE: usize = 3;
const MAP_SHARED_FIXED: usize = 0x01 | 0x10;
const MAP_PRIVATE_FIXED_ANONYMOUS: usize = 0x02 | 0x10 | 0x20;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
/// MSG_TRUNC and MSG_CTRUNC.
const CUT: i32 = 0x20 | 0x08;
const CLONE_NEWPID: usize = 0x2000_0000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_PARENT_SETTID: u64 = 0x0010_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const ENOENT: isize = -2;
const EACCES: isize = -13;
const ENOTDIR: isize = -20;
const ENAMETOOLONG: isize = -36;
const ENOSYS: isize = -38;
const ELOOP: isize = -40;

#[cfg(target_arch = "x86_64")]
fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result: isize;
    // SAFETY: the callers pass what the call wants; rcx and r11 are lost to the syscall.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result: isize;
    // SAFETY: the callers pass what the call wants.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a.cast_signed() => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    result
}

fn exit(code: usize) -> ! {
    loop {
        call(number::EXIT_GROUP, code, 0, 0, 0, 0, 0);
    }
}

/// struct iovec and struct msghdr of recvmsg(2).
#[repr(C)]
struct Vector {
    base: usize,
    length: usize,
}

#[repr(C)]
struct Message {
    name: usize,
    name_length: u32,
    vectors: usize,
    vector_count: usize,
    control: usize,
    control_length: usize,
    flags: i32,
}

/// struct cmsghdr with the descriptors of one SCM_RIGHTS message, cmsg(3).
#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    descriptors: [i32; MOST],
}

/// struct clone_args of clone3(2), version 2.
#[repr(C)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

fn shared() -> &'static Shared {
    // SAFETY: `start` has mapped it there for good, and it is made of atomics.
    unsafe { &*(SHARED as *const Shared) }
}

/// Looked at by nobody who is not root of the machine, and never more powerful than it has to be.
fn start() {
    call(number::PRCTL, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
    let name = c"podtui-spawner";
    call(
        number::PRCTL,
        PR_SET_NAME,
        name.as_ptr() as usize,
        0,
        0,
        0,
        0,
    );
    let maps = [
        call(
            number::MMAP,
            SHARED as usize,
            SHARED_LENGTH,
            PROT_READ_WRITE,
            MAP_SHARED_FIXED,
            MEMORY as usize,
            0,
        ),
        call(
            number::MMAP,
            BASE as usize,
            ROOM,
            PROT_READ_WRITE,
            MAP_PRIVATE_FIXED_ANONYMOUS,
            usize::MAX,
            0,
        ),
    ];
    if maps.iter().any(|address| *address < 0) {
        exit(1);
    }
    call(number::CLOSE, MEMORY as usize, 0, 0, 0, 0, 0);
    // Children begin with this set, so that not each of them has to drop from it.
    let keep = shared().bounding.load(Ordering::Acquire);
    for capability in 0..64 {
        if keep & (1 << capability) == 0
            && call(number::PRCTL, PR_CAPBSET_DROP, capability, 0, 0, 0, 0) < 0
        {
            break;
        }
    }
}

/// Takes one order into its place; its descriptors have the numbers that it counts on.
fn receive() -> Header {
    let vector = Vector {
        base: BASE as usize,
        length: ROOM,
    };
    let mut control = Control {
        length: 0,
        level: 0,
        kind: 0,
        descriptors: [NONE; MOST],
    };
    let mut message = Message {
        name: 0,
        name_length: 0,
        vectors: &raw const vector as usize,
        vector_count: 1,
        control: &raw mut control as usize,
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let received = call(
        number::RECVMSG,
        SOCKET as usize,
        &raw mut message as usize,
        MSG_CMSG_CLOEXEC,
        0,
        0,
        0,
    );
    // 0: the shim has gone.
    if received < size_of::<Header>() as isize || message.flags & CUT != 0 {
        exit(0);
    }
    // SAFETY: the order was received to this address, which is aligned.
    let header = unsafe { *(BASE as *const Header) };
    let expected = FIRST..FIRST + header.descriptors as i32;
    if header.slot as usize >= SLOTS || !control.descriptors.iter().copied().take(expected.len()).eq(expected)
    {
        exit(1);
    }
    header
}

/// A child of the shim, not of this process; 0 in the child.
fn clone(header: &Header, slot: &Slot) -> isize {
    let mut arguments = CloneArguments {
        // The number stands in the slot before the child, and so its end, can be seen.
        flags: CLONE_PARENT | CLONE_PARENT_SETTID,
        pidfd: 0,
        child_tid: 0,
        parent_tid: slot.pid.as_ptr() as u64,
        // With CLONE_PARENT it is that of this process, SIGCHLD.
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if header.cgroup != NONE {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = header.cgroup as u64;
    }
    if header.pid_namespace != NONE {
        let entered = call(
            number::SETNS,
            header.pid_namespace as usize,
            CLONE_NEWPID,
            0,
            0,
            0,
            0,
        );
        if entered < 0 {
            return entered;
        }
    }
    call(
        CLONE3,
        &raw mut arguments as usize,
        size_of::<CloneArguments>(),
        0,
        0,
        0,
        0,
    )
}

/// The child: every step in its order, the last of which do not return.
fn carry_out(header: &Header, slot: &Slot) -> ! {
    let first = (BASE as usize + header.steps_at as usize) as *const Step;
    for index in 0..header.steps as usize {
        // SAFETY: the shim has counted the steps that it wrote there.
        let step = unsafe { &*first.add(index) };
        if step.rule == Rule::Execute {
            slot.state.store(EXECUTES, Ordering::Release);
        }
        let [a, b, c, d, e] = step.arguments.map(|argument| argument as usize);
        let result = call(step.call as usize, a, b, c, d, e, 0);
        let is_fine = match step.rule {
            Rule::May => true,
            Rule::Must => result >= 0,
            Rule::IfKnown => result >= 0 || result == ENOSYS,
            // SAFETY: the call has written to this address of the order.
            Rule::Absolute => result >= 0 && unsafe { *(a as *const u8) } == b'/',
            Rule::Execute => matches!(result, ENOENT | EACCES | ENOTDIR | ENAMETOOLONG | ELOOP),
        };
        if !is_fine {
            break;
        }
    }
    slot.state.store(FAILED, Ordering::Release);
    exit(127)
}

#[unsafe(no_mangle)]
extern "C" fn spawner_main() -> ! {
    start();
    loop {
        let header = receive();
        let slot = &shared().slots[header.slot as usize];
        slot.state.store(BEGINS, Ordering::Release);
        let made = clone(&header, slot);
        if made == 0 {
            carry_out(&header, slot);
        }
        call(CLOSE_RANGE, FIRST as usize, u32::MAX as usize, 0, 0, 0, 0);
        if made < 0 {
            slot.state.store(FAILED, Ordering::Release);
            // No child will tell that it has ended.
            let told = header.slot as u8;
            call(
                number::WRITE,
                SOCKET as usize,
                &raw const told as usize,
                1,
                0,
                0,
                0,
            );
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(101)
}
