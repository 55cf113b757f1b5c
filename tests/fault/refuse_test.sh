#!/usr/bin/env bash
# Bad input and bad luck: one message, a nonzero exit code, and the last good checkpoint stays.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# ended NAME RANKS: no rank of run NAME ended with code 0, by what exit_code.sh wrote. One that mpirun killed because
# another failed is named, and counts as ended by a failure.
ended() {
    local rank code
    for ((rank = 0; rank < $2; rank++)); do
        code=$(cat "$1/codes/$rank" 2>/dev/null) || fail "$1: rank $rank was never started"
        case $code in
            0) fail "$1: rank $rank ended with exit code 0" ;;
            running) echo "$1: rank $rank was killed by mpirun" ;;
        esac
    done
}

# fails NAME TEXT RANKS FIRST OTHER COMMAND...: on ranks that by_rank.sh makes differ COMMAND fails with exit code 1 on
# all of them, and one error, which holds TEXT.
fails() {
    local name=$1 text=$2 ranks=$3 rc=0
    shift 3
    rm -rf "$name/log" "$name/codes"
    mkdir -p "$name/codes"
    timeout 300 "$mpiexec" --oversubscribe --bind-to none -n "$ranks" bash "$source/tests/fault/by_rank.sh" "$1" "$2" \
        bash "$source/tests/fault/exit_code.sh" "$work/$name/codes" "${@:3}" >"$name/log" 2>&1 || rc=$?
    [ "$rc" -eq 1 ] || fail "$name: exit code $rc, expected 1"
    one_error "$name" "$text"
    ended "$name" "$ranks"
}

# refused NAME TEXT RANKS [OPTION]...: the run, as lib.sh starts it, fails so.
refused() {
    ln -sfn "$1" current
    fails "$1" "$2" "$3" true true "$soda" train run.yaml --threads 1 --set output=current/run "${@:4}"
}

# differs NAME TEXT FIRST OTHER [OPTION]...: a run of two ranks fails because of the second one, which is named, with its
# host, before TEXT.
host=$(uname -n)
differs() {
    fails "$1" "rank 1 of 2 on $host: $2" 2 "$3" "$4" "$soda" train "$work/run.yaml" --threads 1 --set output="$work/$1/run" \
        "${@:5}"
}

