"""Golden transcripts of the command, piped and on a terminal, for every reason that it can end with and for usage errors.

Usage: transcript_test.py PROGRAM SOURCE CACHE [--update]

transcripts.txt holds the commands and what a person sees; times and what depends on them are written as <time>, <n>. Every
`help:` line that names something to type is typed, and must work.
"""
import os
import pty
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

program, source, cache = (Path(p).resolve() for p in sys.argv[1:4])
update = "--update" in sys.argv
golden = source / "tests/cli/transcripts.txt"


def component(core, lifts, before=""):
    return f"(component {before} (core module $m {core}) (core instance $i (instantiate $m)) {lifts})"


def run_guest(body, fields=""):
    return component(f'{fields} (func (export "run") (result i32) {body})',
                     '(func (export "run") (result s32) (canon lift (core func $i "run")))')


LOOP = "(loop $l (br $l)) i32.const 0"
# Each of many branches looks for its label among many, which takes a parser some seconds.
SLOW = f"(component (core module (func {' '.join(f'block $l{i}' for i in range(30_000))} i32.const 0 br_table {'$l0 ' * 60_000}{'end ' * 30_000})))"
GUESTS = {
    "hello.wat": run_guest("i32.const 42"),
    "loop.wat": run_guest(LOOP),
    "crash.wat": run_guest("unreachable"),
    "deep.wat": run_guest("call $f", "(func $f (result i32) call $f i32.const 1 i32.add)"),
    "greedy.wat": run_guest("(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)) i32.const 1", "(memory 1)"),
    "large.wat": run_guest("i32.const 1", "(memory 100)"),
    "many.wat": run_guest("i32.const 1", "(memory 0) (memory 0) (memory 0)"),
    "two words.wat": run_guest("i32.const 42"),
    "missing.wat": component('(func (export "run") (result i32) i32.const 1)',
                             '(func (export "run") (result s32) (canon lift (core func $i "run")))',
                             '(import "acme:a/b@1.0.0" (instance (export "f" (func (param "n" u32)))))'),
    "broken.wat": "(component (core module",
    "empty.wat": "",
    "prose.wat": "Once upon a time",
    "greet.wat": component('(memory (export "mem") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)'
                           ' (func (export "greet") (param i32 i32) (result i32) i32.const 7)',
                           '(func (export "greet") (param "name" string) (result s32) (canon lift (core func $i "greet") '
                           '(memory $i "mem") (realloc (func $i "realloc"))))'),
    "exit.wat": '''(component (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
      (core func $exit (canon lower (func $exit "exit")))
      (core module $m (import "" "exit" (func $exit (param i32))) (func (export "run") (result i32) (call $exit (i32.const 1)) unreachable))
      (core instance $i (instantiate $m (with "" (instance (export "exit" (func $exit))))))
      (func $run (result (result)) (canon lift (core func $i "run")))
      (instance $runs (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $runs)))''',
    # Wasmtime 48 takes this for impossible.
    "bug.wat": '''(component (core func $return (canon task.return (result s32)))
      (core module $m (import "" "return" (func $return (param i32))) (func (export "run") (result i32) (call $return (i32.const 1)) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "return" (func $return))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))''',
    "tasks.wat": (source / "tests/support/waiting_tasks.wat").read_text(encoding="utf-8"),
    "fields.wat": '''(component
      (import "wasi:http/types@0.2.0" (instance $types (export "fields" (type $f (sub resource)))
        (type $he' (variant (case "invalid-syntax") (case "forbidden") (case "immutable"))) (export "header-error" (type $he (eq $he')))
        (export "[constructor]fields" (func (result (own $f))))
        (export "[method]fields.append" (func (param "self" (borrow $f)) (param "name" string) (param "value" (list u8)) (result (result (error $he)))))))
      (core module $memory (memory (export "mem") 1) (data (i32.const 8) "x")) (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem))
      (core func $new (canon lower (func $types "[constructor]fields"))) (core func $append (canon lower (func $types "[method]fields.append") (memory $mem)))
      (core module $m (import "" "new" (func $new (result i32))) (import "" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
        (func (export "run") (result i32) (local $f i32) (local.set $f (call $new))
          (loop $l (call $append (local.get $f) (i32.const 8) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)) (br $l)) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "new" (func $new)) (export "append" (func $append))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))''',
    "letter.wat": component('(func (export "f") (param i32) (result i32) i32.const 1)',
                            '(func (export "f") (param "c" char) (result s32) (canon lift (core func $i "f")))'),
    # The first call takes the rest of the fuel; nothing looks at it before the clock runs out in the sleep.
    "sleepy.wat": '''(component
      (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource))) (export "[method]pollable.block" (func (param "self" (borrow $p))))))
      (alias export $poll "pollable" (type $pollable))
      (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
      (core func $sleep (canon lower (func $clock "subscribe-duration"))) (core func $block (canon lower (func $poll "[method]pollable.block")))
      (core module $m (import "" "sleep" (func $sleep (param i64) (result i32))) (import "" "block" (func $block (param i32)))
        (func (export "run") (result i32) (call $block (call $sleep (i64.const 60000000000))) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "sleep" (func $sleep)) (export "block" (func $block))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))''',
    "tables.wat": run_guest("i32.const 1", "(table 1 funcref) (table 1 funcref)"),
    "twice.wat": """(component (core module $m (func (export "run") (result i32) i32.const 1)) (core instance $i (instantiate $m))
      (core instance (instantiate $m)) (func (export "run") (result s32) (canon lift (core func $i "run"))))""",
    "text.wat": component('(memory (export "mem") 1) (data (i32.const 16) "\\40\\00\\00\\00\\e8\\03\\00\\00") (func (export "run") (result i32) i32.const 16)',
                          '(func (export "run") (result string) (canon lift (core func $i "run") (memory $i "mem")))'),
    # Timers that are never dropped.
    "timers.wat": """(component
      (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))))
      (alias export $poll "pollable" (type $pollable))
      (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
      (core func $timer (canon lower (func $clock "subscribe-duration")))
      (core module $m (import "" "timer" (func $timer (param i64) (result i32)))
        (func (export "run") (result i32) (local $n i32) (local.set $n (i32.const 20))
          (loop $l (drop (call $timer (i64.const 1))) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "timer" (func $timer))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))""",
    "random.wat": """(component
      (import "wasi:random/random@0.2.0" (instance $random (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
      (core module $libc (memory (export "mem") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64))
      (core instance $libc (instantiate $libc))
      (core func $bytes (canon lower (func $random "get-random-bytes") (memory $libc "mem") (realloc (func $libc "realloc"))))
      (core module $m (import "" "bytes" (func $bytes (param i64 i32)))
        (func (export "run") (result i32) (call $bytes (i64.const 20) (i32.const 16)) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "bytes" (func $bytes))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))""",
    "socket.wat": '''(component
      (import "wasi:sockets/network@0.2.0" (instance $network (type $ec' (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout" "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
        (export "error-code" (type $ec (eq $ec'))) (type $f' (enum "ipv4" "ipv6")) (export "ip-address-family" (type $f (eq $f')))))
      (alias export $network "error-code" (type $error)) (alias export $network "ip-address-family" (type $family))
      (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type $s (sub resource))))) (alias export $tcp "tcp-socket" (type $socket))
      (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create (alias outer 1 $socket (type $os)) (export "tcp-socket" (type $s (eq $os)))
        (alias outer 1 $error (type $oe)) (export "error-code" (type $ec (eq $oe))) (alias outer 1 $family (type $of)) (export "ip-address-family" (type $f (eq $of)))
        (export "create-tcp-socket" (func (param "address-family" $f) (result (result (own $s) (error $ec)))))))
      (core module $memory (memory (export "mem") 1)) (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem))
      (core func $do (canon lower (func $create "create-tcp-socket") (memory $mem)))
      (core module $m (import "" "do" (func $do (param i32 i32))) (func (export "run") (result i32) (call $do (i32.const 0) (i32.const 8)) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "do" (func $do))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))''',
}
# The command, and the signal that it is sent after a while, if any.
COMMANDS = [
    "run hello.wat --invoke run()",
    "run loop.wat --invoke run() --fuel 10K",
    "run loop.wat --invoke run() --fuel 1000G --timeout 30ms",
    "run loop.wat --invoke run() --fuel 1000G --timeout 10s --cpu-time 30ms",
    "run sleepy.wat --invoke run() --fuel 10 --timeout 30ms",
    "run loop.wat --invoke run() --epochs --timeout 30ms",
    "run greedy.wat --invoke run() --memory 1MiB",
    "run greedy.wat --invoke run() --memory 1MiB --stop-on-refused-growth",
    "run large.wat --invoke run() --memory 1MiB",
    "run many.wat --invoke run() --memories 2",
    "run deep.wat --invoke run()",
    "run crash.wat --invoke run()",
    "run bug.wat --invoke run()",
    "run fields.wat --invoke run()",
    "run exit.wat",
    "run socket.wat --invoke run()",
    "run socket.wat --invoke run() --stop-on-denied",
    "run missing.wat --invoke run()",
    "run broken.wat --invoke run()",
    "run empty.wat --invoke run()",
    "run prose.wat --invoke run()",
    "run absent.wat --invoke run()",
    "run hello.wat --invoke ran()",
    "run hello.wat --invoke run(1)",
    "run hello.wat --invoke run(",
    "run greet.wat --invoke greet --args-json [1]",
    "run greet.wat --invoke greet --args-json [",
    "run greet.wat",
    "run 'two words.wat'",
    "run letter.wat",
    "compile hello.wat -o 'other words'",
    "compile hello.wat -o native",
    "run --precompiled native",
    "run --precompiled native --invoke walk()",
    "inspect --precompiled native",
    "run hello.wat --fuel lots",
    "run hello.wat --memory 16MB --invoke run()",
    "run hello.wat --timeout 5x --invoke run()",
    "run hello.wat --fuel 0 --invoke run()",
    "run hello.wat --dir data --invoke run()",
    "run hello.wat --dir data::/d:wr --invoke run()",
    "run socket.wat --dir absent::/d --invoke run()",
    "run hello.wat --env =NAME --invoke run()",
    "run hello.wat --dir .::/d --dir .::/d/ --invoke run()",
    "run hello.wat --dir .:ro:rw --invoke run()",
    "hello.wat --invoke run()",
    "run -q hello.wat --invoke run()",
    "run hello.wat --invoke run --args-json @absent",
    "run hello.wat --fule 3",
    "run hello.wat --fuel 5000000000G --invoke run()",
    "run hello.wat --timeout 99999h --invoke run()",
    "run hello.wat --stack 1GiB --invoke run()",
    "run hello.wat --random-seed -1 --invoke run()",
    "run hello.wat --coarse-clock 0s --invoke run()",
    "run hello.wat --component-size 20B --invoke run()",
    "run hello.wat --compile-cpu-time 1500ms --invoke run()",
    "run hello.wat --epochs --fuel 1M --invoke run()",
    "run hello.wat --args-json []",
    "run hello.wat --invoke run() --args-json []",
    "run hello.wat --invoke run() --report absent/report.json",
    "run exit.wat --stdin absent",
    "run exit.wat --loud",
    "run exit.wat -- --loud",
    "run",
    "rum hello.wat",
    "validate broken.wat",
    "compile broken.wat -o broken.cwasm",
    "inspect absent.wat",
    "compile hello.wat",
    "compile hello.wat -o .",
    "compile hello.wat -o absent/native",
    "compile hello.wat -o hello.wat",
    "run hello.wat --invoke run() --report hello.wat",
    "run --precompiled hello.wat --invoke run()",
    "run tasks.wat --invoke run() --async-resources 30",
    "run tables.wat --invoke run() --tables 1",
    "run twice.wat --invoke run() --instances 1",
    "run timers.wat --invoke run() --handles 10",
    "run timers.wat --invoke run() --wasi-resources 10",
    "run timers.wat --invoke run() --host-calls 10",
    "run random.wat --invoke run() --random 10B",
    "run text.wat --invoke run() --host-buffer 100B",
    "run hello.wat --invoke run() --no-cache --artefact-size 100B",
    "run hello.wat --invoke run() --no-cache --compile-memory 1MiB",
    "run hello.wat --invoke run() --load-limit functions=0",
    "run hello.wat --invoke run() --load-limit text_bytes=10B",
    "run hello.wat --invoke run() --load-limit nestin=100",
    "run hello.wat --invoke run() --load-limit nesting=deep",
    "run hello.wat --invoke run()  # with 6 file descriptors",
    "run loop.wat --invoke run() --fuel 100000G --timeout 20s  # then Ctrl-C",
]
INTERRUPT = "  # then Ctrl-C"
FEW_FILES = re.compile(r"  # with (\d+) file descriptors$")


