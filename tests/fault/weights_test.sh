#!/usr/bin/env bash
# Where frozen weights are kept changes no bit: parallel.weights: node on 1 to 6 ranks, and a run that goes on with
# another policy. With `node` the ranks of a node have one copy between them.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

everything=(--set train.dtype=bf16 --set train.loss=dco --set train.dco_beta=10 --set adapter.text_encoder=true
    --set train.recompute=full --set "validation.path=$images/test" --set validation.pictures=3
    --set sample.every=5 --set 'sample.prompts=["a fox"]' --set sample.steps=2)
draw_wide
for method in soda_svd soda_lq; do
    rm -rf one node?
    options=(--set "adapter.method=$method" --set checkpoint.every=6) # one save between the steps: which never waits
    [ $method = soda_svd ] && options+=(--set data.path="$work/wide" --set data.buckets=true
        --set "data.prior={path: $images/test, weight: 0.5}")
    [ $method = soda_lq ] && options+=("${everything[@]}")
    train one 1 "${options[@]}" || fail "$method: one"
    for ranks in 1 2 3 4 5 6; do
        train "node$ranks" "$ranks" "${options[@]}" --set parallel.weights=node || fail "$method: node on $ranks ranks"
        same "node$ranks"
        diff -r -x metrics.jsonl -x config.yaml one/run "node$ranks/run" >&2 || fail "$method: $ranks ranks: other files"
    done
    says node2 '(a share of '
done

# A bench tells that nothing is gathered where the ranks of a node map one copy, and nothing at all where each has its own.
timed() { "$mpiexec" --oversubscribe --bind-to none -n 2 "$soda" bench --arch "$tiny_sd1" --latent 8 --repeat 1 --threads 1 \
    --weights "$@" 2>>one/log; }
none='weights gathered per run: 0 MiB in 0.0000 s, of which the rank waited 0.0000 s: one copy per node, mapped'
for policy in node shard; do
    timed $policy >bench || fail "bench: $policy"
    grep -qx "$none" bench || fail "bench: $policy: $(cat bench)"
    timed $policy --json >bench || fail "bench: $policy --json"
    tr -d ' \n' <bench | grep -qE '"residency":\{"bytes":0,"gather_s":0(\.0)?,"wait_s":0(\.0)?,"why_none":"onecopypernode,mapped"\}' ||
        fail "bench: $policy: $(cat bench)"
done
timed replicate >bench || fail "bench: replicate"
if grep -q gathered bench; then fail "bench: replicate: $(cat bench)"; fi

# Begun with one policy, gone on with the other, on another number of ranks, without a word about it.
rm -rf one
train one 1 || fail "one"
train both 2 --set parallel.weights=node --set train.steps=6 --set checkpoint.every=2 || fail "both: the first six steps"
train both 1 --set checkpoint.every=3 || fail "both: the rest"
cmp one/run/adapter.safetensors both/run/adapter.safetensors || fail "both: another adapter"
if grep -q 'parallel.weights' both/log; then fail "both: speaks of parallel.weights"; fi

# The one copy takes nothing of /dev/shm, which is small in many containers.
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    cat >small-mpiexec <<SH
#!/usr/bin/env bash
exec unshare -m bash -c 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "\$@"' small "$mpiexec" "\$@"
SH
    chmod +x small-mpiexec
    (mpiexec=$work/small-mpiexec; train small 2 --set parallel.weights=node) || fail "small: with little of /dev/shm"
    same small
    says small '(a share of '
else
    echo "******** SKIPPED: a small /dev/shm was not tested: this machine lacks root or namespaces ********" >&2
fi

# Ranks of one node really share: what each has of the shared memory is half of it.
train shared 2 --set parallel.weights=node --set train.steps=100000 --set checkpoint.every=100000 &
for _ in $(seq 300); do
    grep -q 'memory of each rank' shared/log 2>/dev/null && break
    sleep 0.2
done
sleep 2
pids=$(pgrep -f "$soda train run.yaml.*current/run.*train.steps=100000" | tr '\n' ' ')
seen=0
for pid in $pids; do
    [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$soda")" ] || continue
    rss=$(awk '/memfd:soda/ {on = 1} on && /^Rss:/ {rss += $2} on && /^VmFlags:/ {on = 0} END {print rss + 0}' "/proc/$pid/smaps")
    pss=$(awk '/memfd:soda/ {on = 1} on && /^Pss:/ {pss += $2} on && /^VmFlags:/ {on = 0} END {print pss + 0}' "/proc/$pid/smaps")
    echo "rank in process $pid: $rss kB of shared weights, its part $pss kB"
    [ "$rss" -gt 500 ] || fail "shared: $rss kB of shared weights"
    [ $((2 * pss)) -le $((rss + 64)) ] || fail "shared: $pss kB of $rss kB are this rank's"
    seen=$((seen + 1))
done
pkill -USR1 -f "$soda train run.yaml.*train.steps=100000" || true
rc=0
wait $! || rc=$?
[ "$seen" -eq 2 ] || fail "shared: found $seen ranks"
[ "$rc" -eq 75 ] || fail "shared: exit $rc"

rc=0
train wrong 2 --set parallel.weights=some || rc=$?
[ "$rc" -ne 0 ] || fail "wrong: exit 0"
says wrong 'parallel.weights'
echo "one copy of the weights per node: the same bits on 1 to 6 ranks"