mkdir empty uncaptioned broken
cp "$images"/train/*.png uncaptioned/
cp "$images"/train/* broken/
head -c 300 "$images/train/fox.png" >broken/fox.png

refused key "did you mean train.steps" 2 --set train.stesp=3
refused path "data.path: expected a path, found nothing" 2 --set data.path=null
refused folder "empty" 2 --set data.path="$work/empty"
refused caption "expected its caption in" 2 --set data.path="$work/uncaptioned"
refused image "fox.png" 3 --set data.path="$work/broken"
refused target "no linear layer" 2 --set 'adapter.targets=["nowhere"]'
refused model "run.yaml: model: $work/empty/model_index.json: cannot open" 2 --set model="$work/empty"
mkdir output && touch output/file
refused output "output/file" 1 --set output=output/file/run

refused drawn "validation.every is 0 and validation.pictures 2" 1 --set validation.pictures=2
refused silent "sample.prompts" 2 --set sample.every=2
refused many "run.yaml: sample: steps: expected 1 to 1000, found 1001" 2 --set sample.every=2 --set sample.steps=1001 \
    --set 'sample.prompts=["a fox"]'

# A picture file without its end, but with all pixels, is read, whichever rank decodes it.
cp -r "$images/train" endless
head -c -12 "$images/train/fox.png" >endless/fox.png
mkdir -p cut
train cut 2 --set data.path="$work/endless" --set train.steps=3 || fail "cut: refused"
says cut "endless: 1 picture file lacks its end but no pixels: fox.png"

# Ranks that have nothing to do.
train idle 3 --set train.global_batch=2 --set train.steps=3 || fail "idle: refused"
says idle "train.global_batch: steps of 2 micro-batches leave 1 of 3 ranks without one"
if grep -aq "ranks without one" cut/log; then fail "cut: a warning of ranks that are busy"; fi

# Two processes in one folder: whoever comes second is told.
mkdir -p twice/run
exec {lock}>twice/run/.lock
flock --nonblock "$lock"
refused twice "another run is writing to this folder" 2
exec {lock}>&-

# Ranks that were given different configurations.
differs apart "expected the configuration that rank 0 has: train.seed is 12, that of rank 0 11" \
    true 'set -- "$@" --set train.seed=12'

# ... or another build of the program: one with a byte more.
cp "$soda" newer
printf '\0' >>newer
differs build "expected what rank 0 has (instruction set " true "set -- \"\${@:1:3}\" ./newer \"\${@:5}\""
says build "build $(sha256sum "$soda" | head -c 8)), found instruction set"
says build "build $(sha256sum newer | head -c 8); install one program on all nodes"
rm newer

# A rank whose clock is an hour ahead would stop the run an hour early.
clock=$(dirname "$soda")/tests/libsoda_test_wrong_clock.so
if [ -e "$clock" ]; then # not under sanitizers
    end=$(($(date +%s) + 7200))
    SODA_END_TIME=$end differs clock "the clock of this node is 3" true "export LD_PRELOAD=$clock" \
        --set checkpoint.time_limit=auto
    says clock "s ahead of that of rank 0's: expected at most 60 s"
    SODA_END_TIME=$end unlike true "export LD_PRELOAD=$clock" "$soda" train run.yaml --set output=clock/run \
        --set train.steps=4 >clock/log 2>&1 || fail "clock: refused though no end is told by the clock"
fi

# Ranks may have other numbers of threads, which change no bits.
mkdir -p threads
unlike true 'set -- "$@" --threads 2' "$soda" train run.yaml --threads 1 --set output=threads/run --set train.steps=4 \
    >threads/log 2>&1 || fail "threads: refused"
says threads "2 ranks with 1 to 2 threads"

# Ranks that were started with different verbs, known or not.
for verb in plan trian; do
    differs verbs "the verb '$verb': differs from that of rank 0" true "set -- \"\${@:1:4}\" $verb run.yaml"
done

# Ranks that find different models under one path: one tensor is another on rank 1, or not there, or a value is.
folders=("cd '$work/models/own'" "cd '$work/models/other'")
unet=models/other/model/unet
last=up_blocks.2.resnets.1.time_emb_proj.weight # by name, and in the file
mkdir -p models/own models/other
cp -r "$tiny_sd1" models/own/model
fresh() { # the same model for both
    rm -rf models/other/model
    cp -r "$tiny_sd1" models/other/model
}
end_with() { # FILE BYTE: the last byte of FILE, which was another
    local at=$(($(stat -c %s "$1") - 1))
    [ "$(tail -c 1 "$1" | od -An -t x1)" != " $2" ] || fail "$1: ends with $2 already"
    printf '%b' "\\x$2" | dd of="$1" bs=1 seek=$at conv=notrunc status=none
}
fresh
end_with $unet/diffusion_pytorch_model.safetensors 3f
differs models "/proc/self/cwd/model/unet/diffusion_pytorch_model.safetensors: $last: not the tensor that rank 0 read" \
    "${folders[@]}" --set model=/proc/self/cwd/model
fresh
entry=",\"$last\":{\"dtype\":\"F32\",\"shape\":[12,48],\"data_offsets\":[857536,859840]}"
LC_ALL=C sed -i "s/${entry//[/\\[}/$(printf "%${#entry}s" '')/" $unet/diffusion_pytorch_model.safetensors
truncate -s -2304 $unet/diffusion_pytorch_model.safetensors
differs lacking "/proc/self/cwd/model/unet: tensor $last is missing: rank 0 read it" "${folders[@]}" \
    --set model=/proc/self/cwd/model
fresh
sed -i 's/"norm_num_groups": 4/"norm_num_groups": 2/' $unet/config.json
differs values "/proc/self/cwd/model: the values in config.json differ from those that rank 0 read" "${folders[@]}" \
    --set model=/proc/self/cwd/model

# ... or what makes latents, states and tokens, of which only the cache would know: nothing gets into it.
for part in vae/diffusion_pytorch_model.safetensors text_encoder/model.safetensors tokenizer/vocab.json \
    scheduler/scheduler_config.json; do
    name=${part%%/*}
    text="/model/$name: differs from that of rank 0"
    fresh
    case $part in
        scheduler/*) # the noise that is added
            text="/model/$part: differs from that of rank 0"
            sed -i 's/epsilon/v_prediction/' "models/other/model/$part" ;;
        tokenizer/*)
            text="what a tokenizer of /proc/self/cwd/model makes of the captions: differs from that of rank 0"
            sed -i 's/"e<\/w>": 324\b/"e<\/w>": 336/; s/"q<\/w>": 336\b/"q<\/w>": 324/' "models/other/model/$part" ;;
        *) end_with "models/other/model/$part" 3e ;;
    esac
    ! cmp -s "models/own/model/$part" "models/other/model/$part" || fail "$name: the models are the same"
    SODA_CACHE=$work/cache-$name differs "$name" "" "${folders[@]}" --set model=/proc/self/cwd/model
    one_error "$name" "$text"
    [ -z "$(find "cache-$name" -name '*.safetensors')" ] || fail "$name: something was put into the cache"
done

# A model file that one rank cannot read: it is named, with the rank, wherever weights are kept.
fresh
truncate -s 5000 $unet/diffusion_pytorch_model.safetensors
for weights in replicate node shard; do
    ranks=1
    [ $weights != shard ] || ranks=2
    differs "unreadable-$weights" "/proc/self/cwd/model/unet/diffusion_pytorch_model.safetensors: " "${folders[@]}" \
        --set model=/proc/self/cwd/model --set parallel.weights=$weights --set parallel.shard=$ranks
done

# Ranks that find different pictures or captions under one path: the first is named. This caption has the same tokens.
mkdir -p sets/own sets/other
cp -r "$images/train" sets/own/set
for change in picture caption name; do
    rm -rf sets/other/set
    cp -r "$images/train" sets/other/set
    case $change in
        picture)
            text="fox.png: differs from the picture that rank 0 read under this name"
            cp "$images/test/frog.png" sets/other/set/fox.png ;;
        caption)
            text="metadata.jsonl: the caption of fox.png differs from the one that rank 0 read"
            sed -i '/fox.png/s/"fox in/"FOX in/' sets/other/set/metadata.jsonl ;;
        name)
            text="foxy.png: rank 0 has another picture at this place of its list"
            mv sets/other/set/fox.png sets/other/set/foxy.png
            sed -i 's/fox.png/foxy.png/' sets/other/set/metadata.jsonl ;;
    esac
    differs "$change" "/proc/self/cwd/set/$text" "cd '$work/sets/own'" "cd '$work/sets/other'" --set data.path=/proc/self/cwd/set
done

# Caches of two nodes in which whole files with one name hold different numbers, as other libraries would make them.
caches=("export SODA_CACHE='$work/cache-own'" "export SODA_CACHE='$work/cache-other'")
SODA_CACHE=$work/cache-own train made 1 --set train.steps=3 || fail "made: refused"
sum_of() { # FILE ARRAY...: the checksum of the numbers of all arrays
    local header array begin end
    header=$(($(od -An -t u8 -N 8 "$1") + 8))
    for array in "${@:2}"; do
        read -r begin end < <(head -c $header "$1" | LC_ALL=C sed 's/.*"'"$array"'":{[^}]*:\[\([0-9]*\),\([0-9]*\)\].*/\1 \2/')
        tail -c +$((header + begin + 1)) "$1" | head -c $((end - begin))
    done | sha256sum | head -c 64
}
other_number() { # FILE ARRAY...: the last number is another, and the checksum fits
    local old
    old=$(sum_of "$@")
    end_with "$1" 3d
    LC_ALL=C sed -i "1s/\"sha256\":\"$old\"/\"sha256\":\"$(sum_of "$@")\"/" "$1"
    grep -aq "\"sha256\":\"$(sum_of "$@")\"" "$1" || fail "$1: its checksum was not found"
}
for arrays in "latents mean std" "text hidden" "factors U s Vh"; do
    kind=${arrays%% *}
    rm -rf cache-other
    cp -r cache-own cache-other
    file=$(find "cache-other/$kind" -name '*.safetensors' | sort | tail -n 1)
    read -ra arrays <<<"${arrays#* }"
    other_number "$file" "${arrays[@]}"
    differs "held-$kind" "$work/$file: expected what rank 0 has under this name, found other numbers" "${caches[@]}"
    rm -rf "cache-other/$kind" # as the message says
    unlike "${caches[@]}" "$soda" train run.yaml --threads 1 --set output="sent-$kind" --set train.steps=3 \
        >"held-$kind/log" 2>&1 || fail "held-$kind: refused though the other cache is gone"
    says "held-$kind" "do not share one cache"
    if grep -aqE 'encode pictures|encoding .* captions|factorise' "held-$kind/log"; then
        fail "held-$kind: something was made that rank 0 has"
    fi
    diff -r "cache-own/$kind" "cache-other/$kind" || fail "held-$kind: not the files that rank 0 has"
