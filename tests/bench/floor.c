/* The floor: what the same work costs when a C program makes only the system calls it cannot do without.
 *
 * floor pod ROOTFS N      N times: build a sandbox (net, ipc, uts namespaces, bridge port, address) and two
 *                         containers in it, up to exec; prints microseconds per pod, then tears it down
 * floor exec ROOTFS N     N times: enter a running container and run /bin/true there
 * floor restart ROOTFS N  N times: SIGKILL the container, notice, start its replacement
 * floor probe KIND PID N  N times, 100 in a second: what a probe of KIND (tcpSocket, httpGet, exec) does to the
 *                         container of PID; prints microseconds of processor time per probe, of this program and
 *                         of all (the command that a probe of kind exec runs)
 * floor log LINE BYTES    copies BYTES of LINE-byte lines from a pipe into a file, in 64 KiB pieces
 *
 * Overlay and scratch directories lie below $FLOOR_DIR and are left for the caller to remove. Needs root. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static const char *dir;
static char rootfs[4096];
/* Scratch directories are never used twice: overlayfs refuses a work directory left by a volatile mount. */
static int first;

/* ---- netlink ---- */

static int netlink_open(void) {
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (s < 0) die("netlink");
    return s;
}

struct message {
    struct nlmsghdr h;
    char body[1024];
};

static void *put(struct message *m, int type, const void *data, int length) {
    struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(length);
    if (length) memcpy(RTA_DATA(a), data, length);
    m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}

static void close_nest(struct message *m, struct rtattr *a) {
    a->rta_len = (char *)m + m->h.nlmsg_len - (char *)a;
}

static int talk(int s, struct message *m) {
    char answer[8192];
    m->h.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (send(s, m, m->h.nlmsg_len, 0) < 0) die("send");
    int n = recv(s, answer, sizeof answer, 0);
    if (n < (int)NLMSG_LENGTH(sizeof(struct nlmsgerr))) die("recv");
    return ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error;
}

static void link_message(struct message *m, int flags, int index, int up) {
    memset(m, 0, sizeof *m);
    m->h.nlmsg_type = RTM_NEWLINK;
    m->h.nlmsg_flags = flags;
    m->h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    struct ifinfomsg *i = NLMSG_DATA(&m->h);
    i->ifi_index = index;
    if (up) i->ifi_flags = i->ifi_change = IFF_UP;
}

static void make_bridge(int s, const char *name) {
    struct message m;
    link_message(&m, NLM_F_CREATE, 0, 1);
    put(&m, IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = put(&m, IFLA_LINKINFO, 0, 0);
    put(&m, IFLA_INFO_KIND, "bridge", 6);
    close_nest(&m, info);
    int e = talk(s, &m);
    if (e && e != -EEXIST) errno = -e, die("bridge");
}

static void make_veth(int s, const char *name, int bridge, int netns) {
    struct message m;
    link_message(&m, NLM_F_CREATE | NLM_F_EXCL, 0, 1);
    put(&m, IFLA_IFNAME, name, strlen(name) + 1);
    put(&m, IFLA_MASTER, &bridge, 4);
    struct rtattr *info = put(&m, IFLA_LINKINFO, 0, 0);
    put(&m, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = put(&m, IFLA_INFO_DATA, 0, 0);
    struct rtattr *peer = put(&m, VETH_INFO_PEER, 0, 0);
    m.h.nlmsg_len += sizeof(struct ifinfomsg);
    put(&m, IFLA_IFNAME, "eth0", 5);
    put(&m, IFLA_NET_NS_FD, &netns, 4);
    close_nest(&m, peer);
    close_nest(&m, data);
    close_nest(&m, info);
    int e = talk(s, &m);
    if (e) errno = -e, die("veth");
}

static void inside_network(int s, int octet) {
    struct message m;
    int lo = 1, eth = if_nametoindex("eth0");
    link_message(&m, 0, lo, 1);
    talk(s, &m);
    link_message(&m, 0, eth, 1);
    talk(s, &m);
    memset(&m, 0, sizeof m);
    m.h.nlmsg_type = RTM_NEWADDR;
    m.h.nlmsg_flags = NLM_F_CREATE;
    m.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
    struct ifaddrmsg *a = NLMSG_DATA(&m.h);
    a->ifa_family = AF_INET;
    a->ifa_prefixlen = 24;
    a->ifa_index = eth;
    uint32_t address = htonl(0x0a620300u + octet);
    put(&m, IFA_LOCAL, &address, 4);
    put(&m, IFA_ADDRESS, &address, 4);
    talk(s, &m);
    memset(&m, 0, sizeof m);
    m.h.nlmsg_type = RTM_NEWROUTE;
    m.h.nlmsg_flags = NLM_F_CREATE;
    m.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg));
    struct rtmsg *r = NLMSG_DATA(&m.h);
    r->rtm_family = AF_INET;
    r->rtm_table = RT_TABLE_MAIN;
    r->rtm_protocol = RTPROT_STATIC;
    r->rtm_type = RTN_UNICAST;
    uint32_t gateway = htonl(0x0a620301u);
    put(&m, RTA_GATEWAY, &gateway, 4);
    put(&m, RTA_OIF, &eth, 4);
    talk(s, &m);
}

