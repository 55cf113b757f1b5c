#!/usr/bin/env bash
# pbs.sh: an EMULATOR of the little of PBS that jobs/*.pbs use, on the cluster of nodes.sh. No PBS server is behind it: it
# shows that the scripts do what they mean to do, not what a real server makes of them. `pbs.sh qsub` and so on are the
# commands (links in $PBS_FOLDER/.bin); `pbs.sh serve`, on the login host, runs the jobs in $PBS_FOLDER, all at once, as
# soon as those that they depend on have ended. A job is a folder of that name: state (Q, R, F), name, after, walltime,
# chunks, ranks (per chunk), env (NAME=VALUE, each ended by a zero byte), from (where it was submitted), script, code.
#
# As OpenPBS 23 does: the script starts in the home directory in a clean login shell on the first node, the end of its
# walltime sends TERM to all of its processes, then KILL. Unknown options are refused.
set -euo pipefail
: "${PBS_FOLDER:?}"

refuse() {
    echo "qsub (emulated): $*" >&2
    exit 1
}

# set_resources LIST: of -l.
set_resources() {
    case $1 in
        select=*:*)
            [[ $1 =~ ^select=([0-9]+)(:(ncpus|mpiprocs|mem|ngpus)=[0-9a-z]+)*$ ]] || refuse "-l $1: unknown resource"
            chunks=${BASH_REMATCH[1]} ranks=1
            if [[ $1 =~ :mpiprocs=([0-9]+) ]]; then ranks=${BASH_REMATCH[1]}; fi
            ;;
        walltime=*:*:*) walltime=${1#walltime=} ;;
        *) refuse "-l $1: unknown resource" ;;
    esac
}

# set_variables LIST: of -v.
set_variables() {
    local item items
    IFS=, read -ra items <<<"$1"
    for item in "${items[@]}"; do
        case $item in
            *=*) variables+=("$item") ;;
            *) if [ "${!item+set}" ]; then variables+=("$item=${!item}"); fi ;;
        esac
    done
}

set_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            -N) name=$2 ;;
            -l) set_resources "$2" ;;
            -v) set_variables "$2" ;;
            -J) array=$2 ;;
            -W)
                [[ $2 =~ ^depend=afterany:(.*)\.login$ ]] || refuse "-W $2: unknown"
                after=${BASH_REMATCH[1]}
                ;;
            -j) [ "$2" = oe ] || refuse "-j $2: unknown" ;;
            -r) [ "$2" = n ] || refuse "-r $2: unknown" ;;
            *) refuse "$1: unknown option" ;;
        esac
        shift 2
    done
}

# add_job ID [NAME=VALUE]...: the folder gets its name when all is in it.
add_job() {
    local made
    made=$(mktemp -d "$PBS_FOLDER/.new-XXXXXX")
    cp "$script" "$made/script"
    echo "$name" >"$made/name"
    echo "$after" >"$made/after"
    echo "$walltime" >"$made/walltime"
    echo "$chunks" >"$made/chunks"
    echo "$ranks" >"$made/ranks"
    echo "$PWD" >"$made/from"
    printf '%s\0' "${variables[@]}" "${@:2}" >"$made/env"
    echo Q >"$made/state"
    mv -T "$made" "$PBS_FOLDER/$1"
}

qsub() {
    local name walltime=01:00:00 chunks=1 ranks=1 array='' after='' variables=() script=${!#} id=1 line k words
    name=$(basename "$script")
    while read -r line; do
        read -ra words <<<"$line"
        set_options "${words[@]}"
    done < <(sed -n 's/^#PBS //p' "$script")
    set_options "${@:1:$#-1}"
    until mkdir "$PBS_FOLDER/.number-$id" 2>/dev/null; do id=$((id + 1)); done
    if [ "$array" ]; then
        for ((k = ${array%-*}; k <= ${array#*-}; k++)); do add_job "${id}[$k]" PBS_ARRAY_INDEX="$k"; done
        echo "${id}[].login"
    else
        add_job "$id"
        echo "$id.login"
    fi
}

qstat() { # -f ID
    echo "Job Id: $2"
    echo "    Resource_List.walltime = $(cat "$PBS_FOLDER/${2%.login}/walltime")"
}

qselect() { # -N NAME -s HQ
    local job
    for job in "$PBS_FOLDER"/*; do
        if [ "$(cat "$job/state")" = Q ] && [ "$(cat "$job/name")" = "$2" ]; then echo "${job##*/}.login"; fi
    done
}

qdel() { # ID...: of jobs that wait
    local id
    for id in "$@"; do
        echo deleted >"$PBS_FOLDER/${id%.login}/code"
        echo F >"$PBS_FOLDER/${id%.login}/state"
    done
}

# run_job FOLDER
run_job() {
    local job=$1 id h m s k r code=0 variables=() from node
    id=${job##*/}
    IFS=: read -r h m s <"$job/walltime"
    mapfile -d '' -t variables <"$job/env"
    from=$(cat "$job/from")
    for ((k = 1; k <= $(cat "$job/chunks"); k++)); do
        for ((r = 0; r < $(cat "$job/ranks"); r++)); do echo "n$k"; done
    done >"$job/nodes"
    node=$(pgrep -P "$(cat "$LAB/1.pid")" | head -n 1)
    timeout -s TERM -k 10 $((10#$h * 3600 + 10#$m * 60 + 10#$s)) nsenter -t "$node" -a -r --wd="$HOME" \
        env -i HOME="$HOME" LOGNAME=root SHELL=/bin/bash PATH="$PBS_FOLDER/.bin:/usr/bin:/bin" LAB="$LAB" \
        PBS_FOLDER="$PBS_FOLDER" PBS_ENVIRONMENT=PBS_BATCH PBS_JOBID="$id.login" PBS_JOBNAME="$(cat "$job/name")" \
        PBS_QUEUE=workq PBS_O_HOST=login PBS_O_WORKDIR="$from" PBS_NODEFILE="$job/nodes" \
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "${variables[@]}" \
        bash "$job/script" >"$job/out" 2>&1 </dev/null || code=$?
    echo "$code" >"$job/code"
    echo F >"$job/state"
}

serve() {
    local job after
    while :; do
        for job in "$PBS_FOLDER"/*; do
            [ "$(cat "$job/state" 2>/dev/null)" = Q ] || continue
            after=$(cat "$job/after")
            if [ "$after" ] && [ "$(cat "$PBS_FOLDER/$after/state")" != F ]; then continue; fi
            echo R >"$job/state"
            run_job "$job" &
        done
        sleep 0.2
    done
}

if [ "$1" = serve ]; then
    mkdir "$PBS_FOLDER/.bin"
    for command in qsub qstat qselect qdel; do
        printf '#!/bin/bash\nexec bash %q %s "$@"\n' "$(realpath "$0")" "$command" >"$PBS_FOLDER/.bin/$command"
        chmod +x "$PBS_FOLDER/.bin/$command"
    done
fi
"$@"