done

# A bit of the adapter that is another on one rank: found at the next comparison, and nothing is saved after it.
corrupt=$(dirname "$soda")/tests/libsoda_test_corrupt.so
if [ -e "$corrupt" ]; then # not under sanitizers
    for every in 2 0; do
        step=4 # the step that begins to differ is 2, counted from 0
        [ $every = 2 ] || step=5
        fails drifted "rank 1 of 3 on $host: after step $step this rank has another state" 3 true true env \
            LD_PRELOAD="$corrupt" SODA_TEST_CORRUPT_RANK=1 "$soda" train run.yaml --threads 1 --set output=drifted/run \
            --set parallel.check_every=$every --set checkpoint.every=5
        one_error drifted "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.soda.R1: adapter: value 0 is "
        if compgen -G 'drifted/run/checkpoints/*' >/dev/null; then fail "drifted: a checkpoint was written"; fi
        rm -rf drifted
    done
fi

# A collective that fails on one rank, as the run starts and while it trains: that rank's message, and an end for all.
collective=$(dirname "$soda")/tests/libsoda_test_collective.so
for call in 20 60 300; do
    [ -e "$collective" ] || break # under sanitizers
    differs "call$call" "" true "export LD_PRELOAD=$collective SODA_TEST_FAIL_RANK=1 SODA_TEST_FAIL_CALL=$call" \
        --set parallel.check_every=1 --set train.steps=1000000 --set checkpoint.every=1000000
    one_error "call$call" "MPI: all-reduce failed"
    [ $call -lt 300 ] || [ -s "call$call/run/metrics.jsonl" ] || fail "call$call: failed before the first step"
