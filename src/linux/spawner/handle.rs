#![expect(unsafe_code, reason = "memory shared with another process")]

use std::cell::Cell;
use std::ffi::CString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};

use rustix::net::sockopt::set_socket_send_buffer_size;

use super::image::Order;
use super::order::{BEGINS, EXECUTES, MOST, SHARED_LENGTH, SLOTS, Shared, Slot};
use crate::base::Pid;
use crate::linux::clone::{self, Namespaces, SingleThreaded};
use crate::linux::proc::{self, CStringArray};
use crate::linux::{pause, signal};

/// The program, an ELF executable for this architecture.
static BINARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/spawner"));

/// Bytes of orders that may wait.
const ROOM_FOR_ORDERS: usize = 1 << 20;

/// The shim's end of its spawner, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Spawner {
    socket: OwnedFd,
    memory: Rc<Memory>,
    bounding: u64,
}

/// A command that the spawner was told to start.
#[derive(Debug)]
pub(crate) struct Started {
    memory: Rc<Memory>,
    slot: usize,
}

/// How far a command came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not yet at execve(2).
    Begins,
    /// It was executed, unless that fails yet.
    Executes,
    /// It was not executed, and never will be.
    Failed,
}

impl Spawner {
    /// Starts the process. Its children have no capability outside `bounding` in their bounding set, and `null` as
    /// their input.
    pub(crate) fn start(
        witness: &SingleThreaded,
        bounding: u64,
        null: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let program = pause::seal(c"spawner", BINARY).map_err(io::Error::other)?;
        let file = memfd_create("spawner-state", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, SHARED_LENGTH as u64)?;
        let memory = Rc::new(Memory::map(file.as_fd())?);
        memory.shared().bounding.store(bounding, Ordering::Release);
        let (socket, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // The probes of a pod come together; what has no room is forked.
        let _ = set_socket_send_buffer_size(&socket, ROOM_FOR_ORDERS);
        let arguments = CStringArray::new(vec![CString::from(c"podtui-spawner")]);
        let environment = CStringArray::new(Vec::new());
        clone::spawn(witness, Namespaces::NONE, None, || {
            let _ = become_spawner(
                null,
                [theirs.as_fd(), file.as_fd(), program.as_fd()],
                &arguments,
                &environment,
            );
            1
        })?;
        Ok(Self {
            socket,
            memory,
            bounding,
        })
    }

    /// What the children begin with.
    pub(crate) const fn bounding(&self) -> u64 {
        self.bounding
    }

    /// Has an order carried out. An error means that nothing will happen, as when there are too many at once.
    pub(crate) fn send(
        &self,
        order: &mut Order,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<Started> {
        if order.descriptors() != descriptors.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let slot = self.memory.take().ok_or(io::ErrorKind::QuotaExceeded)?;
        let started = Started {
            memory: Rc::clone(&self.memory),
            slot,
        };
        let number = u32::try_from(slot).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // A spawner that does not read must not keep the shim waiting.
        sendmsg(
            &self.socket,
            &[IoSlice::new(order.for_slot(number))],
            &mut ancillary,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        )?;
        Ok(started)
    }

    /// Takes what it says, which it does only of children that could not be made. `false` when it has gone.
    pub(crate) fn listen(&self) -> bool {
        let mut buffer = [0; 64];
        loop {
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return false,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for Spawner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Runs in the child.
fn become_spawner(
    null: BorrowedFd<'_>,
    kept: [BorrowedFd<'_>; 3],
    arguments: &CStringArray,
    environment: &CStringArray,
) -> io::Result<()> {
    signal::block_all()?;
    proc::redirect(null, 0)?;
    let [socket, memory, program] = proc::keep_only(kept)?;
    fcntl_setfd(&socket, FdFlags::empty())?;
    fcntl_setfd(&memory, FdFlags::empty())?;
    Err(proc::execute_fd(program.as_fd(), arguments, environment))
}

impl Started {
    fn slot(&self) -> &Slot {
        &self.memory.shared().slots[self.slot]
    }

    /// `None` until there is a process. Nobody else may reap it before its number is used.
    pub(crate) fn pid(&self) -> Option<Pid> {
        let pid = self.slot().pid.load(Ordering::Acquire);
        (pid != 0).then(|| Pid::new(pid))
    }

    pub(crate) fn progress(&self) -> Progress {
        match self.slot().state.load(Ordering::Acquire) {
            BEGINS => Progress::Begins,
            EXECUTES => Progress::Executes,
            _ => Progress::Failed,
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let used = self.memory.used.get();
        self.memory.used.set(used & !(1 << self.slot));
    }
}

/// The page that the spawner maps too.
#[derive(Debug)]
struct Memory {
    address: NonNull<Shared>,
    /// A bit for each slot.
    used: Cell<u64>,
}

// One bit each.
const _: () = assert!(SLOTS == 64 && size_of::<Shared>() <= SHARED_LENGTH);

impl Memory {
    fn map(file: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: a new mapping at a place of the kernel's choice replaces nothing.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SHARED_LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            address,
            used: Cell::new(0),
        })
    }

    fn shared(&self) -> &Shared {
        // SAFETY: mapped until this is dropped, aligned to a page, long enough, and zeroes or whatever the spawner
        // writes are valid atomics.
        unsafe { self.address.as_ref() }
    }

    /// A slot that nobody uses, cleared.
    fn take(&self) -> Option<usize> {
        let used = self.used.get();
        let slot = usize::try_from(used.trailing_ones()).ok()?;
        let found = self.shared().slots.get(slot)?;
        found.pid.store(0, Ordering::Release);
        found.state.store(BEGINS, Ordering::Release);
        self.used.set(used | 1 << slot);
        Some(slot)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.address.as_ptr().cast(), SHARED_LENGTH) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;
    use crate::linux::fork_test;
    use crate::linux::pidfd::{self, Exit};
    use crate::linux::spawner::Image;

    /// Has `script` run by a spawner whose shim is a child of this test, which has one thread. Returns what it wrote,
    /// how it ended and how far it came.
    fn run(programs: &[&str], script: &str) -> (String, Exit, Progress) {
        let witness = SingleThreaded::check().unwrap();
        let null = File::open("/dev/null").unwrap();
        let spawner = Spawner::start(&witness, u64::MAX, null.as_fd()).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let mut image = Image::new();
        let output = image.descriptor();
        image.unblock_signals();
        image.new_session();
        image.write_to(output);
        image.close_on_exec();
        let strings = |all: &[&str]| {
            CStringArray::new(all.iter().map(|one| CString::new(*one).unwrap()).collect())
        };
        let programs: Vec<CString> = programs
            .iter()
            .map(|one| CString::new(*one).unwrap())
            .collect();
        image.execute(
            &programs,
            &strings(&["sh", "-c", script]),
            &strings(&["A=b"]),
        );
        let mut order = image.finish().unwrap();
        let started = spawner.send(&mut order, &[writer.as_fd()]).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        loop {
            if let Some((pid, exit)) = pidfd::reap_next().unwrap() {
                assert_eq!(Some(pid), started.pid());
                return (text, exit, started.progress());
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_command_is_the_child_of_who_ordered_it() {
        fork_test::run(|| {
            let script = "echo $A $PPID; ls /proc/self/fd | wc -l; exit 7";
            let (text, exit, progress) = run(&["/nowhere/sh", "/bin/sh"], script);
            // Three streams, and the directory itself.
            assert_eq!(text, format!("b {}\n4\n", std::process::id()));
            assert_eq!((exit, progress), (Exit::Code(7), Progress::Executes));
        });
    }

    #[test]
    fn what_cannot_be_executed_is_told() {
        fork_test::run(|| {
            let (text, exit, progress) = run(&["/nowhere/sh", "/dev/null"], "");
            assert_eq!((text.as_str(), exit), ("", Exit::Code(127)));
            assert_eq!(progress, Progress::Failed);
        });
    }

    #[test]
    fn it_ends_with_its_shim() {
        fork_test::run(|| {
            let witness = SingleThreaded::check().unwrap();
            let null = File::open("/dev/null").unwrap();
            drop(Spawner::start(&witness, u64::MAX, null.as_fd()).unwrap());
            loop {
                if let Some((_, exit)) = pidfd::reap_next().unwrap() {
                    return assert_eq!(exit, Exit::Code(0));
                }
                std::thread::yield_now();
            }
        });
    }
}
