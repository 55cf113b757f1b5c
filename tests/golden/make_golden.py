#!/usr/bin/env python3
"""Writes the tiny random models of this folder and what PyTorch computes with them.

Run by hand, with torch 2.15.0 (CPU), diffusers 0.42.1, transformers 5.23.0, safetensors 0.8.0:

    python tests/golden/make_golden.py [sd1] [sd2] [sdxl]

Per family F, all seeded:
  tiny-F/                     a model folder in the diffusers layout
  F-components.safetensors    one call of each network; pictures and latents are [N,C,H,W]
    unet.I.{sample,timestep,encoder_hidden_states,[text_embeds,time_ids,]prediction}
    vae.decode.I.{latents,image}   vae.encode.I.{pixels,mean,logvar}
    text_encoder[_2].I.{input_ids,last_hidden_state,penultimate,pooled,[text_embeds]}
    and beside each output X: X.bf16_error [1], the relative L2 distance of PyTorch's bf16 from
    its fp32, over inputs near the stored ones; the tests allow 1.5 times that
  F-pipelines.safetensors     25 steps at guidance 7.5 of each sampler S, from the same start
    latents [2,4,h,w] unit normal, before init_noise_sigma; S.latents before the VAE, in the
    scale of the U-Net; S.picture u8 [2,H,W,3]. Metadata "call" is JSON with prompts, negative,
    steps, guidance.
"""

import json
import shutil
import sys
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import (AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler,
                       EulerDiscreteScheduler, PNDMScheduler, StableDiffusionPipeline,
                       StableDiffusionXLPipeline, UNet2DConditionModel)
from safetensors.torch import load_file, save_file
from transformers import (CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection,
                          CLIPTokenizer)

HERE = Path(__file__).resolve().parent
TOKENIZER = HERE.parent.parent / "configs/quickstart/model/tokenizer"  # the merges come from it
MERGES = 126  # enough for words of the prompts to be one to four tokens
VOCABULARY = 512 + MERGES + 2
BOS, EOS = VOCABULARY - 2, VOCABULARY - 1
TOKENS = 19  # model_max_length: not the real 77, and odd

PROMPTS = ["a photo of a red cat", "two small houses, one tree & a long, long road to the sea"]
NEGATIVE = "blurry"


def randomise(module, seed, gain=1.0):
    """Weights that keep activations near 1, and norms and biases that are not trivial."""
    g = torch.Generator().manual_seed(seed)
    for name, p in module.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        if "embedding.weight" in name and p.dim() == 2 and "linear" not in name:
            value = 0.5 * noise
        elif p.dim() >= 2:
            value = gain * noise / (p[0].numel() ** 0.5)
        elif name.endswith("weight"):
            value = 1 + 0.2 * noise
        else:
            value = 0.1 * noise
        p.data.copy_(value)
    return module.eval()


def write_tokenizer(folder, pad):
    folder.mkdir(parents=True)
    vocabulary = list(json.loads((TOKENIZER / "vocab.json").read_text()))[:512 + MERGES]
    lines = (TOKENIZER / "merges.txt").read_text().splitlines()
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: i for i, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False) + "\n")
    (folder / "merges.txt").write_text("\n".join(lines[:1 + MERGES]) + "\n")
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
             "unk_token": "<|endoftext|>", "pad_token": pad}
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=1) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        names | {"model_max_length": TOKENS, "do_lower_case": True, "add_prefix_space": False,
                 "errors": "replace", "tokenizer_class": "CLIPTokenizer"}, indent=1) + "\n")


def text_config(**keys):
    return CLIPTextConfig(vocab_size=VOCABULARY, max_position_embeddings=TOKENS + 2,
                          bos_token_id=BOS, pad_token_id=1, **keys)


SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                num_train_timesteps=1000, steps_offset=1)

