"""A project that adds the library by add_subdirectory: it gets the library and the helper, and neither our tests nor our
opinion on warnings.

Usage: nested_test.py BRIDGE SOURCE LINKER_FLAGS
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

bridge, source = (Path(p).resolve() for p in sys.argv[1:3])
linker_flags = sys.argv[3]


def run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


with tempfile.TemporaryDirectory(prefix="airssys-nested-") as scratch:
    build = Path(scratch) / "build"
    run("cmake", "-S", source / "tests/nested", "-B", build, "-G", "Ninja", f"-DAIRSSYS_WASM_SOURCE={source}",
        f"-DAIRSSYS_WASM_BRIDGE={bridge}", f"-DEXAMPLE={source / 'tests/examples/readme.cpp'}",
        f"-DCMAKE_EXE_LINKER_FLAGS={linker_flags}", "-DCMAKE_CXX_FLAGS=-O0", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    run("cmake", "--build", build, env={**os.environ, "CCACHE_BASEDIR": str(source), "CCACHE_NOHASHDIR": "1"})
    rules = (build / "build.ninja").read_text()
    for ours in ("-Werror", "gtest", "CLI11"):
        if ours in rules:
            sys.exit(f"the project has got {ours} from us")
    if "Total Tests: 0" not in run("ctest", "-N", cwd=build):
        sys.exit("the project has got our tests")
    # An empty cache: the component is compiled, by the helper that was built beside.
    print(run(build / "consumer", cwd=source, env={**os.environ, "XDG_CACHE_HOME": scratch}))
