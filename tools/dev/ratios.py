#!/usr/bin/env python3
"""Prints what ./dev bench is for: our median beside raw Wasmtime's of the same run."""
import json
import sys

PAIRS = [("fresh_run", "raw_fresh_run", 1.3)]

with open(sys.argv[1], encoding="utf-8") as file:
    rows = json.load(file)["benchmarks"]
median = {row["run_name"]: row["real_time"] for row in rows if row.get("aggregate_name") == "median"}
for ours, raw, goal in PAIRS:
    if ours in median and raw in median:
        ratio = median[ours] / median[raw]
        print(f"{ours}: {median[ours]:.0f} ns, raw Wasmtime {median[raw]:.0f} ns, ratio {ratio:.2f} (goal {goal})")
