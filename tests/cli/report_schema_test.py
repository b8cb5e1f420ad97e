"""Every report that the command writes fits the published schema, and the schema knows every reason.

Arguments: the program, the source directory, a directory for the compiled components.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema

program, source, cache = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
schema = json.loads((source / "docs/report.schema.json").read_text(encoding="utf-8"))
jsonschema.Draft7Validator.check_schema(schema)

MODULE = '(component (core module $m {core}) (core instance $i (instantiate $m)) ' \
         '(func (export "run") (result s32) (canon lift (core func $i "run"))))'
RUN = '(func (export "run") (result i32) {body})'
CASES = {
    "returned": (RUN.format(body="i32.const 1"), []),
    "fuel_exhausted": (RUN.format(body="(loop $l (br $l)) i32.const 1"), ["--fuel", "1K"]),
    "timeout": (RUN.format(body="(loop $l (br $l)) i32.const 1"), ["--fuel", "1000G", "--timeout", "20ms"]),
    "cpu_time": (RUN.format(body="(loop $l (br $l)) i32.const 1"), ["--fuel", "1000G", "--cpu-time", "20ms"]),
    "trap": (RUN.format(body="unreachable"), []),
    "memory_limit": ("(memory 100)" + RUN.format(body="i32.const 1"), ["--memory", "1MiB"]),
    "resource_limit": ("(memory 1)(memory 1)" + RUN.format(body="i32.const 1"), ["--memories", "1"]),
    "stack_overflow": ("(func $r (call $r))" + RUN.format(body="(call $r) i32.const 1"), []),
}

failures = 0
with tempfile.TemporaryDirectory() as directory:
    for reason, (core, options) in CASES.items():
        guest = pathlib.Path(directory) / "guest.wat"
        guest.write_text(MODULE.format(core=core), encoding="utf-8")
        report_path = pathlib.Path(directory) / "report.json"
        subprocess.run([program, "run", str(guest), "--invoke", "run()", "--report", str(report_path), *options],
                       env={**os.environ, "XDG_CACHE_HOME": cache}, capture_output=True, check=False, timeout=30)
        report = json.loads(report_path.read_text(encoding="utf-8"))
        jsonschema.validate(report, schema)
        found = report["stop"]["reason"] if report["stop"] else report["outcome"]
        if found != reason:
            print(f"{reason}: the report says {found}: {report['stop']}")
            failures += 1

header = (source / "include/airssys/wasm/error.hpp").read_text(encoding="utf-8")
listed = re.findall(r'ReasonInfo\{"\w+", "(\w+)"', header)
known = schema["properties"]["stop"]["oneOf"][1]["properties"]["reason"]["enum"]
if listed != known or len(listed) < len(CASES):
    print(f"the schema's reasons {known} are not those of the header {listed}")
    failures += 1
print(f"{len(CASES) + 1 - failures} passed, {failures} failed")
sys.exit(failures != 0)
