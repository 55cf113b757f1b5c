#!/usr/bin/env python3
"""Writes export/FAMILY.safetensors: what diffusers draws from a folder that `soda export --to
diffusers` wrote, for adapters that soda trained (text encoders too).

    python tests/golden/make_export.py build/release/soda        (versions: make_golden.py)

export/FAMILY-adapter.safetensors   trained here, a few steps with large learning rates
export/FAMILY.safetensors           latents [2,4,h,w] unit normal, and final [2,4,h,w], the latents
                                    that diffusers' own pipeline ends with: 10 steps at guidance 5
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
PROMPTS = ["a red fox", "snow on the hill"]
FAMILIES = {"sd1": ("soda_svd", StableDiffusionPipeline, (8, 8)),
            "sdxl": ("soda_lq", StableDiffusionXLPipeline, (8, 12))}


def train(soda, name, method, work):
    (work / "run.yaml").write_text(f"""
model: {HERE}/tiny-{name}
data: {{path: {HERE.parents[1]}/configs/quickstart/images/train, resolution: 64}}
adapter: {{method: {method}, text_encoder: true}}
train:
  steps: 12
  batch: 2
  optimizer: {{rotation: {{lr: 3.0e-2}}, spectrum: {{lr: 3.0e-2}}}}
output: run
""")
    subprocess.run([soda, "train", work / "run.yaml"], check=True)
    adapter = HERE / "export" / f"{name}-adapter.safetensors"
    adapter.write_bytes((work / "run" / "adapter.safetensors").read_bytes())
    return adapter


@torch.no_grad()
def main():
    soda = Path(sys.argv[1]).resolve()
    torch.set_num_threads(1)
    for name, (method, pipeline, size) in FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            adapter = train(soda, name, method, work)
            extra = {} if name == "sdxl" else {"safety_checker": None}
            # tiny-sdxl is bf16, and so would be its export: the same values in fp32 are not rounded
            pipeline.from_pretrained(HERE / f"tiny-{name}", dtype=torch.float32,
                                     **extra).save_pretrained(work / "wide")
            for what in (["adapter", "--out", work / "wide.safetensors"],
                         ["diffusers", "--out", work / "merged"]):
                source = adapter if what[0] == "adapter" else work / "wide.safetensors"
                subprocess.run([soda, "export", source, "--model", work / "wide", "--to", *what],
                               check=True)
            pipe = pipeline.from_pretrained(work / "merged", dtype=torch.float32, **extra)
            pipe.set_progress_bar_config(disable=True)
            latents = torch.randn((2, 4, *size), generator=torch.Generator().manual_seed(3))
            factor = pipe.vae_scale_factor
            final = pipe(prompt=PROMPTS, height=size[0] * factor, width=size[1] * factor,
                         num_inference_steps=10, guidance_scale=5.0, latents=latents.clone(),
                         output_type="latent").images
            save_file({"latents": latents, "final": final.contiguous()},
                      HERE / "export" / f"{name}.safetensors")
            print(f"{name}: rms {final.square().mean().sqrt():.3f}")


if __name__ == "__main__":
    main()
