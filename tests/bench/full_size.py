#!/usr/bin/env python3
"""Compares one U-Net call of a full-size model in soda and in diffusers: error and peak memory.

    pip install torch==2.15.0 diffusers==0.42.1 transformers
    python3 tests/bench/full_size.py sd15|sd21|sdxl... [--dtype bf16] [--soda build/release/soda]

Models have seeded random weights (make_full.py) and are made once, in --models. Disk: 4 GiB for
sd15, 5 for sd21, 13 for sdxl.

The call is a picture of one step through both pipelines: `soda sample --steps 1 --guidance 1` from
given latents x, and the pipeline of diffusers, so tokenizer and text encoders take part. The
folder's scheduler is replaced by Euler with trailing timesteps and epsilon: one step then goes from
t = 999 (sigma 14.6) to 0, and the prediction is  x - final / sigma,  which keeps all its digits.

error       relative L2 distance of the prediction from diffusers' fp32; with --dtype bf16 also that
            of PyTorch's own bf16
peak        resident memory of the process, VAE and 512x512 picture included. soda loads a network
            when its turn comes; diffusers keeps all of them
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROMPT = "a small red fox"
LATENT = 64
CHILD = "--diffusers-side"
EULER = {"_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 1000,
         "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
         "timestep_spacing": "trailing", "prediction_type": "epsilon"}


def diffusers_side(folder, dtype, latents, out):
    """Runs in the child: writes the U-Net's prediction and sigma."""
    from diffusers import DiffusionPipeline
    pipe = DiffusionPipeline.from_pretrained(
        folder, torch_dtype={"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])
    seen = {}
    pipe.unet.register_forward_hook(
        lambda module, given, output: seen.update(prediction=output[0].detach().float()))
    side = LATENT * pipe.vae_scale_factor
    pipe(PROMPT, height=side, width=side, num_inference_steps=1, guidance_scale=1,
         latents=load_file(latents)["latents"].to(pipe.unet.dtype))
    save_file({"prediction": seen["prediction"].contiguous(),
               "sigma": pipe.scheduler.sigmas[:1].float().contiguous()}, out)


def peak_of(command):
    """Runs it to its end; returns its peak resident memory in GiB."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            errors.seek(0)
            sys.exit(f"{' '.join(map(str, command))}: failed\n{errors.read()[-2000:].decode()}")
    return usage.ru_maxrss / 2**20


def make_model(name, folder):
    if folder.exists():
        return
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    subprocess.run([sys.executable, HERE / "make_full.py", name, part], check=True)
    part.rename(folder)


def make_view(model, view):
    """The model with another scheduler: links to all the rest."""
    view.mkdir()
    for entry in model.iterdir():
        if entry.name not in ("scheduler", "model_index.json"):
            (view / entry.name).symlink_to(entry)
    (view / "scheduler").mkdir()
    (view / "scheduler/scheduler_config.json").write_text(json.dumps(EULER))
    index = json.loads((model / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", EULER["_class_name"]]
    if index["_class_name"] == "StableDiffusionPipeline":
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None],
                  "image_encoder": [None, None], "requires_safety_checker": False}
    (view / "model_index.json").write_text(json.dumps(index))


def soda_side(args, view, latents, out):
    vae = json.loads((view / "vae/config.json").read_text())
    side = str(LATENT * 2 ** (len(vae["block_out_channels"]) - 1))
    return peak_of([args.soda, "sample", "--model", view, "--prompt", PROMPT, "--steps", "1",
                    "--guidance", "1", "--scheduler", "euler", "--width", side, "--height", side,
                    "--dtype", args.dtype, "--latents", latents, "--save-latents", out,
                    "--out", out.with_name("pictures")])


def compare(name, args, scratch):
    model = args.models.resolve() / name
    view, latents = scratch / name, scratch / "latents.safetensors"
    make_view(model, view)
    x = torch.randn(1, 4, LATENT, LATENT, generator=torch.Generator().manual_seed(1))
    save_file({"latents": x}, latents)
    rows = []
    for dtype in dict.fromkeys(("fp32", args.dtype)):
        out = scratch / f"diffusers-{dtype}.safetensors"
        peak = peak_of([sys.executable, __file__, CHILD, view, dtype, latents, out])
        tensors = load_file(out)
        rows.append((f"diffusers {dtype}", tensors["prediction"], peak))
    out = scratch / "soda.safetensors"
    peak = soda_side(args, view, latents, out)
    rows.append((f"soda {args.dtype}", x - load_file(out)["latents"] / tensors["sigma"], peak))
    exact = rows[0][1]
    for side, prediction, peak in rows:
        error = float((prediction - exact).norm() / exact.norm())
        error = "" if prediction is exact else f"{error:.2e}"
        print(f"{name:6} {side:16} {error:>10} {peak:9.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="+", choices=["sd15", "sd21", "sdxl"])
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--soda", type=Path, default=ROOT / "build/release/soda")
    parser.add_argument("--models", type=Path, default=ROOT / "build/full-size",
                        help="where model folders are kept")
    args = parser.parse_args()
    args.models.mkdir(parents=True, exist_ok=True)
    for name in args.model:
        make_model(name, args.models / name)
    print(f"{'':23} {'error':>10} {'peak GiB':>9}")
    for name in args.model:
        with tempfile.TemporaryDirectory() as scratch:
            compare(name, args, Path(scratch))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        diffusers_side(*sys.argv[2:])
    else:
        main()
