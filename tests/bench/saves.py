#!/usr/bin/env python3
"""How much longer the steps are that come right after a save than their neighbours.

    soda train run.yaml --set checkpoint.every=20 --set output=runs/saves
    python3 tests/bench/saves.py runs/saves

A line per checkpoint: the median of the steps around it that come two or more after a save, and by
how much the first three steps after it exceed that. The machine should have nothing else to do.
"""
import argparse
import json
import os
import re
import statistics

AFTER = 3
AROUND = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a finished run")
    run = parser.parse_args().run
    with open(os.path.join(run, "config.yaml"), encoding="utf-8") as file:
        every = int(re.search(r"^checkpoint:.*?\bevery: (\d+)", file.read(), re.M | re.S).group(1))
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    seconds = {row["step"]: sum(row["seconds"].values()) for row in rows if "loss" in row}
    excess = []
    for first in range(every, max(seconds) + 1, every):
        near = [seconds[i] for i in range(first - AROUND, first + AROUND + 1)
                if i in seconds and i % every > 1]
        median = statistics.median(near)
        after = [1000 * (seconds[i] - median) for i in range(first, first + AFTER) if i in seconds]
        excess.append(after[0])
        print(f"step {first}: neighbours {1000 * median:.1f} ms (longest {1000 * max(near):.1f}), "
              "after the save " + ", ".join(f"{ms:+.1f}" for ms in after) + " ms")
    print(f"first step after a save: median {statistics.median(excess):+.1f} ms")


if __name__ == "__main__":
    main()
