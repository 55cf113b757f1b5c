# shellcheck shell=bash
# setup.sh: sourced by quickstart.sh and tests/run.sh. Installs what is missing on Debian 12 or 13.

# What building and running needs.
soda_install_build() {
    soda_install gcc libc6-dev make cmake pkg-config libjansson-dev libpng-dev \
        libutf8proc-dev libssl-dev librandom123-dev libopenmpi-dev openmpi-bin libopenblas-dev \
        libhdf5-dev libyaml-dev libjpeg62-turbo-dev libwebp-dev libtiff-dev libgif-dev
}

# What the tests need besides. Only Debian 12 has clang's tools of version 14, whose format and findings are ours:
# where they are missing the tests that need them are skipped.
soda_install_tests() {
    soda_install libcmocka-dev clang libclang-rt-dev libomp-dev shellcheck debootstrap git
    soda_install slurmctld slurmd slurm-client munge iproute2 procps # tests/cluster starts its own daemons
    if grep -qx 'VERSION_CODENAME=bookworm' /etc/os-release; then
        soda_install clang-format-14 clang-tidy-14
    fi
}

# soda_install PACKAGE...: installs those that are not there; does nothing when all are.
soda_install() {
    local missing=() package sudo=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
            return 1
        }
        sudo=(sudo)
    fi
    echo "== installing ${#missing[@]} Debian packages: ${missing[*]}"
    "${sudo[@]}" apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -q -y --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# soda_build PRESET [OPTION...]: configures with these options and builds; quiet unless it fails.
soda_build() {
    local log preset=$1
    shift
    log=$(mktemp)
    echo "== building ($preset)"
    if ! { cmake --preset "$preset" "$@" && cmake --build --preset "$preset" -j "$(nproc)"; } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