/* ---- cgroups: one group per container in every hierarchy that is mounted, as a runtime has to make ---- */

static char hierarchies[32][256];
static int hierarchy_count;

static void find_hierarchies(void) {
    char line[4096], path[256], type[64];
    FILE *mounts = fopen("/proc/self/mounts", "re");
    while (mounts && fgets(line, sizeof line, mounts))
        if (sscanf(line, "%*s %255s %63s", path, type) == 2 && !strncmp(type, "cgroup", 6) &&
            !strstr(line, "name=") && hierarchy_count < 32)
            strcpy(hierarchies[hierarchy_count++], path);
    if (mounts) fclose(mounts);
}

static void make_groups(int index) {
    char path[512];
    for (int i = 0; i < hierarchy_count; i++) {
        snprintf(path, sizeof path, "%s/ptfloor%d", hierarchies[i], index);
        if (mkdir(path, 0755)) die(path);
        if (!strstr(hierarchies[i], "cpuset")) continue;
        for (const char *const *name = (const char *const[]){"cpuset.cpus", "cpuset.mems", 0}; *name; name++) {
            char value[256];
            snprintf(path, sizeof path, "%s/%s", hierarchies[i], *name);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            ssize_t n = read(fd, value, sizeof value);
            close(fd);
            snprintf(path, sizeof path, "%s/ptfloor%d/%s", hierarchies[i], index, *name);
            fd = open(path, O_WRONLY | O_CLOEXEC);
            if (n > 0 && write(fd, value, n) < 0) die(path);
            close(fd);
        }
    }
}

/* By the only thread of the process that is moved: "0" to tasks (v1) or cgroup.procs (v2). */
static void join_groups(int index) {
    char path[512];
    for (int i = 0; i < hierarchy_count; i++) {
        snprintf(path, sizeof path, "%s/ptfloor%d/tasks", hierarchies[i], index);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
            snprintf(path, sizeof path, "%s/ptfloor%d/cgroup.procs", hierarchies[i], index);
            fd = open(path, O_WRONLY | O_CLOEXEC);
        }
        if (write(fd, "0", 1) < 0) die(path);
        close(fd);
    }
}

static void drop_groups(int index) {
    char path[512];
    for (int i = 0; i < hierarchy_count; i++) {
        snprintf(path, sizeof path, "%s/ptfloor%d", hierarchies[i], index);
        for (int tries = 0; rmdir(path) && errno == EBUSY && tries < 200; tries++) usleep(1000);
    }
}

/* ---- processes ---- */

