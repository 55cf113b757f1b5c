#!/usr/bin/env bash
# run.sh SUITE STAGE...: runs the stages, in order, in a bare Debian root of SUITE (bookworm or trixie), on a fresh
# clone of what is committed here.
#
#   quickstart  jobs/quickstart.sh: installs, builds, trains, draws
#   build       installs what the build needs, builds the program, runs its selftest
#   limits      after one of these: trains in less and less address space, in which each library starts its own way
#   tests       a build with warnings as errors, and the tests that need no long run
#   aarch64     tests/aarch64/run.sh: a cross build, and tests of it under qemu (bookworm only)
#
# The root is made by debootstrap (minbase) from the archive that this machine's apt uses. It is kept for a week as
# $SODA_FRESH_CACHE/SUITE (default /var/cache/soda-fresh), and each run works in a copy. Needs root: exits with 77
# where that, or something else it needs, is missing. Mounts are made in a mount namespace of their own, so none is
# left behind, whatever ends this script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

skip() { echo "SKIPPED: tests in a bare Debian root: $1" >&2; exit 77; }
[ $# -ge 2 ] || { echo "usage: tests/fresh/run.sh bookworm|trixie quickstart|build|tests|aarch64..." >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || skip "only root can make one"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
command -v git >/dev/null || skip "git is not installed"
unshare --mount --pid --fork true 2>/dev/null || skip "mount namespaces are not allowed here"
suite=$1
shift
cache=${SODA_FRESH_CACHE:-/var/cache/soda-fresh}
mkdir -p "$cache"

# The archive of Debian that this machine installs from; nothing, for debootstrap's default, on other systems.
mirror() {
    grep -qx 'ID=debian' /etc/os-release || return 0
    # shellcheck disable=SC2016 # apt's own fields
    apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        awk -v own="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" '$1 == own { print $2; exit }'
}

make_base() {
    local from
    find "$cache/$suite" -maxdepth 0 -mtime -7 2>/dev/null | grep -q . && return
    mkdir "$root"
    from=$(mirror)
    debootstrap --variant=minbase "$suite" "$root/root" ${from:+"$from"} >"$root/log" 2>&1 || {
        tail -n 20 "$root/log" "$root/root/debootstrap/debootstrap.log" >&2
        return 1
    }
    touch "$root/root"
    rm -rf --one-file-system "${cache:?}/$suite"
    mv "$root/root" "$cache/$suite"
    rm -rf "$root"
}

# How this machine reaches the network, for the root: names and apt's settings (a proxy, dates of a mirror).
copy_settings() {
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump Acquire | grep -v IndexTargets >"$root/etc/apt/apt.conf.d/90machine"
}

# in_root COMMAND: runs it in the root, in the clone, with a clean environment.
in_root() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child bash -euc '
        root=$1
        mount -t proc proc "$root/proc"
        mount -t sysfs -o ro sysfs "$root/sys"
        mount -t tmpfs tmpfs "$root/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
        exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" \
            OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 bash -euo pipefail -c "cd /root/soda; $2"
    ' _ "$root" "$1" </dev/null &
    child=$!
    local rc=0
    wait "$child" || rc=$?
    child=
    return "$rc"
}

stage() {
    case $1 in
        quickstart) in_root 'bash jobs/quickstart.sh; test -s build/quickstart/adapter.safetensors' ;;
        build) in_root '. jobs/setup.sh; soda_install_build; soda_build user; build/user/soda selftest' ;;
        limits)
            # shellcheck disable=SC2016 # expanded in the root
            in_root 'for mib in $(seq 700 -20 200); do
                rc=0
                rm -rf /tmp/limits
                (ulimit -v $((mib * 1024)); timeout -k 5 60 build/user/soda train configs/quickstart/train.yaml \
                    --set train.steps=1 --set output=/tmp/limits/run --cache /tmp/limits/cache) >limits.log 2>&1 || rc=$?
                [ "$rc" -le 1 ] || { cat limits.log; echo "train with $mib MiB: exit code $rc"; exit 1; }
                echo "$mib MiB: exit code $rc"
            done'
            ;;
        tests)
            in_root '. jobs/setup.sh; soda_install_build; soda_install libcmocka-dev; soda_build release
                ctest --test-dir build/release --output-on-failure --no-tests=error -LE "^(house|sweep)$" -E "^fault/"'
            ;;
        aarch64) in_root 'bash tests/aarch64/run.sh' ;;
        *) echo "no stage $1" >&2; return 2 ;;
    esac
}

child=
root=$cache/run.$$
cleanup() {
    if [ -n "$child" ]; then
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    rm -rf --one-file-system "$root" 2>/dev/null || { sleep 1; rm -rf --one-file-system "$root"; }
}

# Copies that a killed run left behind.
remove_stale() {
    local old
    for old in "$cache"/run.*; do
        kill -0 "${old##*.}" 2>/dev/null || rm -rf --one-file-system "$old"
    done
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
remove_stale
make_base
mkdir "$root"
cp -a "$cache/$suite/." "$root"
copy_settings
git clone -q --depth 1 "file://$PWD" "$root/root/soda"
for name in "$@"; do
    started=$SECONDS
    log=$root/$name.log
    echo "== Debian $(cat "$root/etc/debian_version") from scratch: $name"
    stage "$name" >"$log" 2>&1 || {
        tail -n 60 "$log" >&2
        exit 1
    }
    echo "   $((SECONDS - started)) s; last line: $(tail -n 1 "$log")"
done
if grep -q "$root" /proc/self/mountinfo; then
    echo "a mount is left in $root" >&2
    exit 1
fi
