#!/usr/bin/env python3
"""Writes training/*.batch.safetensors and training/*.out.safetensors: training steps in PyTorch, as
`soda replay training/NAME.yaml --batch NAME.batch.safetensors --out FILE --steps 3` does them.

Run by hand, with torch 2.15.0 (CPU), diffusers 0.42.1, safetensors 0.8.0, PyYAML 6.0:

    python tests/golden/check_reference.py && python tests/golden/make_training.py [NAME]...

training/NAME.yaml is the run, written by hand; CASES says what the batch holds. The steps run in
fp64 from the folder's weights and are stored in fp32, so that rounding is all on the other side. A
batch is what `--batch` takes, an out file what `--out` gives: prediction, loss [3], and of every
trainable tensor grad.NAME (first step, before clipping) and updated.NAME (after 3 steps). Also:

    fp32_error.prediction   [1]  what the same code in PyTorch's fp32 is off by: relative L2
    fp32_error.loss         [1]  largest relative error of a step
    fp32_error.grad         [2]  relative L2 over all tensors together; the worst tensor by itself
    fp32_error.updated      [2]  L2 over all tensors together, relative to their movement; the
                                 largest absolute error of an element
    bf16_error.*                 the same of bf16, in runs with dtype bf16: root mean square over
                                 16 inputs near the stored ones, as one draw is luck. The U-Net and
                                 its weights are bf16; adapters and optimizers are fp32, and R and
                                 Ws are formed in fp32 and cast once.
"""

import sys
from pathlib import Path

import torch
import yaml
from diffusers import UNet2DConditionModel
from diffusers.utils import logging
from safetensors.torch import save_file

from soda_reference import Optimizer, adapt

HERE = Path(__file__).resolve().parent
STEPS, NEAR = 3, 16
NAMES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp64": torch.float64}
PARTS = ("prediction", "loss", "grad", "updated")

WHOLE, FRACTIONAL = [981, 1, 333], [20.5, 998.0, 333.25]

# images, latent height and width, tokens, weights, timesteps, and where adapters start: "config"
# (identity and delta_init), "random" (any rotation, some closed gates), or "some" (every third
# layer of them random, the rest from the configuration)
CASES = {
    "sd1-svd": dict(size=(2, 7, 9, 5), weight=None, timestep=WHOLE, start="config"),
    "sd1-svd-random": dict(size=(3, 8, 5, 7), weight=[0.25, 0.0, 3.0], timestep=FRACTIONAL,
                           start="random"),
    "sd1-lq": dict(size=(2, 6, 11, 11), weight=[0.5, 1.25], timestep=FRACTIONAL, start="config"),
    "sd1-lq-random": dict(size=(3, 5, 9, 4), weight=None, timestep=WHOLE, start="random"),
    "sd2-svd": dict(size=(2, 8, 12, 19), weight=[2.0, 0.125], timestep=WHOLE, start="some"),
    "sd2-svd-random": dict(size=(2, 9, 7, 6), weight=None, timestep=FRACTIONAL, start="random"),
    "sd2-lq": dict(size=(3, 7, 7, 3), weight=[1.5, 0.5, 0.75], timestep=FRACTIONAL,
                   start="config"),
    "sd2-lq-random": dict(size=(1, 10, 6, 8), weight=[9.0], timestep=WHOLE, start="random"),
    "sdxl-svd": dict(size=(2, 5, 7, 9), weight=[0.75, 2.5], timestep=FRACTIONAL, start="config"),
    "sdxl-svd-random": dict(size=(2, 8, 6, 5), weight=None, timestep=WHOLE, start="random"),
    "sdxl-lq": dict(size=(3, 6, 9, 4), weight=[0.5, 1.0, 0.25], timestep=WHOLE, start="config"),
    "sdxl-lq-random": dict(size=(2, 9, 5, 6), weight=None, timestep=FRACTIONAL, start="random"),
    "sd2-svd-bf16": dict(size=(2, 8, 10, 7), weight=None, timestep=WHOLE, start="random"),
    "sd1-lq-bf16": dict(size=(2, 7, 8, 6), weight=[0.5, 1.5], timestep=FRACTIONAL, start="random"),
}