def environment():
    return {**os.environ, "XDG_CACHE_HOME": str(cache), "TERM": "xterm", "COLUMNS": "120", "LC_ALL": "C.UTF-8"}


def words_of(command):
    return [str(program), *shlex.split(command, comments=True)]


def restrict(command):
    """In the child: takes from it what the command says."""
    if few := FEW_FILES.search(command):
        os.closerange(3, 1024)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(few.group(1)),) * 2)


def until_it_spins(pid):
    """Loading takes less CPU time than this."""
    late = time.monotonic() + 20
    while time.monotonic() < late:
        user, system = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1].split()[11:13]
        if (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") >= 0.4:
            return
        time.sleep(0.01)


def piped(command, directory):
    child = subprocess.Popen(words_of(command), cwd=directory, env=environment(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=lambda: restrict(command))
    if command.endswith(INTERRUPT):
        until_it_spins(child.pid)
        child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    return out.decode(), child.returncode


def terminal(command, directory):
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(directory)
        restrict(command)
        os.execve(program, words_of(command), environment())
    if command.endswith(INTERRUPT):
        until_it_spins(pid)
        os.write(master, b"\x03")
    out = b""
    while select.select([master], [], [], 30)[0]:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            break
        if not chunk:
            break
        out += chunk
    os.close(master)
    return out.decode().replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def steady(text, timed):
    """What differs from run to run: times, and with them fuel and shares when a clock ended the run."""
    text = re.sub(r"\b\d+(\.\d+)? (ns|us|ms|s)\b(?! reached)", "<time>", text)
    if timed:
        text = re.sub(r"fuel (at least )?[\d.]+ ?[KMGT]? of", "fuel <n> of", text)
        text = re.sub(r"\(\d+ %\)", "(<n> %)", text)
    # Compiled code is of another size on another processor.
    text = re.sub(r"artefact_bytes \(\d+ bytes", "artefact_bytes (<n> bytes", text)
    text = re.sub(r"--artefact-size \d+KiB", "--artefact-size <n>KiB", text)
    # Progress of what takes over a second redraws its line.
    text = re.sub(r"\r[^\n]*\r|\x1b\[2?K", "", text)
    return text.replace("\x1b", "<esc>")


def type_the_help(command, text, before, directory):
    """Does what the help line says and answers with a complaint, or nothing."""
    found = re.search(r"help: +(.*)", text)
    if not found:
        return None
    advice = found.group(1).rstrip()
    base = command.replace(INTERRUPT, "")
    typed = re.search(r"airssys-wasm (\S.*)", advice)
    if raised := re.search(r"raise (?:it|both) with ((?:--[a-z-]+ \S+ ?)+)", advice):
        options = raised.group(1).split()
        again = base
        for name, value in zip(options[::2], options[1::2]):
            again = re.sub(rf" {name} \S+", "", again) + f" {name} {value}"
    elif meant := re.search(r"did you mean ([^: ]+):.*\(all: airssys-wasm (.*)\)$", advice):
        listing, status = piped(meant.group(2), directory)
        if status != 0:
            return f"'{meant.group(2)}' ends with {status}: {listing}"
        again = re.sub(r"--invoke \S+", f"--invoke {meant.group(1)}()", base)
    elif without := re.match(r"run without (--[a-z-]+)", advice):
        again = base.replace(f" {without.group(1)}", "")
    elif typed:
        again = typed.group(1)
    elif good := re.search(r"(--[a-z-]+) (\S+)$", advice):
        again = re.sub(rf" {good.group(1)} \S+", f" {good.group(1)} {good.group(2)}", base)
    else:
        return None if advice.startswith(PROSE) else f"nothing to type in: {advice}"
    out, status = piped(again, directory)
    # A raised limit may be met again.
    if status != 0 and not (raised and status == before):
        return f"'{again}' ends with {status}: {out}"
    return None


def kept(command):
    """What transcripts.txt has for it."""
    text = golden.read_text()
    begin = text.index(f"$ airssys-wasm {command}\n")
    end = text.find("\n$ airssys-wasm ", begin)
    return text[begin:] if end < 0 else text[begin:end + 1]


# Advice that names no command because there is none to name.
PROSE = ("its type is ", "write ", "a record is ", "close the string ", "compose it with ", "build it without ", "components are made by ", "let this process open more files", "write it like ", "give the path of ", "name a directory that ")


def main():
    """Runs all commands both ways; 1 and the differences when anything is not as written down."""
    directory = Path(tempfile.mkdtemp(prefix="airssys-transcripts-"))
    (directory / "data").mkdir()
    for name, text in GUESTS.items():
        (directory / name).write_text(text)
    written, complaints = [], []
    for command in COMMANDS:
        if FEW_FILES.search(command) and "ASAN_OPTIONS" in os.environ:
            print(f"not run: {command}: the sanitizer needs descriptors itself")
            written.append(kept(command))
            continue
        timed = "--timeout 30ms" in command or "--cpu-time" in command or command.endswith(INTERRUPT)
        out, status = piped(command, directory)
        shown, shown_status = terminal(command, directory)
        if shown_status != status:
            complaints.append(f"{command}: {status} piped, {shown_status} on a terminal")
        if why := type_the_help(command, out, status, directory):
            complaints.append(f"{command}: help: {why}")
        written.append(f"$ airssys-wasm {command}\n{steady(out, timed)}[exit {status}]\n--- on a terminal\n{steady(shown, timed)}\n")
    # What takes over a second says so meanwhile: the guest, or its loading.
    (directory / "slow.wat").write_text(SLOW)
    for command, progress in (("run loop.wat --invoke run() --fuel 1000G --timeout 1500ms", "running 1"),
                              ("validate slow.wat --load-timeout 1500ms --load-limit text_bytes=10MiB", "slow.wat")):
        shown, _ = terminal(command, directory)
        if not re.search(rf"\r\x1b\[K[^\r\n]*{re.escape(progress)}[^\r\n]*\r\x1b\[K", shown):
            complaints.append(f"{command}: no progress in {shown!r}")
    shutil.rmtree(directory)
    text = "".join(written)
    if update:
        golden.write_text(text)
    elif text != golden.read_text():
        import difflib
        difference = difflib.unified_diff(golden.read_text().splitlines(), text.splitlines(), "transcripts.txt", "now", lineterm="")
        complaints.append("\n".join(difference))
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())
