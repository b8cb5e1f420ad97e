"""Prints `KEY SOURCE` for each source in src/: the key is that of all that clang-tidy reads of ours for it, the source, the
headers that it includes directly or not, and .clang-tidy. What the system has is not looked at.
"""
import hashlib
import re
import subprocess
from functools import cache
from pathlib import Path

INCLUDE = re.compile(rb'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
ROOTS = (Path("src"), Path("include"))


@cache
def included(file):
    """The headers of ours that it names itself."""
    names = (name.decode() for name in INCLUDE.findall(file.read_bytes()))
    found = (root / name for name in names for root in ROOTS)
    return tuple(header for header in found if header.is_file())


def all_of(source):
    """The source and what it includes, each once."""
    seen, left = {source}, [source]
    while left:
        for header in included(left.pop()):
            if header not in seen:
                seen.add(header)
                left.append(header)
    return sorted(seen)


listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "src/*.cpp"],
                        capture_output=True, text=True, check=True).stdout.split()
settings = Path(".clang-tidy").read_bytes()
for source in listed:
    key = hashlib.sha256(settings)
    for file in all_of(Path(source)):
        key.update(f"\n{file}\n".encode() + file.read_bytes())
    print(key.hexdigest()[:32], source)
