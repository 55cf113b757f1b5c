#!/usr/bin/env python3
"""Checks soda_reference.py and make_training.py's losses before anything is written with them:
against numpy formulas, finite differences, and the trajectories of the authors' optimizer.

    python tests/golden/check_reference.py         (versions as make_training.py)
"""

import numpy as np
import torch
import yaml
from safetensors.numpy import load_file

import make_training
import soda_reference as soda

RNG = np.random.default_rng(3)


def close(what, got, want, limit):
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert error <= limit, f"{what}: off by {error:.1e}"


def random_rotation(n):
    q, r = np.linalg.qr(RNG.standard_normal((n, n)))
    q *= np.sign(np.diagonal(r))
    q[:, 0] *= np.linalg.det(q)
    return q


def check_factors():
    assert [soda.balanced(n) for n in (42, 13, 39, 20, 320, 1024, 1280)] == [
        [2, 3, 7], [1, 1, 13], [1, 3, 13], [2, 2, 5], [4, 4, 20], [8, 8, 16], [8, 8, 20]]
    assert soda.factor_sizes("paper", 1280) == [4, 16, 20]
    assert soda.factor_sizes({20: [5, 1, 4]}, 20) == [5, 1, 4]
    assert soda.factor_sizes({20: [5, 1, 4]}, 1280) == [8, 8, 20]


def layer_in_numpy(method, weight, bias, rotations, delta, x, gy):
    """One factor at a time, activation by activation: y and the gradients, from the formulas."""
    m, n = weight.shape
    k, rows = min(m, n), len(x)
    r1, r2, r3 = rotations
    cube = (rows, len(r1), len(r2), len(r3))
    t1 = np.einsum("nabc,cd->nabd", x.reshape(cube), r3)
    t2 = np.einsum("nabc,bd->nadc", t1, r2)
    z = np.einsum("nabc,ad->ndbc", t2, r1).reshape(rows, n)
    if method == "soda_svd":
        u, s, vh = np.linalg.svd(weight, full_matrices=False)
        ws = u @ np.diag(np.maximum(s + delta, 0)) @ vh
        d_delta = (s + delta > 0) * ((z @ vh.T) * (gy @ u)).sum(0)
    else:
        q, r = np.linalg.qr(weight.T)
        signs = np.sign(np.diagonal(r))
        lower, q = (r * signs[:, None]).T, (q * signs).T
        assert (np.diagonal(lower) > 0).all() and np.allclose(lower @ q, weight)
        ws = (lower + np.eye(m, k) * delta) @ q
        d_delta = (gy[:, :k] * (z @ q.T)).sum(0)
    gz = (gy @ ws).reshape(cube)
    d1 = np.einsum("nibc,njbc->ij", t2, gz)
    g2 = np.einsum("ndbc,ad->nabc", gz, r1)
    d2 = np.einsum("naic,najc->ij", t1, g2)
    g1 = np.einsum("nadc,bd->nabc", g2, r2)
    d3 = np.einsum("nabi,nabj->ij", x.reshape(cube), g1)
    gx = np.einsum("nabd,cd->nabc", g1, r3).reshape(rows, n)
    return z @ ws.T + bias, [d1, d2, d3, d_delta, gx]


def check_layer(method, m, n, sizes):
    weight, bias = RNG.standard_normal((m, n)), RNG.standard_normal(m)
    x, gy = RNG.standard_normal((5, n)), RNG.standard_normal((5, m))
    rotations, delta = [random_rotation(s) for s in sizes], RNG.standard_normal(min(m, n))
    if method == "soda_svd":
        delta[::3] = -9  # closed gates
    layer = soda.SodaLinear(method, soda.BASES[method](torch.tensor(weight)), torch.tensor(bias),
                            sizes)
    for p, value in zip(layer.parameters(), rotations + [delta]):
        p.data.copy_(torch.tensor(value))
    tx = torch.tensor(x, requires_grad=True)
    y = layer(tx)
    y.backward(torch.tensor(gy))
    want_y, want = layer_in_numpy(method, weight, bias, rotations, delta, x, gy)
    close(f"{method} {m}x{n} y", y.detach().numpy(), want_y, 1e-13)
    for name, p, g in zip(("R1", "R2", "R3", "delta", "x"), [*layer.parameters(), tx], want):
        close(f"{method} {m}x{n} d{name}", p.grad.numpy(), g, 1e-13)
    if method == "soda_svd":
        assert (layer.delta.grad[::3] == 0).all()


def check_stiefel():
    golden = load_file(make_training.HERE / "stiefel.safetensors")
    for key in [k for k in golden if "adam" in k or "sgd" in k]:
        size, kind, retraction, metric = key.split(".")
        x = torch.nn.Parameter(torch.tensor(golden[f"{size}.X0"]))
        optimizer = soda.Stiefel([x], dict(type=kind, betas=(0.9, 0.999), eps=1e-5, momentum=0.9,
                                           dampening=0.0, retraction=retraction, metric=metric))
        for g, want in zip(golden[f"{size}.G"], golden[key]):
            x.grad = torch.tensor(g)
            optimizer.step(1e-2)
            close(key, x.detach().numpy(), want, 1e-13)


