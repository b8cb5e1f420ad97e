#!/usr/bin/env bash
# clang-tidy over our sources; a source whose text and headers have not changed since it passed is not checked again.
# $1: LLVM version, $2: where the passes are remembered.
set -euo pipefail
llvm="$1" memory="$2"
mkdir -p "$memory"
compile_commands=build/dev/compile_commands.json
[ -e "$compile_commands" ] || cmake --preset dev -DCMAKE_CXX_COMPILER_LAUNCHER=ccache >/dev/null

# Precompiled headers are g++'s; clang would reject them.
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
sed -E 's/-Winvalid-pch -include [^ ]*cmake_pch\.hxx //g' "$compile_commands" >"$database/compile_commands.json"

check() {
  local key="$1" source="$2"
  [ ! -e "$memory/$key" ] || return 0
  if ! out=$("clang-tidy-$llvm" -p "$database" --quiet "$source" 2>&1); then
    printf '%s\n' "$out" | grep -v 'warnings generated' >&2
    return 1
  fi
  touch "$memory/$key"
}
export -f check
export memory database llvm
/usr/bin/python3 tools/dev/tidy_keys.py | xargs -P "$(nproc)" -I{} bash -c 'check {}'