DEFAULTS = {
    "adapter": {"targets": ["attn"], "factors": "paper", "delta_init": 0.0},
    "train": {"steps": 1000, "dtype": "fp32", "clip": 1.0,
              "optimizer": {"rotation": {"type": "adam", "lr": 5e-5, "betas": [0.9, 0.999],
                                         "eps": 1e-5, "momentum": 0.9, "dampening": 0.0,
                                         "retraction": "euler", "metric": "canonical"},
                            "spectrum": {"lr": 5e-5, "betas": [0.9, 0.999], "eps": 1e-8,
                                         "weight_decay": 1e-4}},
              "schedule": {"type": "constant", "warmup": 0}},
}


def with_defaults(given, defaults):
    merged = defaults | given
    for key, value in defaults.items():
        if isinstance(value, dict) and key in given:
            merged[key] = with_defaults(given[key], value)
    return merged


def load_unet(config, dtype):
    return UNet2DConditionModel.from_pretrained(HERE / "training" / config["model"] / "unet",
                                                torch_dtype=dtype).eval()


def values(tensors):
    return {name: t.detach().double().clone() for name, t in tensors.items()}


class Run:
    """The network of a run in `dtype`, adapted; adapters of a bf16 network are fp32."""

    def __init__(self, config, exact, dtype):
        self.config, self.dtype = config, dtype
        self.net = load_unet(config, dtype)
        weights = {name: module.weight for name, module in exact.named_modules()
                   if isinstance(module, torch.nn.Linear)}
        adapters = torch.float32 if dtype == torch.bfloat16 else dtype
        self.trainable = adapt(self.net, config["adapter"], weights, adapters)
        self.initial = {n: p.detach().clone() for n, p in self.trainable.items()}

    def reset(self, batch):
        for name, parameter in self.trainable.items():
            parameter.data.copy_(batch.get(name, self.initial[name]))
            parameter.grad = None

    def predict(self, batch):
        added = {"text_embeds": batch["text_embeds"].to(self.dtype),
                 "time_ids": batch["time_ids"]} if "time_ids" in batch else None
        return self.net(batch["sample"].to(self.dtype), batch["timestep"],
                        batch["encoder_hidden_states"].to(self.dtype),
                        added_cond_kwargs=added).sample

    def loss(self, batch):
        prediction = self.predict(batch)
        wide = prediction.double() if self.dtype == torch.float64 else prediction.float()
        image = (wide - batch["target"].to(wide.dtype)).square().mean(dim=(1, 2, 3))
        return (image * batch.get("weight", torch.ones(len(image)))).mean(), prediction

    def replay(self, batch, steps=STEPS):
        self.reset(batch)
        start = values(self.trainable)
        optimizer = Optimizer(self.trainable, self.config["train"])
        losses, norms, margin = [], [], float("inf")
        for i in range(steps):
            loss, prediction = self.loss(batch)
            loss.backward()
            losses.append(loss.detach().double())
            if i == 0:
                first = prediction.detach().double()
                gradients = values({n: p.grad for n, p in self.trainable.items()})
            margin = min(margin, self.gate_margin())
            norms.append(optimizer.step())
        return {"prediction": first, "loss": torch.stack(losses), "grad": gradients,
                "updated": values(self.trainable), "start": start, "norms": norms,
                "margin": margin}

    def gate_margin(self):
        """The smallest |s + delta|: how near a gate is to switching."""
        return min((float((m.s + m.delta).detach().abs().min()) for m in self.net.modules()
                    if hasattr(m, "Vh")), default=float("inf"))


def random_start(run, case, generator):
    """Any rotations, and deltas near 0.1 that close about one gate in six of an SVD; no gate is so
    near to switching that rounding decides."""
    tensors = {}
    for index, (name, parameter) in enumerate(run.trainable.items()):
        if case["start"] == "config" or case["start"] == "some" and index // 4 % 3:
            continue
        shape = parameter.shape
        if name.endswith("delta"):
            layer = run.net.get_submodule(name.removeprefix("unet.").removesuffix(".soda.delta"))
            value = 0.1 * torch.randn(shape, generator=generator)
            closed = torch.rand(shape, generator=generator) < 1 / 6
            if layer.method == "soda_svd":
                s = layer.s.float()
                value = torch.where(closed, -s - 0.1 - value.abs(), value.maximum(0.05 - s))
        else:
            value, r = torch.linalg.qr(torch.randn(shape, generator=generator).double())
            value = value * torch.where(r.diagonal() < 0, -1.0, 1.0)  # uniform over O(n)
            value[:, 0] *= torch.linalg.det(value).sign()
        tensors[name] = value.float().contiguous()
    return tensors


