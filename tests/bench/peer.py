#!/usr/bin/env python3
"""Times a U-Net: soda beside PyTorch, alternating, in one run.

    pip install torch==2.15.0 diffusers==0.42.1 peft==0.21.2
    python3 tests/bench/peer.py [--soda build/release/soda] [--rounds 3] [--compile]
    python3 tests/bench/peer.py --train [--only lora]
    python3 tests/bench/peer.py --isa avx2
    python3 tests/bench/peer.py --model configs/quickstart/model --batch 8 --threads 1

The forward pass against diffusers; with --train a whole training step (forward, backward, clipping,
update) of SODA against SODA in PyTorch and against LoRA and OFT of PEFT: peer_train.py.

SD1.5 with batch 1 and 64x64 latents, or the model and batch given; 77 tokens, all cores, random
weights of the published shapes. --isa holds soda and what PyTorch multiplies with (its own kernels,
oneDNN, MKL) to the same instructions, so that any machine can measure an older one. PyTorch runs
in the settings that were fastest for it: fp32 in NCHW, bf16 in channels-last, and malloc told to
keep its memory (huge pages, no trimming), which alone makes it several times faster on machines
where page faults are dear. Each side runs in a process of its own; a round is one process of each,
and the best round counts. A process times --repeat calls after one that does not count.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TUNED = ("glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=34359738368:"
         "glibc.malloc.trim_threshold=34359738368")
PEERS = {"soda_svd": "SODA-SVD, dense R", "soda_lq": "SODA-LQ, dense R", "lora": "PEFT LoRA r=4",
         "oft": "PEFT OFT b=32"}
ISA = {"base": ("default", "SSE41", "SSE4_2"), "avx2": ("avx2", "AVX2", "AVX2"),
       "avx512": ("avx512", "AVX512_CORE", "AVX512"),
       "avx512bf16": ("avx512", "AVX512_CORE_BF16", "AVX512"),
       "amx": ("avx512", "AVX512_CORE_AMX", "AVX512")}


def limits(isa):
    """Environment that holds both sides to the instructions of level `isa` of soda's --isa."""
    if not isa:
        return {}
    aten, onednn, mkl = ISA[isa]
    return {"SODA_ISA": isa, "ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn,
            "DNNL_MAX_CPU_ISA": onednn, "MKL_ENABLE_INSTRUCTIONS": mkl}


def torch_side(dtype, compiled, repeat, threads, model, batch):
    """Runs in the child: prints one JSON object."""
    import torch
    from peer_train import random_inputs, random_net
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = random_net(model).eval()
    x, text = random_inputs(net, batch)
    if dtype == "bf16":
        net = net.to(torch.bfloat16, memory_format=torch.channels_last)
        x, text = x.bfloat16().to(memory_format=torch.channels_last), text.bfloat16()
    call = torch.compile(net) if compiled else net
    times = []
    with torch.no_grad():
        call(x, 321, text)
        for _ in range(repeat):
            start = time.perf_counter()
            call(x, 321, text)
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"forward_s": min(times), "forward_median_s": statistics.median(times),
                      "peak_rss_bytes": peak}))


def run(command, **environment):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def latent_of(model):
    if not model:
        return 64
    with open(os.path.join(model, "unet/config.json"), encoding="utf-8") as file:
        return json.load(file)["sample_size"]


def sides_of(args, dtype):
    """{name: command}; each prints a JSON object with forward_s, or step_s, and peak_rss_bytes."""
    common = ["--repeat", str(args.repeat), "--threads", str(args.threads),
              "--batch", str(args.batch)]
    soda = [args.soda, "bench", "--arch", args.model or "sd15", "--dtype", dtype, "--json",
            "--latent", str(latent_of(args.model)), *common]
    if args.model:
        common += ["--model", args.model]
    sides = {}
    if not args.train:
        sides["soda"] = soda
        child = [sys.executable, __file__, "--torch-side", dtype, *common]
        sides["PyTorch"] = child
        if args.compile:
            sides["PyTorch compiled"] = [*child, "--compile"]
        return sides
    for method in ("soda_svd", "soda_lq"):
        sides[f"soda {method}"] = [*soda, "--method", method]
    for method, name in PEERS.items():
        child = [sys.executable, os.path.join(HERE, "peer_train.py"), method, dtype, *common]
        sides[f"PyTorch {name}"] = child
        if args.compile:
            sides[f"PyTorch {name} compiled"] = [*child, "--compile"]
    return sides


def measure(sides, rounds, isa):
    results = {name: [] for name in sides}
    for _ in range(rounds):
        for name, command in sides.items():
            tuned = {} if name.startswith("soda") else {"GLIBC_TUNABLES": TUNED}
            results[name].append(run(command, **tuned, **limits(isa)))
    return results


def report(dtype, results, key):
    """One row a side: best, median of the rounds' medians, peak; how much longer than soda."""
    best = {name: min(r[key + "_s"] for r in rows) for name, rows in results.items()}
    sodas = [name for name in results if name.startswith("soda")]
    print(f"{dtype:34} {'best s':>8} {'median s':>9} {'peak GiB':>9}"
          + "".join(f" {'/ ' + name:>16}" for name in sodas))
    for name, rows in results.items():
        medians = [r[key + "_median_s"] for r in rows if key + "_median_s" in r]
        median = f"{statistics.median(medians):9.3f}" if medians else f"{'-':>9}"
        peak = max(r["peak_rss_bytes"] for r in rows) / 2**30
        print(f"{name:34} {best[name]:8.3f} {median} {peak:9.2f}"
              + "".join(f" {best[name] / best[soda]:15.2f}x" for soda in sodas))
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soda", default=os.path.join(HERE, "../../build/release/soda"))
    parser.add_argument("--model", metavar="FOLDER", help="a diffusers folder instead of SD1.5")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--isa", choices=ISA, help="instructions that both sides may use")
    parser.add_argument("--train", action="store_true", help="training steps")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], help="one of the two")
    parser.add_argument("--only", default="", metavar="WORD",
                        help="sides with this in their name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3, help="timed calls in each process")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true", help="also torch.compile (minutes)")
    parser.add_argument("--torch-side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_side:
        torch_side(args.torch_side, args.compile, args.repeat, args.threads, args.model,
                   args.batch)
        return
    what = "training step" if args.train else "U-Net forward"
    side = latent_of(args.model)
    print(f"{args.model or 'SD1.5'} {what}, batch {args.batch}, {side}x{side} latents, "
          f"{args.threads} threads, {args.isa or 'all'} instructions, best of {args.rounds} "
          f"rounds of {args.repeat}")
    for dtype in [args.dtype] if args.dtype else ("fp32", "bf16"):
        sides = {name: command for name, command in sides_of(args, dtype).items()
                 if args.only.lower() in name.lower()}
        if not sides:
            parser.error(f"--only {args.only}: no side has this in its name")
        report(dtype, measure(sides, args.rounds, args.isa), "step" if args.train else "forward")


if __name__ == "__main__":
    main()