static pid_t clone_pidfd(unsigned long flags, int *pidfd) {
    struct clone_args {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } a = {.flags = flags | CLONE_PIDFD, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD};
    pid_t p = syscall(SYS_clone3, &a, sizeof a);
    if (p < 0) die("clone3");
    return p;
}

static void node(const char *path, int major, int minor) {
    if (mknod(path, S_IFCHR | 0666, makedev(major, minor))) die(path);
}

/* The container: join the sandbox, own mount and pid namespace, an overlay root, exec. */
static pid_t container(int sandbox, int index, const char *const argv[], int *pidfd, int *started) {
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC)) die("pipe");
    make_groups(index);
    pid_t child = clone_pidfd(CLONE_NEWNS | CLONE_NEWPID, pidfd);
    if (child == 0) {
        char options[9000], merged[4200];
        join_groups(index);
        if (unshare(CLONE_NEWCGROUP)) die("unshare");
        if (setns(sandbox, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)) die("setns");
        if (mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) die("private");
        snprintf(merged, sizeof merged, "%s/m%d", dir, index);
        snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/u%d,workdir=%s/w%d,volatile", rootfs, dir, index,
                 dir, index);
        if (mount("overlay", merged, "overlay", 0, options)) die("overlay");
        if (chdir(merged)) die("chdir");
        if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)) die("proc");
        if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k")) die("dev");
        node("dev/null", 1, 3), node("dev/zero", 1, 5), node("dev/full", 1, 7);
        node("dev/random", 1, 8), node("dev/urandom", 1, 9), node("dev/tty", 5, 0);
        mkdir("dev/pts", 0755), mkdir("dev/shm", 01777), mkdir("dev/mqueue", 0755);
        if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"))
            die("devpts");
        if (mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k")) die("shm");
        if (mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)) die("mqueue");
        if (mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, 0)) die("sysfs");
        if (syscall(SYS_pivot_root, ".", ".")) die("pivot_root");
        if (umount2(".", MNT_DETACH)) die("detach");
        if (chdir("/")) die("chdir /");
        execv(argv[0], (char *const *)argv);
        die("exec");
    }
    close(pipe_fds[1]);
    *started = pipe_fds[0];
    return child;
}

static void wait_exec(int fd) {
    char byte;
    if (read(fd, &byte, 1) < 0) die("read");
    close(fd);
}

static void scratch(int index) {
    char path[4200];
    for (const char *kind = "muw"; *kind; kind++) {
        snprintf(path, sizeof path, "%s/%c%d", dir, *kind, index);
        mkdir(path, 0755);
    }
}

static void reap(pid_t pid, int pidfd) {
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, 0, 0);
    waitpid(pid, 0, 0);
    close(pidfd);
}

static const char *const SLEEP[] = {"/bin/busybox", "sleep", "1000000", 0};
static const char *const TRUE_[] = {"/bin/busybox", "true", 0};

static pid_t pause_process(int *pidfd) {
    pid_t pid = clone_pidfd(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, pidfd);
    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

static void pods(int count) {
    int host = netlink_open();
    make_bridge(host, "ptfloor0");
    int bridge = if_nametoindex("ptfloor0");
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < count; i++) {
        char veth[32], path[64];
        int pause_fd, one_fd, two_fd, one_ready, two_ready;
        double start = now_us();
        snprintf(veth, sizeof veth, "ptfloor%d", i + 1);
        pid_t pause_pid = pause_process(&pause_fd);
        snprintf(path, sizeof path, "/proc/%d/ns/net", pause_pid);
        int netns = open(path, O_RDONLY | O_CLOEXEC);
        make_veth(host, veth, bridge, netns);
        setns(netns, CLONE_NEWNET);
        int inside = netlink_open();
        inside_network(inside, 2 + i % 200);
        close(inside);
        setns(here, CLONE_NEWNET);
        close(netns);
        scratch(first + 2 * i), scratch(first + 2 * i + 1);
        pid_t one = container(pause_fd, first + 2 * i, SLEEP, &one_fd, &one_ready);
        pid_t two = container(pause_fd, first + 2 * i + 1, SLEEP, &two_fd, &two_ready);
        wait_exec(one_ready);
        wait_exec(two_ready);
        printf("%.0f\n", now_us() - start);
        reap(one, one_fd), reap(two, two_fd), reap(pause_pid, pause_fd);
        drop_groups(first + 2 * i), drop_groups(first + 2 * i + 1);
    }
    struct message m;
    link_message(&m, 0, bridge, 0);
    m.h.nlmsg_type = RTM_DELLINK;
    talk(host, &m);
}

