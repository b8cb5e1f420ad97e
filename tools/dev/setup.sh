# What a bare Debian 12 needs, installed once: packages, and the bridge built into the user's cache.

rust_needed=1.95
cache="${XDG_CACHE_HOME:-$HOME/.cache}/airssys-wasm"
rust_source=src/wasmtime
bridge_source=$rust_source/bridge
llvm=19

packages_rust=(rustc-web cargo-web)
packages_rust_tools=(rust-web-clippy rustfmt-web)
packages_build=(g++ cmake ninja-build ccache pkg-config "lld-$llvm" libfmt-dev nlohmann-json3-dev libcli11-dev libsodium-dev libxxhash-dev ca-certificates)
packages_package=(dpkg-dev file python3)
packages_test=(zsh fish groff-base libgtest-dev libgmock-dev python3-jsonschema python3-dev "${packages_package[@]}")
packages_fuzz=("clang-$llvm" "libclang-rt-$llvm-dev")
packages_bench=(libbenchmark-dev python3)
packages_lint=("clang-format-$llvm" "clang-tidy-$llvm" shellcheck python3)

say() { printf '\033[2m== %s\033[0m\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  help:   %s\n' "$2" >&2
  exit 1
}

is_installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# Installs what is missing of the named packages; does nothing, fast, when all are there.
need() {
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# These, or their newest versions.
install_packages() {
  local as_root=()
  command -v apt-get >/dev/null || die "these Debian packages are missing: $*" "install them, or use Debian 12"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "installing $* needs root" "su - -c 'apt-get update && apt-get install $*'"
    as_root=(sudo)
  fi
  say "installing $*"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

rust_version() { rustc --version 2>/dev/null | sed -nE 's/^rustc ([0-9]+\.[0-9]+).*/\1/p'; }

rust_is_new_enough() {
  local have
  have=$(rust_version)
  command -v cargo >/dev/null && [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$rust_needed" "$have" | sort -V | head -n 1)" = "$rust_needed" ]
}

# Debian's own Rust is too old, but its security updates carry one that is not, for its web browsers.
need_rust() {
  local by_rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal" package trouble
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  ! rust_is_new_enough || return 0
  trouble="Rust is missing; $rust_needed or newer is needed"
  [ -z "$(rust_version)" ] || trouble="Rust $(rust_version) ($(command -v rustc)) is too old; $rust_needed or newer is needed"
  ! command -v rustup >/dev/null || die "$trouble" "rustup update stable && rustup default stable"
  for package in rustc cargo; do
    ! is_installed "$package" ||
      die "$trouble, and Debian's package $package conflicts with ${packages_rust[*]}, which are new enough" \
        "sudo apt-get remove $package, then again; or get Rust by rustup: $by_rustup"
  done
  command -v apt-get >/dev/null || die "$trouble" "$by_rustup"
  # One that is neither rustup's nor Debian's would come before Debian's.
  [ -z "$(rust_version)" ] || is_installed rustc-web || die "$trouble" "remove it, or get Rust by rustup: $by_rustup"
  # Also where they are there: those of Debian 12 itself are too old.
  install_packages "${packages_rust[@]}"
  rust_is_new_enough || die "${packages_rust[*]} are too old here (Rust $(rust_version)); $rust_needed or newer is needed" "$by_rustup"
}

# rustup's minimal profile has neither.
need_rust_tools() {
  need_rust
  cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 && return 0
  if command -v rustup >/dev/null; then
    rustup component add clippy rustfmt
  else
    need "${packages_rust_tools[@]}"
  fi
}

# `wasmtime run` itself, for ./dev bench: built once into the cache, without what no run uses. AIRSSYS_WASM_PEER names it.
build_peer() {
  local version=48.0.8 root log
  root="$cache/peers/wasmtime-$version"
  AIRSSYS_WASM_PEER="$root/bin/wasmtime"
  export AIRSSYS_WASM_PEER
  [ ! -x "$AIRSSYS_WASM_PEER" ] || return 0
  need_rust
  say "building wasmtime $version for comparison, once (about 10 minutes on 2 cores)"
  log=$(mktemp)
  # Beside the result: a build that was interrupted goes on where it was.
  CARGO_TARGET_DIR="$root/target" cargo install wasmtime-cli --version "=$version" --locked --no-default-features --root "$root" --quiet \
    --features run,cache,cranelift,parallel-compilation,pooling-allocator,backtrace,demangle,addr2line,component-model,component-model-async,wat,logging \
    >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die "wasmtime does not build"; }
  rm -rf "$log" "$root/target"
}

# What cargo does where it has no terminal to show it on. $1: its process; $2: its output.
show_progress() {
  local began=$SECONDS last=0 now all
  all=$(grep -c '^name = ' "$rust_source/Cargo.lock")
  while kill -0 "$1" 2>/dev/null; do
    sleep 1
    now=$((SECONDS - began))
    if [ $((now - last)) -ge 15 ]; then
      last=$now
      say "$(grep -c -E '^ *(Compiling|Downloaded) ' "$2") of at most $((2 * all)) steps, $now s"
    fi
  done
}

# Everything that makes one Wasmtime build differ from another.
bridge_key() {
  {
    cat "$rust_source/Cargo.lock" "$rust_source/Cargo.toml" "$bridge_source/Cargo.toml" "$rust_source/scan/Cargo.toml"
    rustc --version --verbose
  } | sha256sum | cut -c 1-16
}

# Builds the bridge in the user's cache (Wasmtime once, about 5 to 10 minutes on two cores; our own crate when it
# changed), and names the archive in AIRSSYS_WASM_BRIDGE. $1: a crate whose archive has the bridge in it, if another.
build_bridge() {
  local crate="${1:-airssys-wasm-bridge}" archive log status=0
  archive="lib${crate//-/_}.a"
  need_rust
  need g++ ca-certificates
  CARGO_TARGET_DIR="$cache/bridge/$(bridge_key)"
  export CARGO_TARGET_DIR
  mkdir -p "$CARGO_TARGET_DIR"
  [ -e "$CARGO_TARGET_DIR/release/libairssys_wasm_bridge.rlib" ] ||
    say "building Wasmtime once for this machine (5 to 10 minutes on 2 cores), into $CARGO_TARGET_DIR"
  log="$CARGO_TARGET_DIR/last-build-$$.log"
  # Two clones share this directory: one at a time, and each takes its own archive away.
  (
    flock 9
    if [ -t 2 ]; then
      cargo build --manifest-path "$rust_source/Cargo.toml" --package "$crate" --release --locked || exit 1
    else
      cargo build --manifest-path "$rust_source/Cargo.toml" --package "$crate" --release --locked >"$log" 2>&1 &
      show_progress $! "$log"
      wait $! || { cat "$log" >&2; exit 1; }
    fi
    mkdir -p build/bridge
    cmp -s "$CARGO_TARGET_DIR/release/$archive" "build/bridge/$archive" || cp "$CARGO_TARGET_DIR/release/$archive" build/bridge/
  ) 9>"$CARGO_TARGET_DIR/.lock" || status=$?
  rm -f "$log"
  [ "$status" -eq 0 ] || die "the bridge does not build"
  # Each takes some 3 GB: those of the last three versions that were built here stay.
  touch "$CARGO_TARGET_DIR"
  find "$cache/bridge" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2- | xargs -r -d '\n' rm -rf
  AIRSSYS_WASM_BRIDGE="$PWD/build/bridge/$archive"
  export AIRSSYS_WASM_BRIDGE
}
