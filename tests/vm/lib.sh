# What the scripts of the virtual machine share: checks, one line each, and an image of busybox.

failures=0
image=localhost/busybox:v2
group=/sys/fs/cgroup

check() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" >/tmp/output 2>&1; then
        echo "ok      $what"
    else
        echo "FAILED  $what"
        sed 's/^/        /' /tmp/output | tail -n 20
        failures=$((failures + 1))
    fi
}

# Tries a command once a tenth of a second until it succeeds, at most SECONDS.
within() { # SECONDS COMMAND...
    tries=$(($1 * 10))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

# The value of a file in the group of one container of a pod.
value() { # POD CONTAINER FILE
    uid=$(podtui get pod "$1" -o 'jsonpath={.metadata.uid}')
    cat $group/podtui-*/*/pod"$uid"/"$2"*/"$3" || cat $group/podtui-*/pod"$uid"/"$2"*/"$3"
}
has_value() { # POD CONTAINER FILE EXPECTED
    found=$(value "$1" "$2" "$3")
    [ "$found" = "$4" ] || { echo "$3 is '$found', not '$4'"; return 1; }
}
field_is() { # POD JSONPATH EXPECTED
    found=$(podtui get pod "$1" -o "jsonpath=$2")
    [ "$found" = "$3" ] || { echo "$2 is '$found', not '$3'"; return 1; }
}
says() { # EXPECTED COMMAND...
    expected=$1
    shift
    found=$("$@" 2>/tmp/complaint)
    [ "$found" = "$expected" ] || { echo "'$found', not '$expected'"; cat /tmp/complaint; return 1; }
}
exits() { # CODE COMMAND...
    expected=$1
    shift
    "$@"
    code=$?
    [ $code = "$expected" ] || { echo "exit code $code, not $expected"; return 1; }
}
kill_engine() {
    pid=$(ps -o pid,args | awk '/podtui serve/ && !/awk/ { print $1 }')
    [ -n "$pid" ] && kill -9 "$pid"
}
nothing_left() {
    left=$(
        find $group -mindepth 1 -maxdepth 1 -name 'podtui*'
        ip -o link | grep -v ': lo:'
        grep -E 'overlay|/run/podtui|/var/lib/podtui' /proc/mounts
        ps -o args | grep -E '^/pause|__shim' | grep -v grep
        find /run/podtui/pods /var/lib/podtui/pods -mindepth 1 2>/dev/null
    )
    [ -z "$left" ] || { echo "$left"; return 1; }
}

# Ends a script: the number of failures is its last line.
finish() {
    [ $failures = 0 ] || tail -n 40 /var/lib/podtui/log/* 2>/dev/null
    echo "$failures checks failed"
    [ $failures = 0 ]
}

# An image archive /tmp/image.tar.
make_image() {
    mkdir -p /tmp/image/bin /tmp/image/etc /tmp/image/tmp
    cp /bin/busybox /tmp/image/bin/
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "/tmp/image/bin/$applet"
    done
    echo 'root:x:0:0:root:/:/bin/sh' >/tmp/image/etc/passwd
    tar -C /tmp/image -cf /tmp/image.tar .
}
