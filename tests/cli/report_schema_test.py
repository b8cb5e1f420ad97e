"""Every reason that the command can end with: its report fits the published schema, and its reason and exit code are a
pair of the table in error.hpp. The schema knows every reason of that table.

Usage: report_schema_test.py PROGRAM SOURCE CACHE
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema

program, source, cache = (Path(p).resolve() for p in sys.argv[1:4])
schema = json.loads((source / "docs/report.schema.json").read_text(encoding="utf-8"))
header = (source / "include/airssys/wasm/error.hpp").read_text(encoding="utf-8")
EXIT_CODES = {reason: int(code) for reason, code in re.findall(r'ReasonInfo\{"\w+", "(\w+)", (-?\d+),', header)}
# The command runs one component and offers no functions of its own.
NOT_AT_A_SHELL = {"queue_full", "queue_timeout", "host_failed"}


def component(core, imports="", lift='(func (export "run") (result s32) (canon lift (core func $i "run")))', given=""):
    return f'(component {imports} (core module $m {core}) (core instance $i (instantiate $m {given})) {lift})'


def run_guest(body, fields=""):
    return component(f'{fields} (func (export "run") (result i32) {body})')


COMMAND = '''(func $run (result (result)) (canon lift (core func $i "run")))
  (instance $runs (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $runs))'''
SLEEP = '''
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $sleep (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))'''
LOOKUP = '''
  (import "wasi:sockets/network@0.2.0" (instance $network (export "network" (type $n (sub resource)))
    (type $ec' (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
      "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted"
      "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
    (export "error-code" (type $ec (eq $ec')))))
  (alias export $network "network" (type $net)) (alias export $network "error-code" (type $error))
  (import "wasi:sockets/instance-network@0.2.0" (instance $ours (alias outer 1 $net (type $on))
    (export "network" (type $n (eq $on))) (export "instance-network" (func (result (own $n))))))
  (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $lookup
    (export "resolve-address-stream" (type $s (sub resource)))
    (alias outer 1 $net (type $on)) (export "network" (type $n (eq $on)))
    (alias outer 1 $error (type $oe)) (export "error-code" (type $ec (eq $oe)))
    (export "resolve-addresses" (func (param "network" (borrow $n)) (param "name" string)
      (result (result (own $s) (error $ec)))))))
  (core module $memory (memory (export "mem") 1) (data (i32.const 64) "example.org"))
  (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem))
  (core func $network (canon lower (func $ours "instance-network")))
  (core func $resolve (canon lower (func $lookup "resolve-addresses") (memory $mem)))'''
STDOUT = '''
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $e))
  (import "wasi:io/streams@0.2.0" (instance $streams (alias outer 1 $e (type $oe)) (export "error" (type $err (eq $oe)))
    (export "output-stream" (type $out (sub resource)))
    (type $se' (variant (case "last-operation-failed" (own $err)) (case "closed")))
    (export "stream-error" (type $se (eq $se')))
    (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out))
      (param "contents" (list u8)) (result (result (error $se)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout (alias outer 1 $output (type $oo))
    (export "output-stream" (type $o (eq $oo))) (export "get-stdout" (func (result (own $o))))))
  (core module $memory (memory (export "mem") 1) (data (i32.const 64) "on\\n"))
  (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem))
  (core func $stdout (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))'''

GROW = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)) i32.const 1"
GUESTS = {
    "hello.wat": run_guest("i32.const 42"),
    "loop.wat": run_guest("(loop $l (br $l)) i32.const 0"),
    "crash.wat": run_guest("unreachable"),
    "divide.wat": run_guest("(i32.div_s (i32.const 1) (i32.const 0))"),
    "deep.wat": run_guest("(call $f) i32.const 1", "(func $f (call $f))"),
    "greedy.wat": run_guest(GROW, "(memory 1)"),
    "large.wat": run_guest("i32.const 1", "(memory 100)"),
    "many.wat": run_guest("i32.const 1", "(memory 0) (memory 0)"),
    "broken.wat": "(component (core module",
    "core.wasm": b"\0asm\1\0\0\0",
    "missing.wat": component('(func (export "run") (result i32) i32.const 1)',
                             '(import "acme:a/b@1.0.0" (instance (export "f" (func (param "n" u32)))))'),
    "echo.wat": component(
        '''(memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top)
          (global.set $top (i32.add (global.get $top) (local.get 3))))
        (func (export "run") (param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0))
          (i32.store (i32.const 20) (local.get 1)) i32.const 16)''',
        lift='''(func (export "run") (param "s" string) (result string)
          (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc"))))'''),
    # The first call into WASI takes the rest of the fuel; nothing looks at it before the clock runs out in the sleep.
    "sleepy.wat": component(
        '''(import "" "sleep" (func $sleep (param i64) (result i32))) (import "" "block" (func $block (param i32)))
        (func (export "run") (result i32) (call $block (call $sleep (i64.const 60000000000))) i32.const 1)''',
        SLEEP, given='(with "" (instance (export "sleep" (func $sleep)) (export "block" (func $block))))'),
    "lookup.wat": component(
        '''(import "" "network" (func $network (result i32)))
        (import "" "resolve" (func $resolve (param i32 i32 i32 i32)))
        (func (export "run") (result i32) (call $resolve (call $network) (i32.const 64) (i32.const 11) (i32.const 8))
          i32.const 1)''',
        LOOKUP, given='(with "" (instance (export "network" (func $network)) (export "resolve" (func $resolve))))'),
    "exit.wat": component(
        '''(import "" "exit" (func $exit (param i32)))
        (func (export "run") (result i32) (call $exit (i32.const 1)) unreachable)''',
        '''(import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
        (core func $exit (canon lower (func $exit "exit")))''',
        COMMAND, '(with "" (instance (export "exit" (func $exit))))'),
    # Wasmtime 48 takes this for impossible.
    "bug.wat": component('(import "" "return" (func $return (param i32))) (func (export "run") (result i32) (call $return (i32.const 1)) i32.const 1)',
                         "(core func $return (canon task.return (result s32)))",
                         given='(with "" (instance (export "return" (func $return))))'),
    "failing.wat": component('(func (export "run") (result i32) i32.const 1)', lift=COMMAND),
    # Says when it runs.
    "endless.wat": component(
        '''(import "" "stdout" (func $stdout (result i32))) (import "" "write" (func $write (param i32 i32 i32 i32)))
        (func (export "run") (result i32) (call $write (call $stdout) (i32.const 64) (i32.const 3) (i32.const 16))
          (loop $l (br $l)) i32.const 0)''',
        STDOUT, COMMAND, '(with "" (instance (export "stdout" (func $stdout)) (export "write" (func $write))))'),
}
CALL = ("--invoke", "run()")
# What it ends with, how far it came, and how: the reason is `returned` where nothing stopped it.
CASES = [
    ("returned", None, "hello.wat", *CALL),
    ("returned", None, "hello.wat", *CALL, "--epochs"),
    ("returned", None, "hello.wat", *CALL, "--no-cache", "--random-seed", "1"),
    ("returned", None, "echo.wat", "--invoke", "run(\"\\u{1}\\\"\u00df\")"),
    ("returned", None, "lookup.wat", *CALL),
    ("returned", None, "greedy.wat", *CALL),
    ("load_failed", "load", "broken.wat", *CALL),
    ("load_failed", "load", "core.wasm", *CALL),
    ("load_failed", "load", "absent.wat", *CALL),
    ("load_failed", "load", "hello.wat", *CALL, "--precompiled"),
    ("link_failed", "link", "missing.wat", *CALL),
    ("bad_call", "link", "hello.wat", "--invoke", "ran()"),
    ("bad_call", "link", "hello.wat", "--invoke", "run(1)"),
    ("bad_call", "link", "echo.wat", "--invoke", "run", "--args-json", "[1]"),
    ("bad_call", "link", "hello.wat"),
    ("fuel_exhausted", "call", "loop.wat", *CALL, "--fuel", "1K"),
    ("cpu_limit", "call", "sleepy.wat", *CALL, "--fuel", "10", "--timeout", "200ms"),
    ("cpu_time", "call", "loop.wat", *CALL, "--fuel", "1000000G", "--cpu-time", "20ms"),
    ("memory_limit", "call", "greedy.wat", *CALL, "--memory", "1MiB"),
    ("memory_limit", "call", "greedy.wat", *CALL, "--memory", "1MiB", "--stop-on-refused-growth"),
    ("memory_limit", "instantiate", "large.wat", *CALL, "--memory", "1MiB"),
    ("stack_overflow", "call", "deep.wat", *CALL),
    ("resource_limit", "instantiate", "many.wat", *CALL, "--memories", "1"),
    ("resource_limit", "call", "endless.wat", "--output", "2"),
    ("resource_limit", "call", "echo.wat", "--invoke", 'run("abc")', "--host-buffer", "2"),
    ("trap", "call", "crash.wat", *CALL),
    ("trap", "call", "divide.wat", *CALL),
    ("capability_denied", "call", "lookup.wat", *CALL, "--stop-on-denied"),
    ("timeout", "call", "loop.wat", *CALL, "--fuel", "1000000G", "--timeout", "20ms"),
    ("timeout", "call", "loop.wat", *CALL, "--epochs", "--timeout", "20ms"),
    ("host_bug", "post_return", "bug.wat", *CALL),
    ("exited", "call", "exit.wat"),
    ("exited", "call", "exit.wat", *CALL[:1], "wasi:cli/run@0.2.0#run()"),
    ("exited", "call", "failing.wat"),
]
REFUSED_IN = ("queue", "load", "link")


def check(name, reason, phase, exit_code, report):
    """What is wrong with the report of one run."""
    complaints = [f"{name}: {error.json_path}: {error.message}"
                  for error in jsonschema.Draft7Validator(schema).iter_errors(report)]
    stop = report["stop"]
    found = (stop["reason"], stop["phase"]) if stop else ("returned", None)
    if found != (reason, phase):
        complaints.append(f"{name}: ends with {found}, not {(reason, phase)}: {stop}")
        return complaints
    outcome = "returned" if not stop else "refused" if phase in REFUSED_IN else "stopped"
    if report["outcome"] != outcome:
        complaints.append(f"{name}: the outcome is {report['outcome']}, not {outcome}")
    expected = EXIT_CODES[reason] if stop else 0
    if expected < 0:
        expected = stop["exit_status"]
    elif stop and stop["exit_status"] is not None:
        complaints.append(f"{name}: {reason} has an exit status of the guest: {stop['exit_status']}")
    if exit_code != expected:
        complaints.append(f"{name}: the exit code is {exit_code}, not {expected}")
    return complaints


def environment(home):
    return {**os.environ, "XDG_CACHE_HOME": str(home)}


def run(directory, *words, command=program, home=cache):
    """The command's exit code and its report."""
    done = subprocess.run([command, "run", "--report", "report.json", *words], cwd=directory, env=environment(home),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    return done.returncode, json.loads((directory / "report.json").read_text(encoding="utf-8"))


def interrupted(directory):
    """Ctrl-C to a guest that runs."""
    words = [program, "run", "--report", "report.json", "endless.wat", "--fuel", "1000000G", "--timeout", "20s"]
    with subprocess.Popen(words, cwd=directory, env=environment(cache), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout.readline() == b"on\n"
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
    return child.returncode, json.loads((directory / "report.json").read_text(encoding="utf-8"))


def without_helper(directory):
    """Without the program that compiles, which stands beside it."""
    (directory / "alone").mkdir()
    alone = shutil.copy(program, directory / "alone")
    return run(directory, "hello.wat", *CALL, command=alone, home=directory / "cache")


def main():
    """1 and the complaints when anything is not as it is written."""
    jsonschema.Draft7Validator.check_schema(schema)
    complaints, met = [], set()
    with tempfile.TemporaryDirectory(prefix="airssys-reports-") as directory:
        directory = Path(directory)
        for name, text in GUESTS.items():
            (directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        runs = [(" ".join(words), reason, phase, lambda words=words: run(directory, *words))
                for reason, phase, *words in CASES]
        runs.append(("endless.wat, then Ctrl-C", "cancelled", "call", lambda: interrupted(directory)))
        runs.append(("hello.wat without the helper", "host_exhausted", "load", lambda: without_helper(directory)))
        for name, reason, phase, ended in runs:
            met.add(reason)
            complaints += check(name, reason, phase, *ended())
    known = schema["properties"]["stop"]["oneOf"][1]["properties"]["reason"]["enum"]
    if list(EXIT_CODES) != known or len(known) != header.count('ReasonInfo{"'):
        complaints.append(f"the schema's reasons {known} are not those of the header {list(EXIT_CODES)}")
    if met - {"returned"} != set(EXIT_CODES) - NOT_AT_A_SHELL:
        complaints.append(f"no run ends with {set(EXIT_CODES) - NOT_AT_A_SHELL - met}")
    for complaint in complaints:
        print(complaint)
    print(f"{len(runs)} runs, {len(complaints)} complaints")
    return 1 if complaints else 0


sys.exit(main())
