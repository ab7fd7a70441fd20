# Run inside the machine of run-v2: pods with limits under a pure cgroup v2 hierarchy, an OOM kill that is
# seen, exec, a restart, an engine that dies, the device filter, and nothing left over at the end. One line
# per check, `ok` or `FAILED`; tests/vm/main.rs knows them all. The last line says how many failed.
#
#   tests/vm/run-v2 target/debug/podtui tests/vm/v2.sh

. /lib.sh

# Eight pages of 2 MiB, before the engine looks.
echo 8 >/proc/sys/vm/nr_hugepages
make_image
check "import an image" podtui image import /tmp/image.tar $image

cat >/tmp/pods.yaml <<END
apiVersion: v1
kind: Pod
metadata: {name: calm}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    imagePullPolicy: Never
    command: [sleep, "100000"]
    resources:
      requests: {cpu: 250m, memory: 32Mi}
      limits: {cpu: 500m, memory: 64Mi}
  - name: second
    image: $image
    imagePullPolicy: Never
    command: [sh, -c, 'httpd -p 8080 -h /etc; sleep 100000']
---
apiVersion: v1
kind: Pod
metadata: {name: again}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    imagePullPolicy: Never
    command: [sh, -c, 'until [ -e /tmp/end ]; do sleep 0.1; done; exit 3']
    resources: {limits: {memory: 48Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    imagePullPolicy: Never
    command: [sh, -c, 'sleep 1; tail /dev/zero; echo survived; sleep 100000']
    resources: {limits: {memory: 24Mi}}
END
check "apply three pods" podtui apply -f /tmp/pods.yaml
check "calm and again are ready" podtui wait --for=condition=Ready pod/calm pod/again --timeout=60s
check "memory.max is the limit" has_value calm main memory.max $((64 * 1024 * 1024))
check "cpu.max is the limit" has_value calm main cpu.max "50000 100000"
# 250m are 256 shares; the curve from shares to weight is the one of runc 1.3.2 and crun 1.23.
check "the request for cpu is the weight" has_value calm main cpu.weight 35
check "no limit is no limit" has_value calm second memory.max max
check "the container sees its own root" says "0::/" podtui exec calm -c main -- cat /proc/self/cgroup
check "and its own limit" says $((64 * 1024 * 1024)) \
    podtui exec calm -c main -- cat /sys/fs/cgroup/memory.max
check "but cannot lift it" says "denied" podtui exec calm -c main -- \
    sh -c '{ echo max >/sys/fs/cgroup/memory.max; } 2>/dev/null && echo lifted || echo denied'
check "who asks for no huge pages gets none" has_value calm second hugetlb.2MB.max 0
cat >/tmp/pages.yaml <<END
apiVersion: v1
kind: Pod
metadata: {name: pages}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    imagePullPolicy: Never
    command: [sleep, "100000"]
    resources: {limits: {cpu: 100m, memory: 32Mi, hugepages-2Mi: 4Mi}}
    volumeMounts: [{name: huge, mountPath: /huge}]
  - name: second
    image: $image
    imagePullPolicy: Never
    command: [sleep, "100000"]
    resources: {limits: {cpu: 100m, memory: 32Mi, hugepages-2Mi: 2Mi}}
    volumeMounts: [{name: huge, mountPath: /huge}]
  volumes:
  - {name: huge, emptyDir: {medium: HugePages}}
END
pod_value() { # POD FILE
    uid=$(podtui get pod "$1" -o 'jsonpath={.metadata.uid}')
    cat $group/podtui-*/*/pod"$uid"/"$2" 2>/dev/null || cat $group/podtui-*/pod"$uid"/"$2"
}
check "apply a pod with huge pages" podtui apply -f /tmp/pages.yaml
check "it is ready" podtui wait --for=condition=Ready pod/pages --timeout=60s
check "hugetlb.2MB.max is the limit" has_value pages main hugetlb.2MB.max $((4 * 1024 * 1024))
check "also for what is reserved" has_value pages second hugetlb.2MB.rsvd.max $((2 * 1024 * 1024))
check "that of the pod is the sum" says $((6 * 1024 * 1024)) pod_value pages hugetlb.2MB.max
check "and nothing for who asks for none" says 0 pod_value calm hugetlb.2MB.max
check "so many pages can be had" podtui exec pages -c main -- fallocate -l 4M /huge/a
check "but not one more" exits 1 podtui exec pages -c main -- fallocate -l 2M /huge/b
check "the other container has less of them" exits 1 podtui exec pages -c second -- fallocate -l 4M /huge/c
# What was taken before the refusal stays in the file.
check "but what is its own" podtui exec pages -c second -- sh -c 'rm /huge/c && fallocate -l 2M /huge/d'
check "delete it" podtui delete pod pages --grace-period=0 --force
patch='{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"500m"},"limits":{"cpu":"1","memory":"96Mi"}}}]}}'
check "its resources are changed" podtui patch pod calm --subresource resize -p "$patch"
check "memory.max follows" within 20 has_value calm main memory.max $((96 * 1024 * 1024))
check "cpu.max follows" within 20 has_value calm main cpu.max "100000 100000"
check "the weight follows" within 20 has_value calm main cpu.weight 59
check "the resize is told as done" within 20 sh -c \
    'podtui events | grep -q "Pod resize completed" && ! podtui get pod calm -o yaml | grep -q PodResize'
check "and nothing was restarted" field_is calm '{.status.containerStatuses[*].restartCount}' "0 0"
check "containers share localhost" says "root:x:0:0:root:/:/bin/sh" \
    podtui exec calm -c main -- wget -qO- localhost:8080/passwd
check "exec gives the exit code" exits 7 podtui exec calm -c second -- sh -c 'exit 7'
check "a device outside the list is denied" says "denied" podtui exec calm -c main -- \
    sh -c 'mknod /tmp/kmsg c 1 11; { head -c 1 </tmp/kmsg; } >/dev/null 2>&1 && echo open || echo denied'
check "the usual devices work" says "1" podtui exec calm -c main -- sh -c 'head -c 1 /dev/urandom | wc -c'
cat >/tmp/disks.yaml <<END
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadWriteOnce]
  volumeMode: Block
  hostPath: {path: /dev/loop0}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec: {accessModes: [ReadWriteOnce], volumeMode: Block, resources: {requests: {storage: 1Mi}}}
END
device_pod() { # NAME READONLY
    cat <<END
---
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    imagePullPolicy: Never
    command: [sleep, "100000"]
    volumeDevices: [{name: d, devicePath: /dev/xvda}]
  volumes: [{name: d, persistentVolumeClaim: {claimName: disk, readOnly: $2}}]
END
}
device_pod writer false >>/tmp/disks.yaml
device_pod reader true >>/tmp/disks.yaml
dd if=/dev/zero of=/tmp/disk bs=1024 count=64 2>/dev/null
check "a file becomes a disk" losetup /dev/loop0 /tmp/disk
check "apply two pods with the disk" podtui apply -f /tmp/disks.yaml
check "both are ready" podtui wait --for=condition=Ready pod/writer pod/reader --timeout=60s
check "one writes to it" podtui exec writer -- sh -c 'printf hello | dd of=/dev/xvda conv=notrunc,fsync'
check "the disk has it" says "hello" head -c 5 /dev/loop0
check "the other reads it" says "hello" podtui exec reader -- head -c 5 /dev/xvda
check "and cannot write" says "denied" podtui exec reader -- \
    sh -c '{ echo >>/dev/xvda; } 2>/dev/null && echo open || echo denied'
check "another disk is denied" says "denied" podtui exec writer -- \
    sh -c 'mknod /tmp/other b 7 1; { head -c 1 </tmp/other; } >/dev/null 2>&1 && echo open || echo denied'
check "hog is killed for its child's memory" within 30 field_is hog \
    '{.status.containerStatuses[0].state.terminated.reason}' OOMKilled
check "with exit code 137" field_is hog '{.status.containerStatuses[0].state.terminated.exitCode}' 137
check "all of it at once" says "" podtui logs hog
check "again is told to end" podtui exec again -- touch /tmp/end
check "and is restarted" within 30 field_is again '{.status.containerStatuses[0].restartCount}' 1
check "after exit code 3" field_is again \
    '{.status.containerStatuses[0].lastState.terminated.exitCode}' 3
check "it runs" podtui wait --for=condition=Ready pod/again --timeout=30s
check "with its limit" has_value again main memory.max $((48 * 1024 * 1024))
check "the engine is killed" kill_engine
check "the next one finds calm running" says "calm:0" podtui get pod calm -o \
    'jsonpath={.metadata.name}:{.status.containerStatuses[0].restartCount}'
check "and enters it" says "calm" podtui exec calm -c main -- hostname
podtui get pods -o wide
check "delete all" podtui delete pod calm again hog writer reader --grace-period=0 --force
check "stop the engine" podtui engine stop
check "nothing is left" nothing_left
finish
