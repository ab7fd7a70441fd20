# What a container may not do even as root, beyond what its capabilities and its seccomp filter say. Loaded by
# podtui as `podtui-default`; appArmorProfile {type: Unconfined} does without, {type: Localhost} names another.
profile podtui-default flags=(attach_disconnected,mediate_deleted) {
  # Everything is allowed that is not taken away below. A program stays in this profile, whatever it executes.
  network,
  capability,
  file,
  umount,

  # The machine may stop a container; containers may send signals to each other, never out.
  signal (receive) peer=unconfined,
  signal (send,receive) peer=podtui-default,

  # Nor may they look into processes of anybody else.
  ptrace (trace,tracedby,read,readby) peer=podtui-default,

  # New mounts could uncover what is masked.
  deny mount,

  # In /proc only the directories of processes are written; what is not of a process is of the machine.
  deny /proc/[^0-9]** wl,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # In /sys nothing but control groups.
  deny /sys/[^f]** wl,
  deny /sys/f[^s]** wl,
  deny /sys/fs/[^c]** wl,
  deny /sys/fs/c[^g]** wl,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