FAMILIES = {
    "sd1": dict(
        xl=False, seed=100, dtype=torch.float32, size=(10, 6),
        unet=dict(sample_size=8, block_out_channels=(12, 20, 28), layers_per_block=1,
                  down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                  up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                  attention_head_dim=2, cross_attention_dim=24, norm_num_groups=4),
        vae=dict(block_out_channels=(8, 12, 16), layers_per_block=1, norm_num_groups=4,
                 sample_size=32, scaling_factor=0.18215),
        text=[dict(hidden_size=24, intermediate_size=56, num_hidden_layers=2,
                   num_attention_heads=3, hidden_act="quick_gelu", eos_token_id=2,
                   projection_dim=24)],
        pad=["<|endoftext|>"],
        scheduler=PNDMScheduler(**SCHEDULE, skip_prk_steps=True, set_alpha_to_one=False)),
    "sd2": dict(
        xl=False, seed=200, dtype=torch.float16, size=(6, 14),
        # 24 channels in 5 heads of 4, 40 in 3 of 13: what does not divide is cut between the
        # projections
        unet=dict(sample_size=8, block_out_channels=(16, 24, 40), layers_per_block=(1, 2, 1),
                  down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                  up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                  attention_head_dim=(1, 5, 3), cross_attention_dim=40, norm_num_groups=8,
                  use_linear_projection=True, upcast_attention=True),
        vae=dict(block_out_channels=(8, 12, 24), layers_per_block=2, norm_num_groups=4,
                 sample_size=32, scaling_factor=0.18215),
        text=[dict(hidden_size=40, intermediate_size=72, num_hidden_layers=3,
                   num_attention_heads=2, hidden_act="gelu", eos_token_id=EOS,
                   projection_dim=16)],
        pad=["!"],
        scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False,
                                prediction_type="v_prediction")),
    "sdxl": dict(
        xl=True, seed=300, dtype=torch.bfloat16, size=(8, 12),
        unet=dict(sample_size=8, block_out_channels=(12, 20, 28), layers_per_block=1,
                  down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                  up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                  attention_head_dim=(1, 5, 2), cross_attention_dim=40, norm_num_groups=4,
                  transformer_layers_per_block=(1, 2, 3), use_linear_projection=True,
                  addition_embed_type="text_time", addition_time_embed_dim=12,
                  projection_class_embeddings_input_dim=6 * 12 + 20),
        vae=dict(block_out_channels=(8, 24), layers_per_block=1, norm_num_groups=8,
                 sample_size=16, scaling_factor=0.13025, mid_block_add_attention=True),
        text=[dict(hidden_size=16, intermediate_size=40, num_hidden_layers=2,
                   num_attention_heads=2, hidden_act="quick_gelu", eos_token_id=2,
                   projection_dim=16),
              dict(hidden_size=24, intermediate_size=48, num_hidden_layers=3,
                   num_attention_heads=2, hidden_act="gelu", eos_token_id=EOS,
                   projection_dim=20)],
        pad=["<|endoftext|>", "!"],
        scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading")),
}
SAMPLERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler,
            "dpmpp_2m": DPMSolverMultistepScheduler, "pndm": PNDMScheduler}


def trim_config(path, drop=()):
    """Drops what depends on where and with what the file was made, and the keys in `drop`."""
    config = json.loads(path.read_text())
    for key in ["_name_or_path", "transformers_version", "torch_dtype", *drop]:
        config.pop(key, None)
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def save_text(model, folder, old):
    """old: as transformers before 4.31 wrote it, with the prefix and the constant position_ids."""
    model.save_pretrained(folder)
    if old:
        file = folder / "model.safetensors"
        tensors = {"text_model." + name.removeprefix("text_model."): t
                   for name, t in load_file(file).items()}
        tensors["text_model.embeddings.position_ids"] = torch.arange(TOKENS + 2)[None]
        save_file(tensors, file, metadata={"format": "pt"})
    trim_config(folder / "config.json")


def save_vae(vae, folder, old):
    """old: as diffusers before 0.15 named the attention of the middle block."""
    vae.save_pretrained(folder)
    if old:
        file = folder / "diffusion_pytorch_model.safetensors"
        names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        tensors = load_file(file)
        for name in list(tensors):
            for new, was in names.items():
                if f".attentions.0.{new}." in name:
                    tensors[name.replace(new, was)] = tensors.pop(name)
        save_file(tensors, file, metadata={"format": "pt"})
    trim_config(folder / "config.json")


def make_model(name, family):
    folder, seed, dtype = HERE / f"tiny-{name}", family["seed"], family["dtype"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    old = name == "sd1"
    unet = randomise(UNet2DConditionModel(**family["unet"]), seed).to(dtype)
    unet.save_pretrained(folder / "unet", max_shard_size="250KB" if name == "sdxl" else "10GB")
    # sd1 leaves what the constructor's defaults say
    trim_config(folder / "unet/config.json", drop=[
        key for key, value in json.loads((folder / "unet/config.json").read_text()).items()
        if old and key not in family["unet"] and not key.startswith("_")])
    vae = AutoencoderKL(**family["vae"], down_block_types=["DownEncoderBlock2D"] * len(
        family["vae"]["block_out_channels"]), up_block_types=["UpDecoderBlock2D"] * len(
        family["vae"]["block_out_channels"]))
    save_vae(randomise(vae, seed + 1).to(dtype), folder / "vae", old)
    index = {"_class_name": "StableDiffusionXLPipeline" if family["xl"] else
             "StableDiffusionPipeline", "_diffusers_version": "0.42.1",
             "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
             "scheduler": ["diffusers", type(family["scheduler"]).__name__]}
    if family["xl"]:
        index["force_zeros_for_empty_prompt"] = True
    else:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None],
                  "requires_safety_checker": False}
    for i, keys in enumerate(family["text"]):
        suffix = ["", "_2"][i]
        cls = CLIPTextModelWithProjection if suffix else CLIPTextModel
        text = randomise(cls(text_config(**keys)), seed + 2 + i, gain=1.5).to(dtype)
        save_text(text, folder / f"text_encoder{suffix}", old)
        write_tokenizer(folder / f"tokenizer{suffix}", family["pad"][i])
        index[f"text_encoder{suffix}"] = ["transformers", cls.__name__]
        index[f"tokenizer{suffix}"] = ["transformers", "CLIPTokenizer"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    family["scheduler"].save_pretrained(folder / "scheduler")
    # DDIM would clip by default: on random networks that is chaos, fp32 ends far from fp64
    file = folder / "scheduler/scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"clip_sample": False}, indent=1,
                               sort_keys=True) + "\n")
    return folder


