#!/usr/bin/env python3
"""Writes resize.safetensors: what Pillow's LANCZOS resize makes of pictures given by a formula.

Run by hand with Pillow 11.3.0, numpy and safetensors, in this folder. No test needs them.
Pillow 13 scales some tall pictures columns first, the versions before it rows first, as soda does.
"""
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

# input width, height -> output width, height
CASES = [(37, 23, 51, 32), (203, 150, 43, 32), (40, 40, 40, 40), (31, 90, 16, 46), (7, 5, 44, 31)]


def picture(width, height):
    """Ramps, edges and noise; tests/data/test_transform.c has the same formula."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.uint32)
    ramp = x * 5 + y * 3 + c * 40
    edges = ((x // 4 + y // 6) % 2) * 255
    noise = ((x * 73856093) ^ (y * 19349663) ^ (c * 83492791)) >> 7
    return np.where((x + y) % 3 == 0, ramp, np.where(x % 2 == 0, edges, noise)).astype(np.uint8)


save_file(
    {
        f"{w}x{h}.{to_w}x{to_h}": np.asarray(
            Image.fromarray(picture(w, h)).resize((to_w, to_h), Image.Resampling.LANCZOS)
        ).copy()
        for w, h, to_w, to_h in CASES
    },
    "resize.safetensors",
)
