#!/usr/bin/env python3
"""Writes losses.json: noisy latents, targets, and weights of training losses.

Run by hand with torch 2.15.0 and diffusers 0.42.1; prints the JSON. Losses are fp64.

  noise     for each scheduler configuration: alphas_cumprod and snr at each timestep; noisy[t][i]
            and velocity[t][i] of x0[i] and noise[i], by DDPMScheduler's add_noise and get_velocity
            in fp32; the weights of min-SNR (diffusers' train_text_to_image.py)
                epsilon  min(snr, gamma) / snr            v  min(snr, gamma) / (snr + 1)
            for each gamma. null: epsilon has no weight where snr is 0.
  dco       loss = mean over images of -log sigmoid(-beta (L - Lref)), beta as listed; each is the
            loss by image, and gradient is d loss / d L by image, by autograd
"""
import json

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

GAMMAS = [1.0, 5.0]
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
          num_train_timesteps=1000)
CONFIGS = {
    "sd": SD,
    "linear": dict(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", num_train_timesteps=200),
    "zero_snr": SD | dict(rescale_betas_zero_snr=True, prediction_type="v_prediction"),
}


def noise(config):
    generator = torch.Generator().manual_seed(11)
    scheduler = DDPMScheduler(**config)
    last = config["num_train_timesteps"] - 1
    timesteps = torch.tensor([0, 1, last // 7, last // 2, last - 1, last])
    x0, normal = (torch.randn(5, generator=generator) for _ in range(2))
    rows = (x0.expand(len(timesteps), -1), normal.expand(len(timesteps), -1), timesteps)
    snr = compute_snr(scheduler, timesteps).double()
    weights = {}
    for gamma in GAMMAS:
        least = snr.clamp(max=gamma)
        weights[str(gamma)] = {"epsilon": [None if s == 0 else w for s, w in
                                           zip(snr.tolist(), (least / snr).tolist())],
                               "v": (least / (snr + 1)).tolist()}
    return {"config": config, "timesteps": timesteps.tolist(),
            "alphas_cumprod": scheduler.alphas_cumprod[timesteps].tolist(), "snr": snr.tolist(),
            "x0": x0.tolist(), "noise": normal.tolist(),
            "noisy": scheduler.add_noise(*rows).tolist(),
            "velocity": scheduler.get_velocity(*rows).tolist(), "min_snr": weights}


def dco(beta, loss, reference):
    loss = torch.tensor(loss, dtype=torch.float64, requires_grad=True)
    lead = loss - torch.tensor(reference, dtype=torch.float64)
    each = -torch.nn.functional.logsigmoid(-beta * lead)
    each.mean().backward()
    return {"beta": beta, "L": loss.tolist(), "Lref": reference, "each": each.tolist(),
            "loss": each.mean().item(), "gradient": loss.grad.tolist()}


print(json.dumps({
    "noise": {name: noise(config) for name, config in CONFIGS.items()},
    "dco": [dco(1000.0, [0.125, 0.25, 0.5], [0.125, 0.2505, 0.4985]),
            dco(1.0, [0.0, 2.0], [1.5, 0.25]),
            # far out: exp(2500) is no number, the loss is
            dco(5000.0, [1.0, 0.5, 0.75, 0.75], [0.5, 1.0, 0.75, 0.7500001])],
}, indent=1))
