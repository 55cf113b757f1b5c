#!/usr/bin/env python3
"""Writes a model folder of full size with seeded random weights: what the real one would weigh and
cost, for checks by hand and for timing. Needs torch, diffusers, transformers and safetensors (the
versions of tests/golden/make_golden.py).

    python tests/bench/make_full.py sd15|sd21|sdxl FOLDER [--dtype fp32|fp16|bf16]

Files are written in shards of 2 GiB. The tokenizer is the small one of
configs/quickstart: its ids are valid, its vocabulary is not CLIP's.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler,
                       UNet2DConditionModel)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TOKENIZER = Path(__file__).resolve().parents[2] / "configs/quickstart/model/tokenizer"
SHARD_BYTES = 2 << 30

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP_CROSS, UP_PLAIN = "CrossAttnUpBlock2D", "UpBlock2D"
VAE = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
           down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
CLIP_L = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
              num_attention_heads=12, hidden_act="quick_gelu", projection_dim=768)

# as the published configurations say
MODELS = {
    "sd15": dict(
        unet=dict(sample_size=64, cross_attention_dim=768),
        vae=dict(VAE, sample_size=512, scaling_factor=0.18215),
        text=[CLIP_L], pad=["<|endoftext|>"],
        scheduler=PNDMScheduler(**SCHEDULE, skip_prk_steps=True, set_alpha_to_one=False)),
    "sd21": dict(
        unet=dict(sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20),
                  use_linear_projection=True, upcast_attention=True),
        vae=dict(VAE, sample_size=768, scaling_factor=0.18215),
        text=[dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23,
                   num_attention_heads=16, hidden_act="gelu", projection_dim=512)],
        pad=["!"],
        scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False,
                                prediction_type="v_prediction")),
    "sdxl": dict(
        unet=dict(sample_size=128, cross_attention_dim=2048, attention_head_dim=(5, 10, 20),
                  block_out_channels=(320, 640, 1280), down_block_types=(PLAIN, CROSS, CROSS),
                  up_block_types=(UP_CROSS, UP_CROSS, UP_PLAIN),
                  transformer_layers_per_block=(1, 2, 10), use_linear_projection=True,
                  addition_embed_type="text_time", addition_time_embed_dim=256,
                  projection_class_embeddings_input_dim=2816),
        vae=dict(VAE, sample_size=1024, scaling_factor=0.13025),
        text=[CLIP_L, dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32,
                           num_attention_heads=20, hidden_act="gelu", projection_dim=1280)],
        pad=["<|endoftext|>", "!"],
        scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading")),
}


def random_tensor(name, shape, generator, dtype):
    """Scaled so that activations stay near 1 through some hundred layers."""
    noise = torch.randn(shape, generator=generator)
    if "embedding.weight" in name and "linear" not in name:
        noise *= 0.5
    elif len(shape) >= 2:
        noise /= noise[0].numel() ** 0.5
    elif name.endswith("weight"):
        noise = 1 + 0.1 * noise
    else:
        noise *= 0.1
    return noise.to(dtype)


def save_random(model, folder, stem, seed, dtype):
    """`model` is on the meta device: its tensors have shapes and no values."""
    generator = torch.Generator().manual_seed(seed)
    shards, sizes = [[]], [0]
    state = model.state_dict()
    for name, meta in state.items():
        bytes_ = meta.numel() * torch.empty(0, dtype=dtype).element_size()
        if sizes[-1] + bytes_ > SHARD_BYTES and shards[-1]:
            shards.append([])
            sizes.append(0)
        shards[-1].append(name)
        sizes[-1] += bytes_
    places = {}
    for i, names in enumerate(shards):
        file = (f"{stem}.safetensors" if len(shards) == 1 else
                f"{stem}-{i + 1:05d}-of-{len(shards):05d}.safetensors")
        save_file({n: random_tensor(n, state[n].shape, generator, dtype) for n in names},
                  folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
    if len(shards) > 1:
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(
            {"metadata": {"total_size": sum(sizes)}, "weight_map": places}, indent=1) + "\n")
    print(f"{folder.name}: {sum(t.numel() for t in state.values()):,} parameters, "
          f"{sum(sizes) / 2**30:.2f} GiB")


def copy_tokenizer(folder, pad):
    shutil.copytree(TOKENIZER, folder)
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        keys = json.loads((folder / file).read_text()) | {"pad_token": pad}
        if file == "tokenizer_config.json":
            keys["model_max_length"] = 77
        (folder / file).write_text(json.dumps(keys, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=["fp32", "fp16", "bf16"], default="fp32")
    args = parser.parse_args()
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[args.dtype]
    spec, root = MODELS[args.model], args.folder
    root.mkdir(parents=True)
    xl = args.model == "sdxl"
    index = {"_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline",
             "_diffusers_version": "0.42.1", "unet": ["diffusers", "UNet2DConditionModel"],
             "vae": ["diffusers", "AutoencoderKL"],
             "scheduler": ["diffusers", type(spec["scheduler"]).__name__]}
    with torch.device("meta"):
        parts = [("unet", UNet2DConditionModel(**spec["unet"])),
                 ("vae", AutoencoderKL(**spec["vae"]))]
    for seed, (name, model) in enumerate(parts):
        model.save_config(root / name)
        save_random(model, root / name, "diffusion_pytorch_model", seed, dtype)
    for i, keys in enumerate(spec["text"]):
        suffix = "_2" if i else ""
        cls = CLIPTextModelWithProjection if i else CLIPTextModel
        config = CLIPTextConfig(**keys, eos_token_id=2, pad_token_id=1, bos_token_id=0,
                                architectures=[cls.__name__])
        with torch.device("meta"):
            model = cls(config)
        config.save_pretrained(root / f"text_encoder{suffix}")
        save_random(model, root / f"text_encoder{suffix}", "model", 10 + i, dtype)
        copy_tokenizer(root / f"tokenizer{suffix}", spec["pad"][i])
        index[f"text_encoder{suffix}"] = ["transformers", cls.__name__]
        index[f"tokenizer{suffix}"] = ["transformers", "CLIPTokenizer"]
    if xl:
        index["force_zeros_for_empty_prompt"] = True
    spec["scheduler"].save_pretrained(root / "scheduler")
    (root / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
