"""Installs the build into a prefix of its own; what is there must work without the build: the command, the helper that
it finds, and the library for a project that asks for it with find_package: in a program, in a shared object that is
loaded and unloaded, in an extension of Python, and beside another Rust library.

Usage: install_test.py BUILD SOURCE LINKER_FLAGS
"""
import gzip
import json
import os
import re
import shlex
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


# Loads the plug-in, runs, unloads it, and again: its code stays, since Wasmtime's handlers and threads do.
PLUGIN = """
import _ctypes, ctypes, sys
path, wat, helper = sys.argv[1], open(sys.argv[2], "rb").read(), sys.argv[3].encode()
for _ in range(2):
    plugin = ctypes.CDLL(path)
    print(plugin.plugin_run(wat, helper))
    _ctypes.dlclose(plugin._handle)
print("stays" if path in open("/proc/self/maps").read() else "is gone")
"""

# A forked child of Python is told, and ends; so does the parent.
EXTENSION = """
import os, sys
sys.path.insert(0, sys.argv[1])
import extension
wat, helper = open(sys.argv[2]).read(), sys.argv[3]
print(extension.run(wat, helper), flush=True)
child = os.fork()
if child == 0:
    print(extension.run(wat, helper), flush=True)
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(extension.run(wat, helper))
"""

