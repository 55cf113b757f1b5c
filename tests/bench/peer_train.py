#!/usr/bin/env python3
"""One side of `peer.py --train`: times training steps of a U-Net in PyTorch, in a process of
its own, so that the peak memory is this method's. Prints one JSON object.

    python3 tests/bench/peer_train.py soda_svd|soda_lq|lora|oft fp32|bf16 [--compile] [--repeat 3]
        [--model FOLDER] [--batch N]

A step is forward, backward to the adapters, clipping to one norm, and the update. On every
attention projection (to_q, to_k, to_v, to_out.0), with random weights:

    soda_svd, soda_lq   R formed densely and Ws formed anew in every step, as in the authors' code;
                        torch's AdamW takes the place of the Stiefel step, and the diagonal products
                        are elementwise: both only flatter PyTorch. Bases are random, which costs
                        the same. Factors of the paper.
    lora, oft           PEFT: LoRA of rank 4, OFT of blocks of 32 (Cayley-Neumann, its default)

With bf16 everything is bf16, adapters and their optimizer too: the fastest, if not the best, way.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

import torch
from diffusers import UNet2DConditionModel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden"))
import soda_reference  # noqa: E402

UNET = dict(sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
            cross_attention_dim=768, attention_head_dim=8)
METHODS = ("soda_svd", "soda_lq", "lora", "oft")


def random_basis(method, weight):
    """Of the shapes and the size of activations of a factorisation, without its minutes."""
    m, n = weight.shape
    k = min(m, n)
    if method == "soda_lq":
        return {"W0": weight, "Q": torch.randn(k, n) / n ** 0.5}
    return {"U": torch.randn(m, k) / m ** 0.5, "s": 0.5 + torch.rand(k),
            "Vh": torch.randn(k, n) / n ** 0.5}


def add_soda(net, method, dtype):
    """soda_reference.adapt with random bases; `net` is fp32 and is cast later."""
    soda_reference.BASES = {method: lambda weight: random_basis(method, weight)}
    weights = {name: module.weight for name, module in net.named_modules()
               if isinstance(module, torch.nn.Linear)}
    config = dict(method=method, targets=["attn"], factors="paper", delta_init=0.0)
    soda_reference.adapt(net, config, weights, dtype)
    return net


def add_peft(net, method):
    from peft import LoraConfig, OFTConfig, get_peft_model
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    config = (LoraConfig(r=4, lora_alpha=4, target_modules=targets) if method == "lora" else
              OFTConfig(oft_block_size=32, target_modules=targets))
    return get_peft_model(net, config, autocast_adapter_dtype=False)


def random_net(model):
    """SD1.5's U-Net, or that of the diffusers folder `model`; the values are random either way."""
    if not model:
        return UNet2DConditionModel(**UNET)
    return UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(model + "/unet"))


def random_inputs(net, batch):
    """Latents of the model's own size and text of 77 tokens."""
    side, wide = net.config.sample_size, net.config.cross_attention_dim
    return torch.randn(batch, 4, side, side), torch.randn(batch, 77, wide)


def prepare(method, dtype, model, batch):
    torch.manual_seed(0)
    net = random_net(model)
    x, text = random_inputs(net, batch)
    target, layout = torch.randn(x.shape), torch.contiguous_format
    wide = torch.bfloat16 if dtype == "bf16" else torch.float32
    if dtype == "bf16":
        layout = torch.channels_last
    net = add_soda(net, method, wide) if method.startswith("soda") else add_peft(net, method)
    net = net.to(wide, memory_format=layout).train()
    return net, x.to(wide, memory_format=layout), text.to(wide), target


def time_steps(net, x, text, target, compiled, repeat):
    """Seconds of (forward, step) for each repeat, after one warm-up."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, foreach=True)
    call = torch.compile(net) if compiled else net
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        prediction = call(x, 321, text).sample
        forward = time.perf_counter()
        torch.nn.functional.mse_loss(prediction.float(), target).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append((forward - start, time.perf_counter() - start))
    return times[1:], sum(p.numel() for p in parameters)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("dtype", choices=["fp32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", metavar="FOLDER")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    subject = prepare(args.method, args.dtype, args.model, args.batch)
    times, trainable = time_steps(*subject, args.compile, args.repeat)
    steps = [step for _, step in times]
    print(json.dumps({"forward_s": min(f for f, _ in times), "step_s": min(steps),
                      "step_median_s": statistics.median(steps), "trainable": trainable,
                      "peak_rss_bytes":
                          resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