def newton_schulz(a):
    """a^(-1/2), the coupled iteration, ten times."""
    f = np.linalg.norm(a)
    p, z, one = a / f, np.eye(len(a)), np.eye(len(a))
    for _ in range(10):
        t = (3 * one - z @ p) / 2
        p, z = p @ t, t @ z
    return z / np.sqrt(f)


def check_optimizer():
    """Three whole steps against the formulas: clipping, both rules, warmup, decay."""
    x, d = random_rotation(5), RNG.standard_normal(7)
    params = {name: torch.nn.Parameter(torch.tensor(value))
              for name, value in (("a.R1", x), ("a.delta", d))}
    train = make_training.with_defaults(
        {"steps": 5, "clip": 0.5, "schedule": {"type": "linear", "warmup": 2},
         "optimizer": {"rotation": {"lr": 0.02}, "spectrum": {"lr": 0.03, "weight_decay": 0.2}}},
        make_training.DEFAULTS["train"])
    optimizer = soda.Optimizer(params, train)
    y, p, m, v = np.zeros((5, 5)), np.zeros((5, 5)), np.zeros(7), np.zeros(7)
    for i, factor in enumerate((0, 1 / 2, 1, 2 / 3)):
        t, gx, gd = i + 1, RNG.standard_normal((5, 5)), RNG.standard_normal(7) * 10.0 ** -i
        params["a.R1"].grad, params["a.delta"].grad = torch.tensor(gx), torch.tensor(gd)
        optimizer.step()
        scale = min(1, 0.5 / (np.sqrt((gx ** 2).sum() + (gd ** 2).sum()) + 1e-6))
        g = x.T @ gx * scale
        g = g - g.T  # canonical: c = 1
        y, p = 0.9 * y - 0.1 * g, 0.999 * p + 0.001 * g ** 2
        xi = 0.02 * factor / (1 - 0.9 ** t) * y / (np.sqrt(p / (1 - 0.999 ** t)) + 1e-5)
        x = x @ (np.eye(5) + xi)
        x = x @ newton_schulz(x.T @ x)
        lr, g = 0.03 * factor, gd * scale
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        d = d * (1 - lr * 0.2)
        d = d - lr * m / (1 - 0.9 ** t) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
        close(f"rotation, step {t}", params["a.R1"].detach().numpy(), x, 1e-13)
        close(f"delta, step {t}", params["a.delta"].detach().numpy(), d, 1e-13)


def check_network(name):
    """The plain network at the start; central differences of the loss along one random direction
    of each kind of tensor, over all layers."""
    config = make_training.with_defaults(
        yaml.safe_load((make_training.HERE / f"training/{name}.yaml").read_text()),
        make_training.DEFAULTS)
    config["adapter"]["delta_init"] = 0.0
    plain = make_training.load_unet(config, torch.float64)
    run = make_training.Run(config, plain, torch.float64)
    batch = make_training.make_batch(name, make_training.CASES[name], run)
    with torch.no_grad():
        got, adapted = run.predict(batch), run.net
        run.net = plain
        close(f"{name} at the identity", got.numpy(), run.predict(batch).numpy(), 1e-12)
        run.net = adapted
    run.reset(batch)
    run.loss(batch)[0].backward()
    for kind in ("R1", "R2", "R3", "delta"):
        chosen = [p for n, p in run.trainable.items() if n.endswith(kind)]
        direction = [torch.tensor(RNG.standard_normal(p.shape)) for p in chosen]
        slope = sum(float((p.grad * d).sum()) for p, d in zip(chosen, direction))
        h, sides = 1e-6, []
        with torch.no_grad():
            for sign in (1, -2):
                for p, d in zip(chosen, direction):
                    p += sign * h * d
                sides.append(float(run.loss(batch)[0]))
            for p, d in zip(chosen, direction):
                p += h * d
        close(f"{name} d{kind}", np.array((sides[0] - sides[1]) / (2 * h)), slope, 1e-6)


def main():
    torch.set_num_threads(1)
    make_training.logging.disable_progress_bar()
    check_factors()
    for method in soda.BASES:
        for m, n, sizes in ((8, 12, (2, 3, 2)), (12, 12, (3, 1, 4)), (14, 8, (2, 2, 2))):
            check_layer(method, m, n, sizes)
    check_stiefel()
    check_optimizer()
    for name in ("sd1-svd-random", "sd1-lq", "sd2-lq-random", "sdxl-svd-random"):
        check_network(name)
    print("the reference is sound")


if __name__ == "__main__":
    main()
