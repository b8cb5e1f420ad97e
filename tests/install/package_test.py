"""Looks into the Debian packages: what is inside, what they ask for, and that the command works as it is unpacked, with
its helper and nothing of the build.

Usage: package_test.py PACKAGES SOURCE
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

packages, source = (Path(p).resolve() for p in sys.argv[1:3])


def run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def field(package, name):
    return run("dpkg-deb", "--field", package, name).strip()


with tempfile.TemporaryDirectory(prefix="airssys-package-") as scratch:
    scratch = Path(scratch)
    program, library = (next(packages.glob(name)) for name in ("airssys-wasm_*.deb", "libairssys-wasm-dev_*.deb"))

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
                 "usr/share/doc/airssys-wasm/limits.md", "usr/share/man/man1/airssys-wasm.1.gz",
                 "usr/share/bash-completion/completions/airssys-wasm", "usr/share/zsh/vendor-completions/_airssys-wasm",
                 "usr/share/fish/vendor_completions.d/airssys-wasm.fish"):
        if not (root / file).is_file():
            sys.exit(f"{file} is not in the command's package")
    if (root / "usr/include").exists() or list(root.rglob("*.a")):
        sys.exit("the command's package has files for developers")
    terms = (root / "usr/share/doc/airssys-wasm/copyright").read_text()
    for words in ("Apache License", "Rust's own library", "wasmtime 48", "nlohmann-json3-dev"):
        if words not in terms:
            sys.exit(f"the terms do not speak of {words}")
    for path in root.rglob("*"):
        mode = path.lstat().st_mode & 0o777
        if not path.is_symlink() and mode != 0o755 and (path.is_dir() or mode != 0o644):
            sys.exit(f"{path.relative_to(root)} has mode {mode:o}")
    if b"/usr/libexec/airssys-wasm" not in (root / "usr/bin/airssys-wasm").read_bytes():
        sys.exit("the command was not built for /usr")
    seen = run(root / "usr/bin/airssys-wasm", "run", source / "examples/guests/hello.wat", "--invoke", "hello()",
               env={**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")})
    if seen != "42\n":
        sys.exit(f"the command says {seen!r}")

    run("dpkg-deb", "--extract", library, root)
    libraries = "usr/lib/" + run("gcc", "-print-multiarch").strip()
    for file in ("usr/include/airssys/wasm.hpp", f"{libraries}/libairssys_wasm_bridge.a", f"{libraries}/libairssys-wasm.a",
                 f"{libraries}/cmake/airssys-wasm/airssys-wasm-config.cmake", f"{libraries}/pkgconfig/airssys-wasm.pc"):
        if not (root / file).is_file():
            sys.exit(f"{file} is not in the library's package")
    if os.readlink(root / "usr/share/doc/libairssys-wasm-dev") != "airssys-wasm":
        sys.exit("the terms of the library's package are not those of the command's")