def load(folder, family, dtype):
    """From the files, so that the goldens do not depend on how the folder was made."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype).eval()
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).eval()
    texts = []
    for i in range(len(family["text"])):
        cls = CLIPTextModelWithProjection if i else CLIPTextModel
        texts.append(cls.from_pretrained(folder / ["text_encoder", "text_encoder_2"][i],
                                         torch_dtype=dtype).eval())
    return unet, vae, texts


def component_cases(family):
    """(name, inputs): sizes are unequal and mostly not what the networks divide by."""
    g = torch.Generator().manual_seed(family["seed"] + 50)
    randn = lambda *shape: torch.randn(shape, generator=g)
    unet = family["unet"]
    sizes = [(2, 8, 12, TOKENS), (1, 7, 9, 5), (3, 6, 11, 11)]
    for i, (n, h, w, t) in enumerate(sizes):
        case = {"sample": randn(n, 4, h, w), "timestep": torch.tensor([981.0, 1.0, 333.25])[:n],
                "encoder_hidden_states": randn(n, t, unet["cross_attention_dim"])}
        if family["xl"]:
            case["text_embeds"] = randn(n, family["text"][1]["projection_dim"])
            case["time_ids"] = torch.tensor([[1024.0, 768, 0, 4, 1024, 832], [32, 32, 0, 0, 40, 24],
                                             [512, 513, 7, 0, 511, 510]])[:n]
        yield f"unet.{i}", case
    factor = 2 ** (len(family["vae"]["block_out_channels"]) - 1)
    for i, (n, h, w) in enumerate([(2, 5, 7), (1, 8, 6)]):
        yield f"vae.decode.{i}", {"latents": 2 * randn(n, 4, h, w)}
    for i, (n, h, w) in enumerate([(2, 5 * factor, 6 * factor), (1, 37, 26)]):
        yield f"vae.encode.{i}", {"pixels": randn(n, 3, h, w).clamp(-1, 1)}
    for i in range(len(family["text"])):
        for j, (n, t) in enumerate([(2, TOKENS), (3, 8)]):
            ids = torch.randint(0, BOS, (n, t), generator=g)
            ids[:, 0] = BOS
            for row in range(n):
                end = 3 + 2 * row
                ids[row, end] = EOS
                ids[row, end + 1:] = EOS if family["pad"][i] != "!" else 0
            yield ["text_encoder", "text_encoder_2"][i] + f".{j}", {"input_ids": ids}


@torch.no_grad()
def run_component(name, case, models):
    unet, vae, texts = models
    dtype = unet.dtype
    cast = {k: v.to(dtype) if v.is_floating_point() and k not in ("timestep", "time_ids") else v
            for k, v in case.items()}
    if name.startswith("unet"):
        added = {k: cast[k] for k in ("text_embeds", "time_ids") if k in cast} or None
        out = unet(cast["sample"], cast["timestep"], cast["encoder_hidden_states"],
                   added_cond_kwargs=added).sample
        return {"prediction": out}
    if name.startswith("vae.decode"):
        return {"image": vae.decode(cast["latents"]).sample}
    if name.startswith("vae.encode"):
        moments = vae.encode(cast["pixels"]).latent_dist
        return {"mean": moments.mean, "logvar": moments.logvar}
    text = texts[name.startswith("text_encoder_2")]
    out = text(cast["input_ids"], output_hidden_states=True)
    result = {"last_hidden_state": out.last_hidden_state, "penultimate": out.hidden_states[-2]}
    if isinstance(text, CLIPTextModelWithProjection):
        result["text_embeds"] = out.text_embeds
        plain = text.text_model(cast["input_ids"])
        result["pooled"] = plain.pooler_output
    else:
        result["pooled"] = out.pooler_output
    return result


def distance(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


@torch.no_grad()
def bf16_errors(name, case, exact, half):
    """What bf16 costs PyTorch: root mean square over 16 inputs near by, as one draw is luck."""
    g = torch.Generator().manual_seed(7)
    errors = {}
    for _ in range(16):
        near = {k: v + 0.01 * torch.randn(v.shape, generator=g)
                if v.is_floating_point() and k not in ("timestep", "time_ids") else v
                for k, v in case.items()}
        want, rough = (run_component(name, near, m) for m in (exact, half))
        for key in want:
            errors.setdefault(key, []).append(distance(rough[key], want[key]))
    return {k: float(torch.tensor(e).square().mean().sqrt()) for k, e in errors.items()}


def make_components(name, folder, family):
    exact, half, double = (load(folder, family, t)
                           for t in (torch.float32, torch.bfloat16, torch.float64))
    tensors = {}
    for case_name, case in component_cases(family):
        want = run_component(case_name, case, exact)
        errors = bf16_errors(case_name, case, exact, half)
        wide = run_component(case_name, case, double)
        for key, value in case.items():
            value = value.to(torch.int32) if key == "input_ids" else value
            tensors[f"{case_name}.{key}"] = value.contiguous()
        for key, value in want.items():
            error = errors[key]
            tensors[f"{case_name}.{key}"] = value.float().contiguous()
            tensors[f"{case_name}.{key}.bf16_error"] = torch.tensor([error])
            print(f"{name} {case_name}.{key} rms {value.square().mean().sqrt():.3f} "
                  f"fp32 error {distance(value, wide[key]):.1e} bf16 error {error:.1e}")
    save_file(tensors, HERE / f"{name}-components.safetensors")


@torch.no_grad()
def run_pipeline(folder, family, sampler, latents, dtype, tokenizers):
    unet, vae, texts = load(folder, family, dtype)
    scheduler = type(family["scheduler"]).from_pretrained(folder / "scheduler")
    h, w = latents.shape[2:]
    factor = 2 ** (len(family["vae"]["block_out_channels"]) - 1)
    call = dict(prompt=PROMPTS, height=h * factor, width=w * factor, num_inference_steps=25,
                guidance_scale=7.5, latents=latents.to(dtype))
    if family["xl"]:
        pipe = StableDiffusionXLPipeline(vae, texts[0], texts[1], tokenizers[0], tokenizers[1],
                                         unet, scheduler, force_zeros_for_empty_prompt=True,
                                         add_watermarker=False)
    else:
        pipe = StableDiffusionPipeline(vae, texts[0], tokenizers[0], unet, scheduler, None, None,
                                       requires_safety_checker=False)
        call["negative_prompt"] = [NEGATIVE] * len(PROMPTS)
    pipe.scheduler = SAMPLERS[sampler].from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    final = pipe(output_type="latent", **call).images
    picture = vae.decode(final / vae.config.scaling_factor).sample
    picture = (picture / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    return final, (picture * 255).round().to(torch.uint8), picture


def make_pipelines(name, folder, family):
    g = torch.Generator().manual_seed(family["seed"] + 60)
    latents = torch.randn((len(PROMPTS), 4, *family["size"]), generator=g)
    tokenizers = [CLIPTokenizer.from_pretrained(folder / part)
                  for part in ["tokenizer", "tokenizer_2"][:len(family["text"])]]
    tensors = {"latents": latents}
    for sampler in SAMPLERS:
        final, picture, exact = run_pipeline(folder, family, sampler, latents, torch.float32,
                                             tokenizers)
        wide, _, wide_picture = run_pipeline(folder, family, sampler, latents, torch.float64,
                                             tokenizers)
        tensors[f"{sampler}.latents"] = final.contiguous()
        tensors[f"{sampler}.picture"] = picture.contiguous()
        inside = ((exact > 0) & (exact < 1)).float().mean()
        print(f"{name} {sampler}: rms {final.square().mean().sqrt():.3f} fp32 error "
              f"{distance(final, wide):.1e} picture off by {(exact - wide_picture).abs().max():.1e}"
              f" unsaturated {inside:.2f}")
    call = {"prompts": PROMPTS, "negative": None if family["xl"] else NEGATIVE, "steps": 25,
            "guidance": 7.5}
    save_file(tensors, HERE / f"{name}-pipelines.safetensors", metadata={"call": json.dumps(call)})


def main():
    torch.set_num_threads(1)  # sums in one order
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in sys.argv[1:] or FAMILIES:
        family = FAMILIES[name]
        folder = make_model(name, family)
        make_components(name, folder, family)
        make_pipelines(name, folder, family)


if __name__ == "__main__":
    main()
