#!/usr/bin/env python3
"""Writes optimizers.json: what torch and diffusers do with small inputs.

Run by hand with torch 2.15.0 and diffusers 0.42.1; prints the JSON. Nothing in the tests needs them.
"""
import json

import torch
from diffusers.optimization import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

N, STEPS, LR = 7, 12, 3e-3


def adamw():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(N, generator=generator)
    p = torch.nn.Parameter(x.clone())
    optimizer = torch.optim.AdamW(
        [p], lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, foreach=False
    )
    gradients, trajectory, norms = [], [], []
    for step in range(STEPS):
        g = torch.randn(N, generator=generator) * 10.0 ** (step % 4 - 3)
        g[2] = 0  # a closed gate: decay alone
        gradients.append(g.tolist())
        p.grad = g.clone()
        norms.append(float(torch.nn.utils.clip_grad_norm_([p], 0.5)))
        optimizer.step()
        trajectory.append(p.detach().tolist())
    return {"x": x.tolist(), "g": gradients, "clipped_norm": norms, "trajectory": trajectory}


def schedule(make, *arguments):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, *arguments)
    factors = []
    for _ in range(STEPS + 2):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return factors


print(
    json.dumps(
        {
            "adamw": adamw(),
            "schedules": {
                "constant": schedule(get_constant_schedule_with_warmup, 3),
                "cosine": schedule(get_cosine_schedule_with_warmup, 3, STEPS),
                "linear": schedule(get_linear_schedule_with_warmup, 3, STEPS),
                "linear0": schedule(get_linear_schedule_with_warmup, 0, STEPS),
            },
        },
        indent=1,
    )
)
