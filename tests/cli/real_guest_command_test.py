"""Real guests through the command: hello in C, JavaScript and Python, and a command in C with wasi-libc.

Usage: real_guest_command_test.py PROGRAM SOURCE CACHE

./dev test builds the guests and names their directory in AIRSSYS_WASM_GUESTS (tools/dev/guests.sh). Where one is
missing the rest is tried, and the exit code is 77; in CI (AIRSSYS_WASM_CI) that is a failure. What was compiled stays
beside the guests, not in CACHE: Python and JavaScript take some seconds.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

program = Path(sys.argv[1]).resolve()
SKIPPED = 77

NEEDS = {
    "hello-c.wasm": "clang-19 and jco",
    "command.wasm": "clang-19, wasi-libc and jco",
    "hello-js.wasm": "jco and componentize-js",
    "hello-py.wasm": "componentize-py",
}
LANGUAGES = {"hello-c.wasm": "c", "hello-js.wasm": "js", "hello-py.wasm": "python"}


def same(what, seen, wanted):
    assert seen == wanted, f"{what}: {seen!r}, not {wanted!r}"


class Guest:
    """One guest, run by the command in a directory of its own."""

    def __init__(self, path, directory, environment):
        self.path, self.directory, self.environment = path, directory, environment

    def run(self, *words, status=0, stdin=b""):
        done = subprocess.run([program, "run", self.path, *words], input=stdin, capture_output=True, timeout=300,
                              cwd=self.directory, env=self.environment, check=False)
        said = f"{done.stdout!r} {done.stderr.decode()}"
        same(f"{self.path.name} {' '.join(words)}: exit code, with {said}", done.returncode, status)
        return done

    def stops(self, reason, status, *words):
        """Stopped for this reason: one report, one error, nothing on stdout."""
        what = f"{self.path.name} {' '.join(words)}"
        done = self.run(*words, "--report", "stop.json", status=status)
        same(f"{what}: stdout", done.stdout, b"")
        same(f"{what}: errors in {done.stderr}", done.stderr.count(b"error:"), 1)
        same(f"{what}: stops in {done.stderr}", done.stderr.count(b" stopped: "), 1)
        lines = (self.directory / "stop.json").read_text(encoding="utf-8").splitlines()
        same(f"{what}: lines of the report", len(lines), 1)
        report = json.loads(lines[0])
        same(f"{what}: outcome", report["outcome"], "stopped")
        same(f"{what}: reason", report["stop"]["reason"], reason)
        return report

    def starved(self, *words, fuel):
        report = self.stops("fuel_exhausted", 105, *words, "--fuel", str(fuel))
        same(f"{self.path.name}: budget", report["limits"]["fuel"], fuel)
        # Past the budget by one straight line of code at most.
        used = report["usage"]["fuel"]
        assert fuel <= used < fuel + 1_000, f"{self.path.name}: fuel {used} of {fuel}"

    def late(self, *words, timeout, timeout_ns):
        report = self.stops("timeout", 124, *words, "--timeout", timeout)
        same(f"{self.path.name}: budget", report["limits"]["timeout_ns"], timeout_ns)
        assert report["usage"]["wall_ns"] >= timeout_ns, f"{self.path.name}: wall {report['usage']['wall_ns']} ns"


def says_hello(guest):
    greeting = f"{LANGUAGES[guest.path.name]} says hello "
    for who in ("world", "grüße"):
        done = guest.run("--invoke", f'run("{who}")')
        same(f"{guest.path.name}: stdout", done.stdout.decode(), f'"{greeting}{who}"\n')
        same(f"{guest.path.name}: stderr", done.stderr, b"")
    reported = guest.run("--invoke", 'run("world")', "--report", "-")
    result, line = reported.stdout.decode().splitlines()
    same(f"{guest.path.name}: result", result, f'"{greeting}world"')
    report = json.loads(line)
    same(f"{guest.path.name}: outcome", report["outcome"], "returned")
    same(f"{guest.path.name}: stop", report["stop"], None)
    same(f"{guest.path.name}: result in the report", report["result"], greeting + "world")
    same(f"{guest.path.name}: precision", report["usage"]["fuel_precision"], "exact")
    for figure in ("fuel", "cpu_ns", "wall_ns", "running_ns", "memory_peak_bytes", "bytes_in", "bytes_out", "slices"):
        assert report["usage"][figure] > 0, f"{guest.path.name}: {figure} is {report['usage'][figure]}"


def meets_its_limits(guest):
    call = ("--invoke", 'run("world")')
    guest.starved(*call, fuel=20)
    # Whatever it does takes longer: a return after the deadline is a timeout too.
    guest.late(*call, timeout="1ns", timeout_ns=1)


def command_has_its_grants(guest):
    same("greet", guest.run("--env", "WHO=wörld", "greet").stdout, "c command says hello wörld\n".encode())
    same("greet, nobody's environment", guest.run("greet").stdout, b"c command says hello nobody\n")
    same("cat from stdin", guest.run("cat", stdin=b"one\ntwo\n").stdout, b"one\ntwo\n")
    (guest.directory / "data").mkdir()
    (guest.directory / "data/x").write_bytes(b"from a file\n")
    same("cat of a file", guest.run("--dir", "data::/data", "cat", "/data/x").stdout, b"from a file\n")
    same("cat of --stdin", guest.run("--stdin", "data/x", "--", "cat").stdout, b"from a file\n")
    # WASI 0.2's exit knows only success and failure: the adapter for wasi-libc makes 1 of every other status.
    same("an exit", guest.run("7", status=1).stdout, b"")
    guest.run("0")
    refused = guest.run("--dir", "data::/data", "--report", "denied.json", "write", "/data/y", status=1)
    same("a command's own exit needs no words", refused.stderr, b"")
    denied = json.loads((guest.directory / "denied.json").read_text(encoding="utf-8"))
    same("reason", (denied["stop"]["reason"], denied["stop"]["exit_status"]), ("exited", 1))
    same("denied", [(d["capability"], d["target"]) for d in denied["denials"]], [("filesystem", "y")])
    assert not (guest.directory / "data/y").exists(), "a read-only directory was written to"
    guest.run("--dir", "data::/data:rw", "write", "/data/y")
    same("the file on disk", (guest.directory / "data/y").read_bytes(), b"written\n")


def command_meets_its_limits(guest):
    # Starting takes some 20,000: with ten times that it is stopped in its loop.
    guest.starved("spin", fuel=200_000)
    guest.late("spin", "--fuel", "1000000G", timeout="100ms", timeout_ns=100_000_000)


def main():
    """The exit code: 0, or 77 when a guest is missing."""
    built = os.environ.get("AIRSSYS_WASM_GUESTS")
    missing = [name for name in NEEDS if not built or not Path(built, name).is_file()]
    with tempfile.TemporaryDirectory(prefix="airssys-guests-") as directory:
        directory = Path(directory)
        environment = {**os.environ, "XDG_CACHE_HOME": str(directory), "LC_ALL": "C.UTF-8"}
        if built:
            # Where the library's test keeps them too: compiled once a machine, not once a clone.
            artefacts = Path(built, "artefacts").resolve()
            artefacts.mkdir(mode=0o700, exist_ok=True)
            (directory / "airssys-wasm").mkdir()
            (directory / "airssys-wasm/artefacts").symlink_to(artefacts)
        for name in (name for name in NEEDS if name not in missing):
            guest = Guest(Path(built, name).resolve(), directory, environment)
            if name == "command.wasm":
                command_has_its_grants(guest)
                command_meets_its_limits(guest)
            else:
                says_hello(guest)
                meets_its_limits(guest)
    for name in missing:
        print(f"{name} is not built, which takes {NEEDS[name]}: ./dev test builds it and says what is missing")
    print(f"{len(NEEDS) - len(missing)} guests passed, {len(missing)} missing")
    if not missing:
        return 0
    return 1 if os.environ.get("AIRSSYS_WASM_CI") else SKIPPED


sys.exit(main())
