#!/usr/bin/env python3
"""Writes stiefel_tall.json: a few steps on St(7,3), straight from the published formulas.

Kong, Wang & Tao, arXiv:2205.14173, for n > m, in numpy and fp64; the polar factor comes from an SVD,
the exponential from eigenvalues, so nothing is shared with soda's iterations. Run by hand.
"""
import json

import numpy as np

N, M, STEPS = 7, 3, 6
LR, BETA1, BETA2, EPS, MU, DAMP = 0.05, 0.9, 0.99, 1e-5, 0.9, 0.1


def polar(X):
    U, _, Vh = np.linalg.svd(X, full_matrices=False)
    return U @ Vh


def step_matrix(xi, retraction):
    eye = np.eye(M)
    if retraction == "euler":
        return eye + xi
    if retraction == "cayley":
        return np.linalg.solve(eye - xi / 2, eye + xi / 2)
    w, Q = np.linalg.eigh(1j * xi)  # skew: i xi is Hermitian
    return (Q @ np.diag(np.exp(-1j * w)) @ Q.conj().T).real


def run(X, gradients, kind, metric, retraction):
    a = 0.5 if metric == "canonical" else 0.0
    c = (1 - a / (a - 1)) / 2
    turn = (3 * a - 2) / 2
    Y, p = np.zeros((M, M)), np.zeros((M, M))
    V, pV = np.zeros((N, M)), np.zeros((N, M))
    trajectory = []
    for t, G in enumerate(gradients, start=1):
        S = X.T @ G
        g, gV = c * (S - S.T), G - X @ S
        if kind == "sgd":
            V = MU * V - turn * LR * (V @ Y) - (1 - DAMP) * gV
            Y = MU * Y - (1 - DAMP) * g
            X = X @ step_matrix(LR * Y, retraction)
            Z = V
        else:
            pV = BETA2 * pV + (1 - BETA2) * gV * gV
            Y = BETA1 * Y - (1 - BETA1) * g
            p = BETA2 * p + (1 - BETA2) * g * g
            xi = LR / (1 - BETA1**t) * Y / (np.sqrt(p / (1 - BETA2**t)) + EPS)
            X = X @ step_matrix(xi, retraction)
            V = BETA1 * V - turn * LR * (V @ Y) - (1 - BETA1) * gV
            Z = V / (np.sqrt(pV / (1 - BETA2**t)) + EPS)
            Z = Z - X @ np.linalg.inv(X.T @ X) @ X.T @ Z
        C = X @ (Z.T @ V)
        X = X + LR * Z @ (X.T @ X)
        V = V - LR * C
        X = polar(X)
        trajectory.append(X.ravel().tolist())
    return trajectory


rng = np.random.default_rng(11)
X0 = polar(rng.standard_normal((N, M)))
G = rng.standard_normal((STEPS, N, M))
out = {"X0": X0.ravel().tolist(), "G": G.reshape(STEPS, -1).tolist()}
for kind in ("adam", "sgd"):
    for metric in ("canonical", "euclidean"):
        for retraction in ("euler", "cayley", "expm"):
            out[f"{kind}.{retraction}.{metric}"] = run(X0, G, kind, metric, retraction)
print(json.dumps(out, indent=None, separators=(",", ":")))