def make_batch(name, case, run):
    g = torch.Generator().manual_seed(1000 + list(CASES).index(name))
    randn = lambda *shape: torch.randn(shape, generator=g)
    (n, h, w, t), config = case["size"], run.net.config
    batch = {"sample": randn(n, 4, h, w), "target": randn(n, 4, h, w),
             "timestep": torch.tensor(case["timestep"][:n]),
             "encoder_hidden_states": randn(n, t, config.cross_attention_dim)}
    if case["weight"]:
        batch["weight"] = torch.tensor(case["weight"])
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        batch["text_embeds"] = randn(n, pooled)
        batch["time_ids"] = torch.tensor([[1024.0, 768, 0, 4, 1024, 832], [32, 32, 0, 0, 40, 24],
                                          [512, 513, 7, 0, 511, 510]])[:n]
    return batch | random_start(run, case, g)


def distance(a, b):
    return float((a - b).norm() / b.norm())


def together(tensors):
    return torch.cat([t.flatten() for t in tensors.values()])


def errors(got, want):
    movement = together(want["updated"]) - together(want["start"])
    off = together(got["updated"]) - together(want["updated"])
    return {"prediction": [distance(got["prediction"], want["prediction"])],
            "loss": [float(((got["loss"] - want["loss"]) / want["loss"]).abs().max())],
            "grad": [distance(together(got["grad"]), together(want["grad"])),
                     max(distance(got["grad"][n], g) for n, g in want["grad"].items() if g.any())],
            "updated": [float(off.norm() / movement.norm()), float(off.abs().max())]}


def near_errors(rough, exact, batch):
    g = torch.Generator().manual_seed(7)
    rows = {part: [] for part in PARTS}
    for _ in range(NEAR):
        near = batch | {k: batch[k] + 0.01 * torch.randn(batch[k].shape, generator=g) for k in
                        ("sample", "target", "encoder_hidden_states", "text_embeds") if k in batch}
        for part, values in errors(rough.replay(near), exact.replay(near)).items():
            rows[part].append(values)
    return {part: torch.tensor(r).square().mean(0).sqrt().tolist() for part, r in rows.items()}


def make_case(name):
    text = (HERE / "training" / f"{name}.yaml").read_text()
    config = with_defaults(yaml.safe_load(text), DEFAULTS)
    exact_net = load_unet(config, torch.float64)
    exact = Run(config, exact_net, torch.float64)
    batch = make_batch(name, CASES[name], exact)
    want = exact.replay(batch)
    out = {"prediction": want["prediction"], "loss": want["loss"]}
    for part in ("grad", "updated"):
        out |= {f"{part}.{n}": t for n, t in want[part].items()}
    found = {"fp32": errors(Run(config, exact_net, torch.float32).replay(batch), want)}
    if config["train"]["dtype"] == "bf16":
        found["bf16"] = near_errors(Run(config, exact_net, torch.bfloat16), exact, batch)
    out |= {f"{kind}_error.{part}": torch.tensor(values) for kind, parts in found.items()
            for part, values in parts.items()}
    save_file(batch, HERE / "training" / f"{name}.batch.safetensors")
    save_file({k: v.float().contiguous() for k, v in out.items()},
              HERE / "training" / f"{name}.out.safetensors")
    losses = [f"{v:.5f}" for v in want["loss"].tolist()]
    print(f"{name}: {len(want['grad'])} tensors, loss {losses} "
          f"norms {[f'{v:.3f}' for v in want['norms']]} gates nearest {want['margin']:.1e}")
    for kind, parts in found.items():
        print(f"  {kind} errors", {p: [f"{v:.1e}" for v in values] for p, values in parts.items()})


def main():
    torch.set_num_threads(1)  # sums in one order
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for name in sys.argv[1:] or CASES:
        make_case(name)


if __name__ == "__main__":
    main()
