"""Installs the build into a prefix of its own; what is there must work without the build: the command, the helper that
it finds, and the library for a project that asks for it with find_package.

Usage: install_test.py BUILD SOURCE LINKER_FLAGS
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

build, source = (Path(p).resolve() for p in sys.argv[1:3])
linker_flags = sys.argv[3]


def run(*words, expect=0, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    if done.returncode != expect:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}, not {expect}\n{done.stdout}{done.stderr}")
    return done


def same(what, seen, wanted):
    if seen != wanted:
        sys.exit(f"{what}: {seen!r}, not {wanted!r}")


with tempfile.TemporaryDirectory(prefix="airssys-install-") as scratch:
    scratch = Path(scratch)
    prefix = scratch / "prefix"
    run("cmake", "--install", build, "--prefix", prefix)
    program = prefix / "bin/airssys-wasm"
    hello = [program, "run", source / "examples/guests/hello.wat", "--invoke", "hello()"]
    # A cache of its own: the component must be compiled, by the installed helper.
    fresh = {**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")}
    same("the installed command", run(*hello, env=fresh).stdout, "42\n")

    example = source / "tests/examples/readme.cpp"
    run("cmake", "-S", source / "tests/install", "-B", scratch / "consumer", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DEXAMPLE={example}", f"-DCMAKE_EXE_LINKER_FLAGS={linker_flags}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
    same("the helper that the package names", Path((scratch / "consumer/helper").read_text()).resolve(),
         (prefix / "libexec/airssys-wasm/airssys-wasm-compile").resolve())
    run("cmake", "--build", scratch / "consumer")
    shutil.copy(scratch / "consumer/consumer", prefix / "bin")
    shutil.rmtree(scratch / "cache")
    run(prefix / "bin/consumer", env=fresh, cwd=source)

    # Without the helper nothing else may do its work, and the error says where it was looked for.
    shutil.rmtree(scratch / "cache")
    shutil.rmtree(prefix / "libexec")
    error = run(*hello, env=fresh, expect=114).stderr
    for place in (prefix / "bin/airssys-wasm-compile", prefix / "libexec/airssys-wasm/airssys-wasm-compile"):
        if str(place) not in error:
            sys.exit(f"the error does not name {place}:\n{error}")
