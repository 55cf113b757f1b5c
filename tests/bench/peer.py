#!/usr/bin/env python3
"""Times the SD1.5 U-Net forward pass: soda beside diffusers on PyTorch, alternating, in one run.

    pip install torch==2.15.0 diffusers==0.42.1
    python3 tests/bench/peer.py [--soda build/release/soda] [--rounds 3] [--compile]

Batch 1, 64x64 latents, 77 tokens, all cores, random weights of the published shapes. PyTorch runs in the
settings that were fastest for it: fp32 in NCHW, bf16 in channels-last, and malloc told to keep its memory
(huge pages, no trimming), which alone makes it several times faster on machines where page faults are dear.
Each side runs in a process of its own; a round is one process of each, and the best round counts.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import time

TUNED = ("glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=34359738368:"
         "glibc.malloc.trim_threshold=34359738368")
UNET = dict(sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
            cross_attention_dim=768, attention_head_dim=8)


def torch_side(dtype, compiled, repeat, threads):
    """Runs in the child: prints one JSON object."""
    import torch
    from diffusers import UNet2DConditionModel
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = UNet2DConditionModel(**UNET).eval()
    x, text = torch.randn(1, 4, 64, 64), torch.randn(1, 77, 768)
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
    print(json.dumps({"forward_s": min(times), "peak_rss_bytes": peak}))


def run(command, **environment):
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         env={**os.environ, **environment}).stdout
    return json.loads(out)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soda", default=os.path.join(here, "../../build/release/soda"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3, help="timed calls in each process")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true", help="also torch.compile (minutes)")
    parser.add_argument("--torch-side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_side:
        dtype, compiled = args.torch_side.split(",")
        torch_side(dtype, compiled == "1", args.repeat, args.threads)
        return

    def torch_run(dtype, compiled):
        return run([sys.executable, __file__, "--torch-side", f"{dtype},{int(compiled)}", "--repeat",
                    str(args.repeat), "--threads", str(args.threads)], GLIBC_TUNABLES=TUNED)

    def soda_run(dtype):
        return run([args.soda, "bench", "--arch", "sd15", "--dtype", dtype, "--repeat", str(args.repeat),
                    "--threads", str(args.threads), "--json"])

    print(f"SD1.5 U-Net forward, batch 1, 64x64 latents, {args.threads} threads, best of "
          f"{args.rounds} rounds of {args.repeat}")
    print(f"{'':24} {'seconds':>9} {'peak GiB':>9}")
    for dtype in ("fp32", "bf16"):
        sides = {f"soda {dtype}": lambda: soda_run(dtype),
                 f"PyTorch {dtype}": lambda: torch_run(dtype, False)}
        if args.compile:
            sides[f"PyTorch {dtype} compiled"] = lambda: torch_run(dtype, True)
        results = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, side in sides.items():
                results[name].append(side())
        best = {name: min(r["forward_s"] for r in rows) for name, rows in results.items()}
        for name, rows in results.items():
            peak = max(r["peak_rss_bytes"] for r in rows) / 2**30
            print(f"{name:24} {best[name]:9.3f} {peak:9.2f}")
        peer = min(seconds for name, seconds in best.items() if name.startswith("PyTorch"))
        print(f"{'soda is faster by':24} {peer / best[f'soda {dtype}']:8.2f}x\n")


if __name__ == "__main__":
    main()
