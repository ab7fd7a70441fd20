//! Which system calls the default profile allows, by name; names of another architecture are skipped.
//! The facts are those of the default profile of Docker and containerd; unlike older versions of it,
//! io_uring is left out, because its operations bypass the filter.

use super::super::caps;

/// Allowed to everybody with any arguments.
pub(super) const ALLOWED: &str = "
    accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
    clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range
    creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
    epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
    fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
    fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatat fstatfs fsync ftruncate futex
    futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu
    getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
    getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
    getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
    ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown
    lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr
    lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod
    mknodat mlock mlock2 mlockall mmap modify_ldt mprotect mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
    munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
    preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg
    remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
    semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address
    setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid
    setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown
    sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink symlinkat sync
    sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
    timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate
    umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
";

/// Allowed in addition to whoever holds the capability.
pub(super) const BY_CAPABILITY: [(u64, &str); 14] = [
    (caps::bit(2), "open_by_handle_at"), // DAC_READ_SEARCH
    (caps::bit(16), "delete_module init_module finit_module"), // SYS_MODULE
    (caps::bit(17), "iopl ioperm"),      // SYS_RAWIO
    (caps::bit(18), "chroot"),           // SYS_CHROOT
    (
        caps::bit(19), // SYS_PTRACE
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    (caps::bit(20), "acct"), // SYS_PACCT
    (
        caps::SYS_ADMIN,
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount
         mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
         sethostname setns syslog umount2 unshare",
    ),
    (caps::bit(22), "reboot"), // SYS_BOOT
    (
        caps::bit(23), // SYS_NICE
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    ),
    (caps::bit(25), "settimeofday clock_settime"), // SYS_TIME
    (caps::bit(26), "vhangup"),                    // SYS_TTY_CONFIG
    (caps::bit(34), "syslog"),                     // SYSLOG
    (caps::bit(38), "perf_event_open"),            // PERFMON
    (caps::bit(39), "bpf"),                        // BPF
];

/// uretprobe, which the kernel makes a traced program call; the `syscalls` crate does not list it.
#[cfg(target_arch = "x86_64")]
pub(super) const ALLOWED_NUMBERS: [u32; 1] = [335];
#[cfg(target_arch = "aarch64")]
pub(super) const ALLOWED_NUMBERS: [u32; 0] = [];

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (clone(2)).
pub(super) const NAMESPACE_FLAGS: u32 = 0x7e02_0000;

/// PER_LINUX, PER_LINUX32, UNAME26 with each, and the query (personality(2)).
pub(super) const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Virtual-machine sockets reach the hypervisor past every network namespace (vsock(7)).
pub(super) const AF_VSOCK: u32 = 40;

/// Both put input into a terminal that somebody else may be reading (CVE-2017-5226 and the console).
pub(super) const TIOCSTI: u32 = 0x5412;
pub(super) const TIOCLINUX: u32 = 0x541c;
