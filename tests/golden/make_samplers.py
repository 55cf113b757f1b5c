"""Writes samplers.json: timesteps and final latents of diffusers' schedulers on a made-up model.

Run by hand in the repository root:  python tests/golden/make_samplers.py
Made with Python 3.11.2, diffusers 0.42.1, PyTorch 2.15.0 (CPU), numpy 2.4.6.

The model answers  0.1 x[k] + sin(k + t / 100)  for element k of its input at timestep t, in fp32.
"""
import hashlib
import itertools
import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler
from diffusers import StableDiffusionPipeline
from diffusers.training_utils import compute_snr

diffusers.logging.set_verbosity_error()
CLASSES = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler,
           "dpmpp_2m": DPMSolverMultistepScheduler, "pndm": PNDMScheduler}
START = np.array([0.7, -1.3, 0.05, 2.1, -0.4, 1.0], np.float32)
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
      "num_train_timesteps": 1000, "set_alpha_to_one": False, "steps_offset": 1,
      "clip_sample": False, "skip_prk_steps": True, "trained_betas": None}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
KARRAS_TO_MIN = {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"}  # a last step of length 0
ZERO = {**SD, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
        "prediction_type": "v_prediction"}


def model(x, t):
    k = torch.arange(x.numel(), dtype=torch.float64)
    return (0.1 * x.double() + torch.sin(k + float(t) / 100)).float()


def run(scheduler, steps):
    scheduler.set_timesteps(steps)
    sample = torch.from_numpy(START) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        output = model(scheduler.scale_model_input(sample, t), t)
        sample = scheduler.step(output, t, sample).prev_sample
    assert torch.isfinite(sample).all()
    return {"timesteps": [float(t) for t in scheduler.timesteps],
            "init_sigma": float(scheduler.init_noise_sigma), "final": [float(x) for x in sample]}


def configurations():
    """(sampler, configuration, numbers of steps)"""
    for name, prediction, spacing in itertools.product(
            CLASSES, ("epsilon", "v_prediction"), ("leading", "linspace", "trailing")):
        yield name, {**SD, "prediction_type": prediction, "timestep_spacing": spacing}, (1, 2, 7, 25)
    for name in CLASSES:
        yield name, {}, (4, 7, 25)
        yield name, SD, (3, 5, 50, 100)
        yield name, {**SD, "skip_prk_steps": False}, (3, 4, 10, 25)
        yield name, COSINE, (25,)
        yield name, {**SD, "num_train_timesteps": 77}, (10,)
        yield name, {**SD, "set_alpha_to_one": True}, (7,)
        yield name, {key: None for key in ("set_alpha_to_one", "clip_sample", "lower_order_final",
                                           "skip_prk_steps", "rescale_betas_zero_snr")}, (7,)
    for name in ("ddim", "euler", "dpmpp_2m"):
        for spacing in ("leading", "linspace", "trailing"):
            yield name, {**SD, "prediction_type": "sample", "timestep_spacing": spacing}, (7,)
        yield name, ZERO, (1, 7, 25)
    for clip in (0.5, 1.0):
        yield "ddim", {**SD, "clip_sample": True, "clip_sample_range": clip}, (7, 25)
        yield "ddim", {**SD, "clip_sample": True, "clip_sample_range": clip,
                       "prediction_type": "v_prediction"}, (7,)
    for name in ("euler", "dpmpp_2m"):
        yield name, {**SD, "use_karras_sigmas": True}, (1, 7, 25)
        yield name, {**SD, **COSINE, "use_karras_sigmas": True}, (7,)
        yield name, {**SD, "use_karras_sigmas": True, "timestep_spacing": "trailing"}, (25,)
        yield name, {**SD, "final_sigmas_type": "sigma_min"}, (7, 25)
        yield name, {**SD, "final_sigmas_type": "sigma_min", "timestep_spacing": "trailing"}, (25,)
    yield "dpmpp_2m", {**SD, "final_sigmas_type": "sigma_min"}, (14, 15)
    for extra in ({"solver_type": "heun"}, {"solver_type": "bh2"}, {"solver_order": 1},
                  {"euler_at_final": True}, {"lower_order_final": False},
                  {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
                  {"solver_type": "heun", "final_sigmas_type": "sigma_min"},
                  {"euler_at_final": True, "final_sigmas_type": "sigma_min"},
                  {"lambda_min_clipped": -float("inf")},
                  {"lambda_min_clipped": -2.0}, {"lambda_min_clipped": -3.0, **COSINE},
                  {"lambda_min_clipped": -2.0, "timestep_spacing": "trailing"},
                  {"algorithm_type": "deis"}, {"variance_type": "fixed_small"},
                  KARRAS_TO_MIN, {**KARRAS_TO_MIN, "solver_order": 1},
                  {**KARRAS_TO_MIN, "euler_at_final": True}):
        yield "dpmpp_2m", {**SD, **extra}, (7, 25)


def trajectories():
    for name, config, numbers in configurations():
        for steps in numbers:
            case = {"sampler": name, "steps": steps, "config": config}
            try:
                case |= run(CLASSES[name].from_config(dict(config)), steps)
            except (ValueError, IndexError) as error:
                print(f"{name} {steps} {config}: {error!r}"[:150])
                case["fails"] = True
            yield case


def pipelines():
    """What StableDiffusionPipeline makes of a folder's configuration, for the folder's own class
    and for another that takes it over; `sampler` is null for the former."""
    bare = {key: SD[key] for key in ("beta_schedule", "beta_start", "beta_end")}
    for own, extra in itertools.product(CLASSES, ({}, {"steps_offset": 1}, {"clip_sample": True},
                                                  {"steps_offset": 0, "clip_sample": False},
                                                  {"steps_offset": 7, "clip_sample": None})):
        config = {"_class_name": CLASSES[own].__name__, **bare, **extra}
        for name in (None, *(other for other in CLASSES if other != own)):
            scheduler = CLASSES[own].from_config(dict(config))
            pipe = StableDiffusionPipeline(None, None, None, None, scheduler, None, None,
                                           requires_safety_checker=False)
            if name:
                pipe.scheduler = CLASSES[name].from_config(pipe.scheduler.config)
            yield {"sampler": name, "steps": 5, "config": config} | run(pipe.scheduler, 5)


def schedules():
    for config in ({}, SD, {**SD, "rescale_betas_zero_snr": True}, {**SD, "num_train_timesteps": 77},
                   {"beta_start": 0.0015, "beta_end": 0.0195}, COSINE):
        scheduler = DDIMScheduler.from_config(dict(config))
        bar = scheduler.alphas_cumprod.numpy()
        yield {"config": config, "sha256": hashlib.sha256(bar.astype("<f4").tobytes()).hexdigest(),
               "some": [float(x) for x in bar[::37]]}


def training():
    x0 = torch.tensor([0.3, -2.0, 1.1, 0.0, -0.6])
    noise = torch.tensor([-0.5, 0.2, 1.7, 0.9, -1.1])
    scheduler = DDIMScheduler.from_config(dict(SD))
    for t in (0, 481, 999):
        at = torch.tensor([t])
        yield {"t": t, "x0": x0.tolist(), "noise": noise.tolist(),
               "noisy": scheduler.add_noise(x0[None], noise[None], at)[0].tolist(),
               "v": scheduler.get_velocity(x0[None], noise[None], at)[0].tolist(),
               "snr": float(compute_snr(scheduler, at)[0])}


def main():
    parts = {"sd": [SD], "start": [START.tolist()], "schedules": list(schedules()),
             "training": list(training()), "trajectories": list(trajectories()),
             "pipelines": list(pipelines())}
    print(len(parts["trajectories"]), "trajectories")
    text = ",\n".join(f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "]"
                      for key, rows in parts.items())
    Path(__file__).with_name("samplers.json").write_text("{" + text + "}\n")


if __name__ == "__main__":
    main()