done

# Ranks with different instruction sets: refused before anything is read, on every rank.
if SODA_ISA=avx2 "$soda" --version >/dev/null 2>&1; then
    differs levels "expected what rank 0 has (instruction set base" 'export SODA_ISA=base' 'export SODA_ISA=avx2'
    says levels "found instruction set avx2"
    [ ! -e levels/run ] || fail "levels: the run began"
fi

# Checkpoints of another run are refused, damaged ones are passed over.
train one 2 || fail "the run that others are compared with"
cp -r one another
refused another "model: this run has model: " 2 --set model="$source/tests/golden/tiny-sd2"
refused another "data: this run has data.resolution: 32, the checkpoint has data.resolution: " 2 --set data.resolution=32
refused another "method" 1 --set adapter.method=soda_lq
refused another "seed" 1 --set train.seed=12
refused another "train.steps: expected at least the 10 steps already done" 1 --set train.steps=5
cp -r one damaged
rm damaged/log
printf '\xff' | dd of=damaged/run/checkpoints/step-00000010.h5 bs=1 seek=5000 conv=notrunc status=none
train damaged 2 || fail "damaged: resuming from the older checkpoint"
says damaged "step-00000010.h5"
same damaged

# Damaged spectra are a warning: the checkpoint is what matters.
cp -r one blurred
rm blurred/log
printf '\xff' | dd of=blurred/run/spectra.h5 bs=1 seek=3000 conv=notrunc status=none
rm blurred/run/checkpoints/step-00000010.h5
train blurred 2 || fail "blurred: a run ended for its spectra"
same blurred

# A full disk while saving: the run goes on, the message says so, older checkpoints stay.
mkdir -p full
rc=0
(ulimit -f 64 && exec "$soda" train run.yaml --threads 1 --set output=full/run --set train.steps=4 \
    --set checkpoint.retry=1 >full/log 2>&1) || rc=$?
[ "$rc" -eq 1 ] || fail "full: exit code $rc, expected 1"
says full "training continues without this checkpoint"
if compgen -G 'full/run/checkpoints/*' >/dev/null; then fail "full: something is left half-written"; fi

# Whoever ends the run with SIGTERM does not wait for room until checkpoint.retry is over, ten minutes.
mkdir -p ended
(ulimit -f 64 && exec "$soda" train run.yaml --threads 1 --set output=ended/run --set train.steps=4 >ended/log 2>&1) & pid=$!
until grep -q 'retrying: ' ended/log 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || fail "ended: does not try again"
    sleep 0.1
done
since=$SECONDS
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
[ "$rc" -eq 1 ] || fail "ended: exit code $rc, expected 1"
[ $((SECONDS - since)) -le 40 ] || fail "ended: $((SECONDS - since)) s after SIGTERM, expected 20 at most"

# What is not finite is named, with its step, and nothing of it is kept.
cp -r "$tiny_sd1" poisoned
weights=poisoned/unet/diffusion_pytorch_model.safetensors
printf '\x00\x00\xc0\x7f' | dd of=$weights bs=1 seek=$(($(stat -c %s $weights) - 4000)) conv=notrunc status=none
refused nan "step 0: the loss is " 2 --set model="$work/poisoned"
refused held "step 0: the held-out loss of " 2 --set model="$work/poisoned" --set validation.path="$images/test"
[ ! -f nan/run/adapter.safetensors ] || fail "nan: an adapter was written"
echo "bad input is refused, bad luck is survived"
