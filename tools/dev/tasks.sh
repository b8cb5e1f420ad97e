# What ./dev can do; sourced after setup.sh.

task_help() {
  cat <<'TEXT'
./dev run COMPONENT [options]   set up what is missing, build, and run a component: ./dev run --help
./dev build                     build/release/airssys-wasm
./dev bridge FILE               the bridge to Wasmtime alone, as this archive: for CMake projects that add this directory
./dev package                   Debian packages of the command and of the library, into build/packages
./dev test [FILTER]             set up what is missing and run all tests (or those that ctest -R FILTER selects)
./dev bench [FILTER]            benchmarks beside raw Wasmtime, with ratios; FILTER process: whole processes only
./dev bench --write             all of them, into docs/benchmarks.md
./dev fmt                       format everything
./dev lint                      formats, clang-tidy, clippy, shellcheck, the generated header
./dev asan                      all tests under the address and undefined-behaviour sanitizers
./dev tsan                      the library under the thread sanitizer, on a fake door to Wasmtime
./dev explore [--seed N | --seeds N [--first N] | --seconds N]
                                the library on a fake door, one thread at a time, as a seed chooses
./dev fuzz [TARGET [SECONDS]]   fuzz values, json, component or scan, or all of them, 10 s each
./dev bare                      README's commands and the packages on a Debian 12 with git and bash only (needs root)
./dev ci                        what CI runs, with the time of each stage
./dev clean                     remove build/ (the user's cache stays: ~/.cache/airssys-wasm)
TEXT
}

jobs=$(nproc)

# A build directory that was configured with another archive would go on linking that one.
links_another_bridge() {
  local linked
  linked=$(sed -n 's/^AIRSSYS_WASM_BRIDGE:[A-Z]*=//p' "build/$1/CMakeCache.txt")
  [ "$linked" != none ] && [ "$linked" != "${AIRSSYS_WASM_BRIDGE:-}" ]
}

# Configures once and builds. $1: preset; then targets, if not all.
compile() {
  local preset="$1"
  shift
  export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
  if [ ! -e "build/$preset/build.ninja" ] || [ CMakePresets.json -nt "build/$preset/build.ninja" ] || links_another_bridge "$preset"; then
    cmake --preset "$preset" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache >"/tmp/airssys-wasm-cmake.$$" 2>&1 ||
      { cat "/tmp/airssys-wasm-cmake.$$" >&2; rm -f "/tmp/airssys-wasm-cmake.$$"; exit 1; }
    rm -f "/tmp/airssys-wasm-cmake.$$"
    say "building build/$preset (some minutes the first time)"
  fi
  ninja -C "build/$preset" -j "$jobs" --quiet "$@" >&2
}

set_up_build() {
  need "${packages_build[@]}"
  build_bridge
  # shellcheck disable=SC2046 # words
  notices_beside "$AIRSSYS_WASM_BRIDGE" $(packages_inside)
}

task_build() {
  set_up_build
  compile release
}

task_bridge() {
  local file="${1:-}"
  [ -n "$file" ] || die "a file is missing" "./dev bridge build/libairssys_wasm_bridge.a"
  build_bridge
  (cd "$from" && { cmp -s "$AIRSSYS_WASM_BRIDGE" "$file" || cp "$AIRSSYS_WASM_BRIDGE" "$file"; } && touch "$file")
  case "$file" in /*) ;; *) file="$from/$file" ;; esac
  notices_beside "$file"
}

# The packages of one build belong together, so a version between releases names the commit.
package_version() {
  local version
  version=$(sed -n 's/^project(airssys-wasm VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  git describe --exact-match --tags --match "v$version" >/dev/null 2>&1 || version="$version~git$(git log -1 --format=%cd.%h --date=format:%Y%m%d%H%M%S)"
  echo "$version"
}

task_package() {
  need "${packages_package[@]}"
  set_up_build
  [ -e "$AIRSSYS_WASM_BRIDGE.copyright" ] || die "the terms of third parties are missing (see above)"
  # Directories in the packages are everybody's to read, whatever the user's own are.
  umask 022
  compile package
  cmake -DAIRSSYS_WASM_PACKAGE_VERSION="$(package_version)" build/package >/dev/null
  rm -rf build/packages
  (cd build/package && cpack >cpack.log 2>&1) || { cat build/package/cpack.log >&2; die "the packages cannot be made"; }
  /usr/bin/python3 tests/install/package_test.py build/packages .
  ls -sh1 build/packages/*.deb >&2
}

# Paths are relative to where the user stands.
task_run() {
  local program="$PWD/build/release/airssys-wasm"
  task_build
  cd "$from"
  exec "$program" run "$@"
}

run_tests() {
  local preset="$1"
  shift
  (cd "build/$preset" && ctest --output-on-failure --repeat after-timeout:2 -j "$jobs" "$@")
}

task_test() {
  need "${packages_test[@]}" "${packages_guests[@]}"
  set_up_build
  compile dev
  build_guests
  test_bridge
  run_tests dev ${1:+-R "$1"}
}

test_bridge() {
  say "bridge tests (release profile, the same Wasmtime build)"
  cargo test --manifest-path "$rust_source/Cargo.toml" --workspace --release --locked --quiet
}

task_asan() {
  need "${packages_test[@]}"
  set_up_build
  compile dev
  compile asan
  build_guests
  cp build/dev/airssys-wasm-compile build/asan/
  # Wasmtime's signal handlers and guard pages are its own business; leaks are ours.
  ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:allow_user_segv_handler=1:detect_leaks=1:detect_stack_use_after_return=0 run_tests asan "$@"
}

task_tsan() {
  need "${packages_test[@]}" "${packages_build[@]}"
  compile tsan
  # The sanitizer cannot map its shadow where address-space randomization is at its strongest.
  (cd build/tsan && setarch -R ctest --output-on-failure -j "$jobs")
}

# Without arguments, what CI has time for. A finding names its seed.
task_explore() {
  need "${packages_test[@]}" "${packages_build[@]}"
  compile explore
  export ASAN_OPTIONS=handle_abort=1:detect_stack_use_after_return=0
  if [ $# -eq 0 ]; then
    build/explore/tests/explorer --replay 200
    set -- --seeds 100000 --seconds 90
  fi
  build/explore/tests/explorer "$@"
}

sources() { git ls-files --cached --others --exclude-standard -- '*.cpp' '*.hpp'; }

task_fmt() {
  need "${packages_lint[@]}"
  need_rust_tools
  sources | xargs "clang-format-$llvm" -i
  cargo fmt --manifest-path "$rust_source/Cargo.toml" --all
}

task_lint() {
  need "${packages_lint[@]}"
  need_rust_tools
  say "formats"
  sources | xargs "clang-format-$llvm" --dry-run --Werror
  cargo fmt --manifest-path "$rust_source/Cargo.toml" --all --check
  say "includes"
  ! git grep -n "#include \"\.\./" -- "*.cpp" "*.hpp" || die "rooms are included by their names"
  # What users read names no room; detail/behind.hpp is where the two meet.
  ! git grep -nE "\b(ledger|report|wasmtime|compile|host|load|execution|scheduler|engine)::" -- "include/*.hpp" ":!include/airssys/wasm/detail/behind.hpp" ||
    die "public headers name what is behind them by detail::"
  ! git grep -nE "no_mangle|export_name" -- "$bridge_source/src" "$rust_source/scan" ":!$bridge_source/src/abi" || die "what C++ calls is in $bridge_source/src/abi"
  say "sizes and names"
  python3 tools/dev/sizes_and_names.py
  say "shellcheck"
  shellcheck -x dev .ci/run tools/dev/tidy.sh
  set_up_build
  say "the generated header"
  git diff --exit-code -- "$bridge_source/bridge.h" || die "bridge.h is not what cbindgen makes of the sources" "git add $bridge_source/bridge.h"
  say "clippy"
  CARGO_TARGET_DIR="$cache/bridge/$(bridge_key)" cargo clippy --manifest-path "$rust_source/Cargo.toml" --workspace --all-targets --release --locked --quiet -- -D warnings
  say "clang-tidy"
  tools/dev/tidy.sh "$llvm" "$cache/tidy"
}

task_bench() {
  local write=()
  if [ "${1:-}" = --write ]; then
    write=(--write docs/benchmarks.md)
    shift
    [ $# -eq 0 ] || die "--write runs all benchmarks" "./dev bench --write"
  fi
  build_benchmarks
  need "${packages_test[@]}"
  build_guests
  rm -f build/bench/process.json
  build/bench/bench/benchmarks --benchmark_repetitions=5 --benchmark_report_aggregates_only=true ${1:+--benchmark_filter="$1"} \
    --benchmark_out=build/bench/figures.json --benchmark_out_format=json
  if [ -z "${1:-}" ] || [ "$1" = process ]; then
    build_peer
    say "whole processes"
    python3 tools/dev/process_bench.py build/bench/airssys-wasm "$AIRSSYS_WASM_PEER" examples/guests/hello.wat build/bench/process.json
  fi
  python3 tools/dev/bench_report.py build/bench/figures.json build/bench/process.json "${write[@]}"
}

build_benchmarks() {
  need "${packages_bench[@]}" "${packages_build[@]}"
  build_bridge airssys-wasm-bench-raw
  compile bench
}

# The pre-scan with the coverage that libFuzzer looks at, which rustc makes with flags that are stable.
build_scan_fuzzer() {
  local host flags="-Cpasses=sancov-module -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1" flag
  for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$flag"
  done
  need_rust
  host=$(rustc --version --verbose | sed -n 's/^host: //p')
  # For a target, so that what only runs while it is built has none of this.
  RUSTFLAGS="$flags" CARGO_TARGET_DIR=build/fuzz/rust cargo build --manifest-path "$rust_source/Cargo.toml" \
    --package airssys-wasm-fuzz-scan --release --locked --quiet --target "$host"
  mkdir -p build/fuzz/fuzz
  "clang++-$llvm" -fsanitize=fuzzer -o build/fuzz/fuzz/scan_fuzz "build/fuzz/rust/$host/release/libairssys_wasm_fuzz_scan.a"
}

# $1: a target, or none for all of them; $2: seconds for each. Inputs that are found stay in build/fuzz/corpus.
task_fuzz() {
  local targets=(values json component scan) target seeds
  local corpus="$PWD/build/fuzz/corpus"
  [ $# -eq 0 ] || targets=("$1")
  need "${packages_fuzz[@]}" "${packages_build[@]}"
  build_bridge
  build_scan_fuzzer
  compile fuzz values_fuzz json_fuzz component_fuzz
  for target in "${targets[@]}"; do
    [ -x "build/fuzz/fuzz/${target}_fuzz" ] || die "there is no fuzz target $target" "./dev fuzz values"
    say "fuzzing $target for ${2:-10} s"
    mkdir -p "$corpus/$target"
    seeds=()
    case "$target" in component | scan) seeds=(examples/guests) ;; esac
    "build/fuzz/fuzz/${target}_fuzz" -max_total_time="${2:-10}" -max_len=4096 -timeout=5 -rss_limit_mb=4096 \
      -artifact_prefix="build/fuzz/found-" "$corpus/$target" "${seeds[@]}" >"build/fuzz/$target.log" 2>&1 ||
      { tail -n 40 "build/fuzz/$target.log" >&2; die "fuzzing $target found something: build/fuzz/found-*"; }
    grep -E '^Done ' "build/fuzz/$target.log" >&2
  done
}

task_clean() { rm -rf build; }

# They build; CI does not time them.
task_benchmarks() { build_benchmarks; }

# Runs one stage and prints how long it took.
stage() {
  local began=$SECONDS
  say "stage $1"
  "task_$1"
  printf 'stage %-6s %4d s\n' "$1" "$((SECONDS - began))" | tee -a "$stages" >&2
}

task_ci() {
  local warm=2700 cold=4500 budget
  export AIRSSYS_WASM_CI=1
  need_rust
  budget=$cold
  [ -e "$cache/bridge/$(bridge_key)/release/libairssys_wasm_bridge.a" ] && budget=$warm
  stages=$(mktemp)
  for name in lint build test package asan tsan explore benchmarks fuzz; do stage "$name"; done
  say "all stages"
  cat "$stages"
  rm -f "$stages"
  printf 'total %d s of at most %d s\n' "$SECONDS" "$budget"
  [ "$SECONDS" -le "$budget" ] || die "CI took longer than its budget"
}