with tempfile.TemporaryDirectory(prefix="airssys-install-") as scratch:
    scratch = Path(scratch)
    # Installed in one place, used in another.
    run("cmake", "--install", build, "--prefix", scratch / "first")
    prefix = scratch / "prefix"
    (scratch / "first").rename(prefix)
    program = prefix / "bin/airssys-wasm"
    hello_wat = source / "examples/guests/hello.wat"
    hello = [program, "run", hello_wat, "--invoke", "hello()"]
    # A cache of its own: the component must be compiled, by the installed helper.
    fresh = {**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")}
    same("the installed command", run(*hello, env=fresh).stdout, "42\n")
    documents = prefix / "share/doc/airssys-wasm"
    for document in ("LICENSE", "changelog.gz", "limits.md", "report.schema.json"):
        if not (documents / document).exists():
            sys.exit(f"{document} is not installed")
    same("the installed manual", gzip.decompress((prefix / "share/man/man1/airssys-wasm.1.gz").read_bytes()).decode(),
         run(program, "manual").stdout)
    for shell, file in (("bash", "bash-completion/completions/airssys-wasm"), ("zsh", "zsh/vendor-completions/_airssys-wasm"),
                        ("fish", "fish/vendor_completions.d/airssys-wasm.fish")):
        same(f"the installed completion for {shell}", (prefix / "share" / file).read_text(), run(program, "completion", shell).stdout)
    # Each crate that is linked, Rust's own library and what is compiled into us, with their terms.
    notices = (documents / "copyright").read_text()
    lock = (source / "src/wasmtime/Cargo.lock").read_text()
    for name in ("wasmtime", "tokio", "rustix", "wit-parser", "foldhash"):
        version = re.search(rf'name = "{name}"\nversion = "(.*)"', lock).group(1)
        if not re.search(rf"^{name} {re.escape(version)} +\S", notices, re.MULTILINE):
            sys.exit(f"the terms of {name} {version} are not installed")
    for words in ("libfmt-dev", "nlohmann-json3-dev", "Rust's own library", "Permission is hereby granted", "GCC RUNTIME LIBRARY EXCEPTION",
                  "LLVM Exceptions to the Apache 2.0 License", "UNICODE LICENSE V3", "Copyright (c) Tokio Contributors"):
        if words not in notices:
            sys.exit(f"{words!r} is not among the terms of third parties")
    if left := re.search(r"&#?\w+;", notices[notices.index("Rust's own library"):]):
        sys.exit(f"the terms still have {left[0]}")
    # One that comes with no text has that of Wasmtime.
    if not re.search(r"wasmtime-wasi-io 48[^\n]*\n([^\n]+\n)*\n+ +Apache License", notices[notices.index("The crates of the bridge"):]):
        sys.exit("wasmtime-wasi-io stands at no terms")

    other = scratch / "libother.a"
    run("rustc", "--crate-type", "staticlib", "-O", "-o", other, source / "tests/install/other.rs")
    example = source / "tests/examples/readme.cpp"
    python_include = run("/usr/bin/python3", "-c", "import sysconfig; print(sysconfig.get_paths()['include'])").stdout.strip()
    consumer = scratch / "consumer"
    run("cmake", "-S", source / "tests/install", "-B", consumer, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DEXAMPLE={example}", f"-DOTHER_RUST={other}", f"-DCMAKE_EXE_LINKER_FLAGS={linker_flags}",
        f"-DCMAKE_MODULE_LINKER_FLAGS={linker_flags}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror",
        f"-DPYTHON_INCLUDE={python_include}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    ours = []
    for step in json.loads((consumer / "compile_commands.json").read_text()):
        flags = iter(shlex.split(step["command"])[1:])
        for flag in flags:
            if flag in ("-o", "-c", "-isystem", "-I"):
                next(flags)
            elif flag not in ("-Wall", "-Wextra", "-Werror", "-fPIC") and not flag.startswith(("-std=", "-I", "-Dplugin_", "-Dextension_")):
                ours.append(flag)
    same("compiler flags that reach the user's targets", ours, [])
    helper = Path((consumer / "helper").read_text()).resolve()
    same("the helper that the package names", helper, (prefix / "libexec/airssys-wasm/airssys-wasm-compile").resolve())
    run("cmake", "--build", consumer)
    shutil.rmtree(scratch / "cache")
    small, large = ((consumer / program).stat().st_size for program in ("consumer", "keeps_sections"))
    if small > 0.9 * large:
        sys.exit(f"what nothing refers to is still in the program: {small} bytes of {large}")
    # Without CMake.
    flags = run("pkg-config", "--cflags", "--libs", "airssys-wasm",
                env={**os.environ, "PKG_CONFIG_PATH": str(next(prefix.rglob("pkgconfig")))}).stdout.split()
    run("g++", "-std=c++23", example, "-o", prefix / "bin/by_pkg_config", *linker_flags.split(), *flags)
    run(prefix / "bin/by_pkg_config", env=fresh, cwd=source)
    shutil.rmtree(scratch / "cache")

    # Where they were built: they find the helper by what find_package has told them.
    for program in ("consumer", "by_static_library"):
        run(consumer / program, env=fresh, cwd=source)
        shutil.rmtree(scratch / "cache")

    # With the helper named, and without: it compiles by what find_package has told it, far from the program it is in.
    for named in (helper, ""):
        same("the plug-in", run("/usr/bin/python3", "-c", PLUGIN, consumer / "libplugin.so", hello_wat, named).stdout,
             "42\n42\nstays\n")
    # Not only by chance (g++ marks some symbols so that their object stays).
    if "NODELETE" not in run("readelf", "-d", consumer / "libplugin.so").stdout:
        sys.exit("the plug-in may be unloaded under Wasmtime's handlers and threads")
    told = "this process was forked from one that has an engine, whose threads are not here"
    same("the extension", run("/usr/bin/python3", "-c", EXTENSION, consumer, hello_wat, helper).stdout,
         f"42\n{told}\n3\n42\n")
    for order in ("rust_before", "rust_after"):
        same(order, run(consumer / order, hello_wat).stdout, "42 1007 3\n")

    # Installed beside the command, it finds the helper there, also when what find_package has told is no longer true.
    shutil.copy(consumer / "consumer", prefix / "bin")
    prefix.rename(scratch / "moved")
    prefix = scratch / "moved"
    run(prefix / "bin/consumer", env=fresh, cwd=source)

    # Without the helper nothing else may do its work, and the error says where it was looked for.
    shutil.rmtree(scratch / "cache")
    shutil.rmtree(prefix / "libexec")
    hello[0] = prefix / "bin/airssys-wasm"
    error = run(*hello, env=fresh, expect=114).stderr
    for place in (prefix / "bin/airssys-wasm-compile", prefix / "libexec/airssys-wasm/airssys-wasm-compile"):
        if str(place) not in error:
            sys.exit(f"the error does not name {place}:\n{error}")
