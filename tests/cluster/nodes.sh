#!/usr/bin/env bash
# nodes.sh FOLDER COUNT COMMAND...: runs COMMAND on the login host of a throw-away Slurm cluster of COUNT nodes on this
# machine, and exits with its status. Root only; needs slurmctld, slurmd, munge, ip, unshare; sshd for jobs of PBS.
#
# Everything lives in one namespace of processes, mounts and network, so nothing outside is seen or touched, and killing
# the outer process ends it all. A node has its own host name, address (10.77.0.K), process ids, /tmp, /run and /dev/shm;
# this working folder is the shared file system, and $LAB/small another of 8 MiB. For COMMAND: $LAB is FOLDER, $LAB/K.pid
# the outer process of node K, and the link of node K is called vK (ip link set vK down cuts its cable; kill -9 of the
# process turns it off).
set -euo pipefail

# The first process of node K.
node() {
    local k=$1
    hostname "n$k"
    mount --rbind "$SHARED" /mnt
    mount -t tmpfs tmpfs /tmp
    mkdir -p "$SHARED"
    mount --move /mnt "$SHARED"
    mount -t tmpfs tmpfs /dev/shm
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir /run/sshd
    cd "$SHARED"
    ip link set lo up
    until ip link show "e$k" >/dev/null 2>&1; do sleep 0.05; done
    ip link set "e$k" name eth0
    ip address add "10.77.0.$k/24" dev eth0
    ip link set eth0 up
    [ ! -e "$LAB/id" ] || /usr/sbin/sshd -f "$LAB/sshd_config" -o "ListenAddress=10.77.0.$k"
    export -n STAGE
    slurmd -N "n$k" -f "$LAB/slurm.conf"
    while :; do
        sleep 3600 &
        wait $!
    done
}

write_files() {
    local k
    mkdir "$LAB"/{state,log,spool,munge}
    chmod 711 "$LAB/munge"
    {
        echo "127.0.0.1 localhost"
        echo "10.77.0.254 login"
        for ((k = 1; k <= COUNT; k++)); do echo "10.77.0.$k n$k"; done
    } >"$LAB/hosts"
    if [ -x /usr/sbin/sshd ]; then ssh-keygen -q -t ed25519 -N '' -f "$LAB/id"; fi # else: no jobs of PBS
    printf '%s\n' "HostKey $LAB/id" "AuthorizedKeysFile $LAB/id.pub" 'StrictModes no' 'UsePAM no' 'PidFile none' \
        >"$LAB/sshd_config"
    printf '%s\n' 'Host *' "IdentityFile $LAB/id" 'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' \
        'LogLevel ERROR' >"$LAB/ssh_config"
    (umask 077 && head -c 128 /dev/urandom >"$LAB/munge/key")
    : >"$LAB/plugstack.conf"
    # Newer versions insist on control groups unless they are told not to; 22.05 does neither.
    case $(slurmd -V) in *' 22.'*) ;; *) echo CgroupPlugin=disabled >"$LAB/cgroup.conf" ;; esac
    # cred_expire: how long a job that is to start again waits, 5 at least. SlurmdTimeout: when a silent node is down;
    # before that, Slurm tries to connect to it for up to three times MessageTimeout. TCPTimeout: of each of the five tries
    # to tell a lost srun that its tasks have ended, for which the job's other nodes wait.
    cat >"$LAB/slurm.conf" <<CONF
ClusterName=lab
SlurmctldHost=login(10.77.0.254)
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$LAB/munge/sock,cred_expire=5
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
SlurmctldPidFile=$LAB/slurmctld.pid
SlurmdPidFile=$LAB/slurmd.%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd.%n.log
PlugStackConfig=$LAB/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
MpiDefault=pmix
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout=10
TCPTimeout=1
MessageTimeout=5
KillWait=5
MinJobAge=3600
NodeName=n[1-$COUNT] NodeAddr=10.77.0.[1-$COUNT] CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=lab Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

# start_node K: also after its power-off, as a machine that booted again.
start_node() {
    local k=$1 pid
    mkdir -p "$LAB/spool/n$k"
    ip link delete "v$k" 2>/dev/null || true
    STAGE=node unshare -m -n -p -u -i --fork --kill-child --mount-proc bash "$NODES" "$k" >"$LAB/log/n$k.log" 2>&1 &
    pid=$!
    echo "$pid" >"$LAB/$k.pid"
    ip link add "v$k" type veth peer name "e$k"
    ip link set "v$k" master br0 up
    until [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
    ip link set "e$k" netns "$pid"
}

login() {
    local k try
    hostname login
    write_files
    mount --bind "$LAB/hosts" /etc/hosts
    if [ -e "$LAB/id" ]; then mount --bind "$LAB/ssh_config" /etc/ssh/ssh_config; fi
    if [ -f ~/.bashrc ]; then mount --bind /dev/null ~/.bashrc; fi
    mount -t tmpfs tmpfs /dev/shm
    mkdir "$LAB/small"
    mount -t tmpfs -o size=8m tmpfs "$LAB/small"
    ip link set lo up
    ip link add br0 type bridge
    ip address add 10.77.0.254/24 dev br0
    ip link set br0 up
    # A switch filters nothing: this kernel's firewall would, at the cost of what computes here.
    for filter in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -w "$filter" ] || echo 0 >"$filter"; done
    # --force: a clone in /root, into which nobody else may look, will do.
    munged --force -S "$LAB/munge/sock" --key-file="$LAB/munge/key" --log-file="$LAB/munge/log" \
        --pid-file="$LAB/munge/pid" --seed-file="$LAB/munge/seed"
    export SLURM_CONF=$LAB/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    slurmctld -i -f "$SLURM_CONF"
    for ((k = 1; k <= COUNT; k++)); do start_node "$k"; done
    for try in $(seq 150); do
        [ "$(sinfo -h -t idle -o %D 2>/dev/null)" != "$COUNT" ] || return 0
        sleep 0.2
    done
    echo "nodes.sh: after $try tries the nodes are not up:" >&2
    sinfo >&2
    exit 99
}

case ${STAGE:-} in
    "")
        rm -rf "$1"
        mkdir -p "$1"
        LAB=$(realpath "$1") COUNT=$2 NODES=$(realpath "$0") STAGE=login SHARED=$PWD
        export LAB COUNT NODES STAGE SHARED
        shift 2
        exec unshare -m -n -p -u -i --fork --kill-child --mount-proc bash "$NODES" "$@"
        ;;
    node) node "$1" ;;
    again) start_node "$1" ;;
    login)
        login
        unset STAGE
        rc=0
        "$@" || rc=$?
        exit "$rc"
        ;;
esac
