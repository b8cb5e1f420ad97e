#!/usr/bin/env python3
"""Whole processes in turn: `airssys-wasm run` and `wasmtime run`, both with fuel, a timeout and warm caches.

Usage: process_bench.py AIRSSYS_WASM WASMTIME COMPONENT OUT.json
"""
import json
import os
import statistics
import sys
import time

RUNS = 50
ours, peer, component, out = sys.argv[1:5]
COMMANDS = {
    "airssys-wasm": [ours, "run", component, "--invoke", "hello()", "--fuel", "1G", "--timeout", "10s"],
    "wasmtime": [peer, "run", "-C", "cache=y", "-W", "fuel=1000000000,timeout=10s", "--invoke", "hello()", component],
}


def run(command):
    """Wall time in microseconds and peak resident memory in KiB of one run, which must answer 42."""
    reading, writing = os.pipe()
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    took = (time.perf_counter() - began) * 1e6
    if status != 0 or answer.strip() != b"42":
        sys.exit(f"{' '.join(command)}: status {status}, answered {answer!r}")
    return took, usage.ru_maxrss


for command in COMMANDS.values():
    run(command)
figures = {name: [] for name in COMMANDS}
for _ in range(RUNS):
    for name, command in COMMANDS.items():
        figures[name].append(run(command))
result = {
    name: {"wall_us": statistics.median(f[0] for f in rows), "peak_kib": statistics.median(f[1] for f in rows)}
    for name, rows in figures.items()
}
with open(out, "w", encoding="utf-8") as file:
    json.dump(result, file)