static void execs(int count) {
    int pause_fd, fd, ready;
    pid_t pause_pid = pause_process(&pause_fd);
    scratch(first);
    pid_t pid = container(pause_fd, first, SLEEP, &fd, &ready);
    wait_exec(ready);
    for (int i = 0; i < count; i++) {
        double start = now_us();
        pid_t entered = fork();
        if (entered == 0) {
            if (setns(fd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)) die("setns");
            pid_t inner = vfork();
            if (inner == 0) {
                execv(TRUE_[0], (char *const *)TRUE_);
                _exit(127);
            }
            int status;
            waitpid(inner, &status, 0);
            _exit(WEXITSTATUS(status));
        }
        int status;
        waitpid(entered, &status, 0);
        if (status) {
            fprintf(stderr, "floor: exec ended with %d\n", status);
            reap(pid, fd), reap(pause_pid, pause_fd);
            drop_groups(first);
            exit(1);
        }
        printf("%.0f\n", now_us() - start);
    }
    reap(pid, fd), reap(pause_pid, pause_fd);
    drop_groups(first);
}

static void restarts(int count) {
    int pause_fd, fd, ready;
    pid_t pause_pid = pause_process(&pause_fd);
    scratch(first);
    pid_t pid = container(pause_fd, first, SLEEP, &fd, &ready);
    wait_exec(ready);
    for (int i = 1; i <= count; i++) {
        double start = now_us();
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0);
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        poll(&poll_fd, 1, -1);
        waitpid(pid, 0, 0);
        close(fd);
        scratch(first + i);
        pid = container(pause_fd, first + i, SLEEP, &fd, &ready);
        wait_exec(ready);
        printf("%.0f\n", now_us() - start);
        drop_groups(first + i - 1);
    }
    reap(pid, fd), reap(pause_pid, pause_fd);
    drop_groups(first + count);
}

/* ---- probes ---- */

static void once_connected(int talks) {
    static const char ask[] = "GET /hostname HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: floor\r\n"
                              "Accept: */*\r\nConnection: close\r\n\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[10240];
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to)) die("connect");
    if (talks) {
        if (write(s, ask, sizeof ask - 1) < 0) die("write");
        for (ssize_t n; (n = read(s, answer, sizeof answer));)
            if (n < 0) die("read");
    }
    close(s);
}

static int entered;
static char tasks[32][1024];
static int task_count;

/* The groups of a process: in every v1 tree, or in the cgroup2 tree if that is the only one. */
static void find_tasks(const char *pid) {
    char line[1024], path[64];
    snprintf(path, sizeof path, "/proc/%s/cgroup", pid);
    FILE *groups = fopen(path, "re");
    if (!groups) die(path);
    while (fgets(line, sizeof line, groups) && task_count < 32) {
        char *names = strchr(line, ':') + 1, *group = strchr(names, ':');
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        if (!*names ? hierarchy_count > 1 : !strncmp(names, "name=", 5) || !strcmp(names, "cpuset")) continue;
        snprintf(tasks[task_count++], sizeof tasks[0], "%s/%s%s/%s", "/sys/fs/cgroup", names, group,
                 *names ? "tasks" : "cgroup.procs");
    }
    fclose(groups);
}

