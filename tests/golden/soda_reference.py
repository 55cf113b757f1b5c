"""SODA in PyTorch, slow and plain: what the references of training and the benches compare with.

    y = (x R) Ws' + b,  R = (R1 x R2) x R3 formed densely                    arXiv:2405.21050
    SVD  Ws = U diag(relu(s + delta)) Vh        LQ  Ws = W0 + diag(delta) Q

Written from the formulas, without a line of the program or of the authors.
"""

import re

import torch
from diffusers.optimization import get_scheduler
from torch.nn import functional

# table T1 of the method: the script the authors published
PAPER = {640: [8, 8, 10], 768: [6, 8, 16], 1280: [4, 16, 20], 2048: [4, 8, 64]}
ATTENTION = r"\.(to_q|to_k|to_v|to_out\.0)$"
FACTORS = ("R1", "R2", "R3")


def balanced(n):
    e = 0
    while 8 ** (e + 1) <= n:
        e += 1
    side = 2 ** e
    if n % side ** 2 == 0:
        return [side, side, n // side ** 2]
    triples = [(a, b, n // (a * b)) for a in range(1, n + 1) for b in range(a, n // a + 1)
               if n % (a * b) == 0 and n // (a * b) >= b]
    return list(min(triples, key=lambda t: (sum(v * v for v in t), t[0])))


def factor_sizes(rule, n):
    """`rule` as in a run's adapter.factors: paper, balanced, or a map; the rest is balanced."""
    if isinstance(rule, dict) and n in rule:
        return rule[n]
    return PAPER[n] if rule == "paper" and n in PAPER else balanced(n)


def svd_basis(weight):
    u, s, vh = torch.linalg.svd(weight.double(), full_matrices=False)
    return {"U": u, "s": s, "Vh": vh}


def lq_basis(weight):
    """W0 = L Q with diag(L) >= 0; the rows of Q are all that Ws needs besides W0."""
    q, r = torch.linalg.qr(weight.double().T)
    return {"W0": weight.double(), "Q": (q * torch.where(r.diagonal() < 0, -1.0, 1.0)).T}


BASES = {"soda_svd": svd_basis, "soda_lq": lq_basis}


class SodaLinear(torch.nn.Module):
    """Factors, delta and bases in their own dtype; R and Ws are cast to the type of x."""

    def __init__(self, method, basis, bias, sizes, delta_init=0.0, dtype=torch.float64):
        super().__init__()
        for name, tensor in basis.items():
            self.register_buffer(name, tensor.detach().to(dtype))
        self.method, self.bias = method, bias
        for name, n in zip(FACTORS, sizes):
            self.register_parameter(name, torch.nn.Parameter(torch.eye(n, dtype=dtype)))
        k = len(basis["s"] if method == "soda_svd" else basis["Q"])
        self.delta = torch.nn.Parameter(torch.full((k,), delta_init, dtype=dtype))

    def shifted(self):
        if self.method == "soda_svd":
            return (self.U * torch.relu(self.s + self.delta)) @ self.Vh
        k = len(self.delta)
        return torch.cat([self.W0[:k] + self.delta[:, None] * self.Q, self.W0[k:]])

    def forward(self, x):
        rotation = torch.kron(torch.kron(self.R1, self.R2), self.R3)
        return functional.linear(x @ rotation.to(x.dtype), self.shifted().to(x.dtype), self.bias)


def adapted_names(net, targets):
    patterns = [ATTENTION if t == "attn" else t for t in targets]
    return [name for name, module in net.named_modules() if isinstance(module, torch.nn.Linear)
            and any(re.search(p, text) for p in patterns for text in (name, "unet." + name))]


def adapt(net, config, weights, dtype):
    """Freezes `net` and replaces its targets by layers in `dtype`, factorised from `weights`, a map
    from module name to an exact weight. Returns {"unet. ... .soda.R1": parameter}."""
    net.requires_grad_(False)
    trainable = {}
    for name in adapted_names(net, config["targets"]):
        parent, _, leaf = name.rpartition(".")
        parent, old = net.get_submodule(parent), net.get_submodule(name)
        new = SodaLinear(config["method"], BASES[config["method"]](weights[name]), old.bias,
                         factor_sizes(config["factors"], old.in_features), config["delta_init"],
                         dtype)
        if leaf.isdigit():
            parent[int(leaf)] = new
        else:
            setattr(parent, leaf, new)
        trainable |= {f"unet.{name}.soda.{p}": getattr(new, p) for p in (*FACTORS, "delta")}
    return trainable


def skew_gradient(x, g, metric):
    a = {"canonical": 0.5, "euclidean": 0.0}[metric]
    c = (1 - a / (a - 1)) / 2
    m = x.T @ g
    return c * (m - m.T)


def retract(x, xi, kind):
    """X <- X step(xi), then the nearest orthogonal matrix, by an SVD in fp64."""
    one = torch.eye(len(x), dtype=x.dtype)
    if kind == "euler":
        step = one + xi
    elif kind == "cayley":
        step = torch.linalg.solve(one - xi / 2, one + xi / 2)
    else:
        step = torch.linalg.matrix_exp(xi)
    u, _, vh = torch.linalg.svd((x @ step).double())
    return (u @ vh).to(x.dtype)


class Stiefel:
    """The optimizer of arXiv:2205.14173 on square factors, with left-trivialised momentum."""

    def __init__(self, factors, options):
        self.factors, self.options, self.t = factors, options, 0
        self.state = [(torch.zeros_like(x), torch.zeros_like(x)) for x in factors]

    @torch.no_grad()
    def step(self, lr):
        o = self.options
        self.t += 1
        for x, (y, p) in zip(self.factors, self.state):
            g = skew_gradient(x, x.grad, o["metric"])
            if o["type"] == "adam":
                b1, b2 = o["betas"]
                y.mul_(b1).sub_((1 - b1) * g)
                p.mul_(b2).add_((1 - b2) * g * g)
                xi = lr / (1 - b1 ** self.t) * y / ((p / (1 - b2 ** self.t)).sqrt() + o["eps"])
            else:
                y.mul_(o["momentum"]).sub_((1 - o["dampening"]) * g)
                xi = lr * y
            x.copy_(retract(x, xi, o["retraction"]))


class Optimizer:
    """Clips all gradients to one norm, then steps the factors and, by torch's AdamW, the deltas."""

    def __init__(self, trainable, train):
        rotation, spectrum = (train["optimizer"][k] for k in ("rotation", "spectrum"))
        self.all, self.clip = list(trainable.values()), train["clip"]
        self.rotation_lr, self.spectrum_lr = rotation["lr"], spectrum["lr"]
        self.stiefel = Stiefel([p for n, p in trainable.items() if not n.endswith("delta")],
                               rotation)
        self.adamw = torch.optim.AdamW(
            [p for n, p in trainable.items() if n.endswith("delta")], foreach=False,
            **{key: spectrum[key] for key in ("lr", "betas", "eps", "weight_decay")})
        kind = train["schedule"]["type"]
        self.schedule = get_scheduler("constant_with_warmup" if kind == "constant" else kind,
                                      self.adamw, num_training_steps=train["steps"],
                                      num_warmup_steps=train["schedule"]["warmup"])

    def step(self):
        """Returns the norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self.all, self.clip)
        self.stiefel.step(self.rotation_lr * self.schedule.get_last_lr()[0] / self.spectrum_lr)
        self.adamw.step()
        self.schedule.step()
        for p in self.all:
            p.grad = None
        return float(norm)
