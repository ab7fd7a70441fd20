# Run inside the machine of run-v2, whose kernel enforces AppArmor: the default profile, one that was loaded by
# somebody else, none at all, and what is said when a profile cannot be had.
#
#   VM_PACKAGES=apparmor tests/vm/run-v2 target/debug/podtui tests/vm/apparmor.sh

. /lib.sh

mount -t securityfs securityfs /sys/kernel/security
make_image
check "import an image" podtui image import /tmp/image.tar $image
mv /sbin/apparmor_parser /tmp/parser

pod() { # NAME SECURITY-CONTEXT [POD-FIELDS]
    cat <<END
---
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  ${3:-}
  containers:
  - name: main
    image: $image
    imagePullPolicy: Never
    command: [sleep, "100000"]
    securityContext: $2
END
}
# The profile of the first process, and of one that exec started.
profiles() { # POD
    podtui exec "$1" -- sh -c 'cat /proc/1/attr/current; cat /proc/self/attr/current' | tr '\n' ' '
}
waits() { # POD REASON
    field_is "$1" '{.status.containerStatuses[0].state.waiting.reason}' "$2"
}
sh_in() { # POD SCRIPT
    podtui exec "$1" -- sh -c "$2"
}

check "the doctor misses the parser" sh -c 'podtui doctor | grep AppArmor | grep -q "apparmor_parser is not installed"'
{ pod quiet '{}'; pod explicit '{appArmorProfile: {type: RuntimeDefault}}'; } >/tmp/first.yaml
check "apply two pods without the parser" podtui apply -f /tmp/first.yaml
check "one that asks for nothing runs" podtui wait --for=condition=Ready pod/quiet --timeout=60s
check "without a profile" says "unconfined unconfined " profiles quiet
check "one that asks for the default does not" within 30 waits explicit CreateContainerError
check "and says why" sh -c 'podtui get events | grep explicit | grep -q "cannot load profile podtui-default: apparmor_parser is not installed"'
mv /tmp/parser /sbin/apparmor_parser
check "it runs as soon as there is one" podtui wait --for=condition=Ready pod/explicit --timeout=120s
check "confined by the default" says "podtui-default (enforce) podtui-default (enforce) " profiles explicit
check "and the doctor is content" sh -c 'podtui doctor | grep AppArmor | grep -q "containers get the profile podtui-default"'

printf 'profile no-tmp flags=(attach_disconnected) { file, capability, network, signal, umount, ptrace, deny /tmp/** w, }\n' >/tmp/no-tmp
check "somebody loads a profile" apparmor_parser -Kr /tmp/no-tmp
{
    pod plain '{}'
    pod admin '{capabilities: {add: [SYS_ADMIN]}, seccompProfile: {type: Unconfined}}'
    pod shared '{}' 'shareProcessNamespace: true'
    pod free '{appArmorProfile: {type: Unconfined}}' 'securityContext: {appArmorProfile: {type: RuntimeDefault}}'
    pod privileged '{privileged: true}'
    pod nnp '{allowPrivilegeEscalation: false, runAsUser: 1000, capabilities: {drop: [ALL]}}'
    pod local '{appArmorProfile: {type: Localhost, localhostProfile: no-tmp}}'
    pod local-nnp '{appArmorProfile: {type: Localhost, localhostProfile: no-tmp}, allowPrivilegeEscalation: false}'
    pod missing '{appArmorProfile: {type: Localhost, localhostProfile: nobody-has-it}}'
    pod old '{}' | sed 's|{name: old}|{name: old, annotations: {container.apparmor.security.beta.kubernetes.io/main: localhost/no-tmp}}|'
} >/tmp/pods.yaml
check "apply the others" podtui apply -f /tmp/pods.yaml
check "they run" podtui wait --for=condition=Ready pod/plain pod/admin pod/shared pod/free pod/privileged pod/nnp \
    pod/local pod/local-nnp pod/old --timeout=120s
default="podtui-default (enforce) podtui-default (enforce) "
check "who says nothing has the default" says "$default" profiles plain
check "also with a shared pid namespace" says "podtui-default (enforce)" sh_in shared 'cat /proc/self/attr/current'
check "also with no_new_privs" says "$default" profiles nnp
check "who asks for none has none" says "unconfined unconfined " profiles free
check "nor has a privileged one" says "unconfined unconfined " profiles privileged
local="no-tmp (enforce) no-tmp (enforce) "
check "a profile by its name" says "$local" profiles local
check "also with no_new_privs" says "$local" profiles local-nnp
check "also by the old annotation" says "$local" profiles old
check "the default denies to mount" says "denied" sh_in admin \
    'mount -t tmpfs none /mnt 2>/dev/null && echo mounted || { mkdir -p /mnt; mount -t tmpfs none /mnt 2>/dev/null && echo mounted || echo denied; }'
check "what SYS_ADMIN may without it" says "mounted" sh_in privileged \
    'mkdir -p /mnt; mount -t tmpfs none /mnt && echo mounted && umount /mnt'
check "and to write to /proc" says "denied" sh_in admin \
    'mount -o remount,rw /proc/sys 2>/dev/null; { echo 1 >/proc/sys/kernel/core_uses_pid; } 2>/dev/null && echo written || echo denied'
check "its processes write about themselves" says "written" sh_in plain 'echo other >/proc/self/comm && echo written'
check "files, sockets and signals work" says "works" sh_in plain \
    'echo works >/tmp/x; sleep 100 & kill $! && ln /tmp/x /tmp/y && chmod 600 /tmp/y && nc -z 127.0.0.1 1 2>/dev/null; cat /tmp/y'
check "the loaded profile denies what it denies" says "denied" sh_in local '{ echo x >/tmp/x; } 2>/dev/null && echo written || echo denied'
check "also for the first process" says "" sh -c 'podtui exec local -- ls /tmp'
check "a profile that is not loaded" within 30 waits missing CreateContainerError
check "is told in containerd's words" says \
    "failed to get container spec opts: failed to generate apparmor spec opts: apparmor profile not found nobody-has-it" \
    podtui get pod missing -o 'jsonpath={.status.containerStatuses[0].state.waiting.message}'
printf 'profile nobody-has-it flags=(attach_disconnected) { file, capability, network, signal, umount, ptrace, }\n' >/tmp/late
check "somebody loads it" apparmor_parser -Kr /tmp/late
check "and the pod goes on" podtui wait --for=condition=Ready pod/missing --timeout=120s
check "confined" says "nobody-has-it (enforce) nobody-has-it (enforce) " profiles missing
check "the engine is killed" kill_engine
check "an exec session of the next one is confined too" within 30 says "$default" profiles plain
podtui get pods
check "delete all" podtui delete pod --all --grace-period=0 --force
check "stop the engine" podtui engine stop
check "nothing is left" nothing_left
finish