static int enter_and_execute(void *unused) {
    static char *const argv[] = {"true", 0}, *const none[] = {0};
    (void)unused;
    for (int i = 0; i < task_count; i++) {
        int fd = open(tasks[i], O_WRONLY | O_CLOEXEC);
        if (write(fd, "0", 1) < 0) _exit(99);
        close(fd);
    }
    if (setns(entered, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)) _exit(98);
    execve("/usr/bin/true", argv, none);
    execve("/bin/true", argv, none);
    _exit(97);
}

static void once_executed(int own_pids) {
    static char stack[65536] __attribute__((aligned(16)));
    int status;
    if (setns(entered, CLONE_NEWPID)) die("setns");
    pid_t pid = clone(enter_and_execute, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, 0);
    if (pid < 0 || setns(own_pids, CLONE_NEWPID)) die("clone");
    if (waitpid(pid, &status, 0) != pid || status) {
        fprintf(stderr, "floor: the command of a probe ended with %d\n", status);
        exit(1);
    }
}

static double used_us(int who) {
    struct rusage used;
    getrusage(who, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void probes(const char *kind, const char *pid, int count) {
    int own_pids = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    entered = syscall(SYS_pidfd_open, atoi(pid), 0);
    if (entered < 0) die(pid);
    find_tasks(pid);
    int runs = !strcmp(kind, "exec"), talks = !strcmp(kind, "httpGet");
    if (!runs && setns(entered, CLONE_NEWNET)) die("setns");
    double own = used_us(RUSAGE_SELF), theirs = used_us(RUSAGE_CHILDREN);
    for (int i = 0; i < count; i++) {
        if (runs) once_executed(own_pids);
        else once_connected(talks);
        /* As the engine does: the probes of a pod come together. */
        if (i % 10 == 9) usleep(100000);
    }
    own = (used_us(RUSAGE_SELF) - own) / count;
    theirs = (used_us(RUSAGE_CHILDREN) - theirs) / count;
    printf("%.0f\n%.0f\n", own, own + theirs);
}

static void logs(size_t line, size_t total) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC)) die("pipe");
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    if (fork() == 0) {
        static char block[1 << 16];
        memset(block, 'x', sizeof block);
        for (size_t at = line - 1; at < sizeof block; at += line) block[at] = '\n';
        close(fds[0]);
        for (size_t left = total; left;) {
            ssize_t n = write(fds[1], block, left < sizeof block ? left : sizeof block);
            if (n < 0) _exit(1);
            left -= n;
        }
        _exit(0);
    }
    close(fds[1]);
    char path[4200];
    static char block[1 << 16];
    snprintf(path, sizeof path, "%s/log", dir);
    int out = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    double start = now_us();
    for (ssize_t n; (n = read(fds[0], block, sizeof block)) > 0;)
        if (write(out, block, n) != n) die("write");
    printf("%.0f\n", now_us() - start);
    unlink(path);
    wait(0);
}

int main(int argc, char **argv) {
    dir = getenv("FLOOR_DIR");
    if (argc >= 5 && !strcmp(argv[1], "probe")) {
        find_hierarchies();
        return probes(argv[2], argv[3], atoi(argv[4])), 0;
    }
    if (argc != 4 || !dir)
        return fprintf(stderr, "usage: FLOOR_DIR=DIR floor pod|exec|restart ROOTFS N | probe KIND PID N | log LINE BYTES\n"), 2;
    first = getpid() % 100000 * 10000;
    find_hierarchies();
    /* The overlays of this program must not reach the machine's mount table. */
    if (unshare(CLONE_NEWNS) || mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) die("unshare");
    snprintf(rootfs, sizeof rootfs, "%s", argv[2]);
    if (!strcmp(argv[1], "pod")) pods(atoi(argv[3]));
    else if (!strcmp(argv[1], "exec")) execs(atoi(argv[3]));
    else if (!strcmp(argv[1], "restart")) restarts(atoi(argv[3]));
    else if (!strcmp(argv[1], "log")) logs(strtoul(argv[2], 0, 10), strtoull(argv[3], 0, 10));
    else return 2;
    return 0;
}
