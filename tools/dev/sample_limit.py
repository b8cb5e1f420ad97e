#!/usr/bin/env python3
"""Adds a limit to a copy of the last commit, and counts what had to be written by hand: four files at most.

The sample bounds calls into WASI alone. The copy is built; what is generated is generated; all tests of the rooms, the
command and the documents run; and the command stops a guest at the new limit, by its option and with its name.

Usage: sample_limit.py [DIRECTORY]     the copy, made anew; otherwise a temporary one that is removed
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

MOST = 4

# File, the text that the new text follows, the new text.
BY_HAND = [
    ("include/airssys/wasm/limits.hpp",
     "  std::uint64_t max_host_calls = 10'000'000;\n",
     "  /// Calls into WASI alone.\n  std::uint64_t max_wasi_calls = 10'000'000;\n"),
    ("include/airssys/wasm/limit_table.hpp",
     'visit(LimitRow{"tables", "tables", "tables"}, l.max_tables)',
     ' &&\n         visit(LimitRow{"wasi_calls", "wasi_calls", "calls into WASI alone"}, l.max_wasi_calls)'),
    ("src/wasmtime/bridge/src/limits.rs",
     "    Instances,\n    Memories,\n    Tables,\n",
     "    WasiCalls,\n"),
    ("src/wasmtime/bridge/src/store/crossing.rs",
     "        Stopped { why: BridgeLimit::HostCalls.into(), code: calls, message }\n",
     "    } else if data.meter.wasi_calls() > data.budget.limit(BridgeLimit::WasiCalls) {\n"
     "        let message = \"more calls into WASI than granted\".into();\n"
     "        Stopped { why: BridgeLimit::WasiCalls.into(), code: data.meter.wasi_calls(), message }\n"),
]


def run(*command: str, **options) -> subprocess.CompletedProcess:
    print("+", *command, file=sys.stderr)
    return subprocess.run(command, check=True, text=True, **options)


def replaced(path: pathlib.Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        sys.exit(f"sample_limit.py: {path} does not have this once: {old!r}")
    path.write_text(text.replace(old, new), encoding="utf-8")


def changed(copy: pathlib.Path) -> set[str]:
    return set(run("git", "-C", str(copy), "diff", "--name-only", stdout=subprocess.PIPE).stdout.split())


def add_limit(copy: pathlib.Path) -> None:
    for name, after, text in BY_HAND:
        replaced(copy / name, after, after + text)
    limits = copy / "src/wasmtime/bridge/src/limits.rs"
    count = int(limits.read_text(encoding="utf-8").split("pub const LIMITS: usize = ")[1].split(";")[0])
    replaced(limits, f"pub const LIMITS: usize = {count};", f"pub const LIMITS: usize = {count + 1};")
    replaced(limits, "BridgeLimit::Tables as usize + 1 == LIMITS", "BridgeLimit::WasiCalls as usize + 1 == LIMITS")


GUEST = """(component
  (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
  (alias export $random "get-random-u64" (func $get)) (core func $get (canon lower (func $get)))
  (core module $m (import "" "get" (func $get (result i64))) (func (export "run") (loop $l (drop (call $get)) (br $l))))
  (core instance $i (instantiate $m (with "" (instance (export "get" (func $get))))))
  (func (export "run") (canon lift (core func $i "run"))))
"""


def stops_at_it(copy: pathlib.Path) -> None:
    guest = copy / "build/guest.wat"
    guest.write_text(GUEST, encoding="utf-8")
    ended = subprocess.run(
        [copy / "build/dev/airssys-wasm", "run", guest, "--invoke", "run()", "--wasi-calls", "1", "--report", "-"],
        text=True, stdout=subprocess.PIPE, check=False)
    stop = json.loads(ended.stdout.splitlines()[-1])["stop"]["limits"][0]
    if (ended.returncode, stop["resource"], stop["limit"]) != (110, "wasi_calls", 1):
        sys.exit(f"sample_limit.py: the guest was not stopped at the new limit: {ended.returncode} {stop}")


def main() -> None:
    source = pathlib.Path(__file__).resolve().parent.parent.parent
    keep = len(sys.argv) > 1
    copy = pathlib.Path(sys.argv[1] if keep else tempfile.mkdtemp(prefix="sample-limit-"))
    shutil.rmtree(copy, ignore_errors=True)
    try:
        run("git", "clone", "-q", str(source), str(copy))
        (copy / "build").mkdir()
        add_limit(copy)
        by_hand = changed(copy)
        run("./dev", "bridge", "build/bridge.a", cwd=copy)
        ccache = {"CCACHE_BASEDIR": str(copy), "CCACHE_NOHASHDIR": "1",
                  "CCACHE_SLOPPINESS": "pch_defines,time_macros,include_file_mtime,include_file_ctime"}
        with_bridge = os.environ | ccache | {"AIRSSYS_WASM_BRIDGE": str(copy / "build/bridge.a")}
        run("cmake", "--preset", "dev", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", cwd=copy, env=with_bridge, stdout=sys.stderr)
        run("ninja", "-C", "build/dev", "--quiet", cwd=copy, env=with_bridge)
        written = "*TableOfLimits*:*TheSchemaAsks*"
        run("build/dev/tests/cli_tests", f"--gtest_filter={written}", cwd=copy, env=os.environ | {"AIRSSYS_WASM_UPDATE": "1"})
        generated = changed(copy) - by_hand
        run("ctest", "--test-dir", "build/dev", "-j2", "-Q", "-E", "Nested|RealGuest|Install|Transcripts", cwd=copy)
        stops_at_it(copy)
    finally:
        if not keep:
            shutil.rmtree(copy, ignore_errors=True)
    print(f"a limit: {len(by_hand)} files by hand ({', '.join(sorted(by_hand))}), "
          f"{len(generated)} generated ({', '.join(sorted(generated))})")
    if len(by_hand) > MOST:
        sys.exit(f"sample_limit.py: more than {MOST} files")


if __name__ == "__main__":
    main()
