"""Makes the Debian packages of the build and looks into them: what is inside, what they ask for, and that the command
works as it is unpacked, with its helper and nothing of the build.

Usage: package_test.py BUILD SOURCE
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

build, source = (Path(p).resolve() for p in sys.argv[1:3])


def run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def field(package, name):
    return run("dpkg-deb", "--field", package, name).strip()


with tempfile.TemporaryDirectory(prefix="airssys-package-") as scratch:
    scratch = Path(scratch)
    run("cpack", "--config", build / "CPackConfig.cmake", "-B", scratch, "-D", "CPACK_DEBIAN_COMPRESSION_TYPE=gzip")
    program, library = scratch.glob("airssys-wasm_*.deb"), scratch.glob("libairssys-wasm-dev_*.deb")
    program, library = next(program), next(library)

    # The command asks for C's library and libsodium, and for nothing that compiles.
    depends = field(program, "Depends")
    asked = sorted(one.split()[0] for one in depends.split(","))
    if asked != ["libc6", "libsodium23"]:
        sys.exit(f"the command's package asks for {depends}")
    version = field(program, "Version")
    if f"airssys-wasm (= {version})" not in field(library, "Depends"):
        sys.exit("the library's package does not ask for the helper that belongs to it")

    root = scratch / "root"
    run("dpkg-deb", "--extract", program, root)
    for file in ("usr/bin/airssys-wasm", "usr/libexec/airssys-wasm/airssys-wasm-compile", "usr/share/doc/airssys-wasm/copyright",
                 "usr/share/doc/airssys-wasm/limits.md"):
        if not (root / file).is_file():
            sys.exit(f"{file} is not in the command's package")
    if (root / "usr/include").exists() or list(root.rglob("*.a")):
        sys.exit("the command's package has files for developers")
    seen = run(root / "usr/bin/airssys-wasm", "run", source / "examples/guests/hello.wat", "--invoke", "hello()",
               env={**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")})
    if seen != "42\n":
        sys.exit(f"the command says {seen!r}")

    run("dpkg-deb", "--extract", library, root)
    for pattern in ("usr/include/airssys/wasm.hpp", "usr/lib/**/libairssys_wasm_bridge.a", "usr/lib/**/airssys-wasm-config.cmake",
                    "usr/lib/**/airssys-wasm.pc"):
        if not list(root.glob(pattern)):
            sys.exit(f"{pattern} is not in the library's package")
    if os.readlink(root / "usr/share/doc/libairssys-wasm-dev") != "airssys-wasm":
        sys.exit("the terms of the library's package are not those of the command's")
