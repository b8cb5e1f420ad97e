# ./dev bare: what README promises, on Debian 12 with git and bash and nothing else; sourced after setup.sh.

bare=/var/tmp/airssys-wasm-bare

# Node reads no certificates but its own.
in_root_certificates=()
[ ! -d /usr/local/share/ca-certificates ] || in_root_certificates=(NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt)

# Runs bash's $2 in the root $1, with processes and mounts of its own that end with it.
in_root() {
  local root="$1"
  # shellcheck disable=SC2016 # expanded by the inner bash
  unshare --mount --pid --fork --kill-child bash -c '
    set -e
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount --rbind /sys "$1/sys"
    root="$1" commands="$2"
    shift 2
    exec chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@" bash -c "$commands"
  ' in_root "$root" "set -e; $2" "${in_root_certificates[@]}"
}

# A root of its own $1: its name.
new_root() {
  local root="$bare/$1"
  mkdir -p "$root"
  tar -x -f "$bare/debian.tar" -C "$root" --exclude='./dev/*'
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # Where this machine reaches the world through somebody with a certificate of their own.
  local file
  for file in /usr/local/share/ca-certificates /etc/pip.conf "$HOME/.npmrc"; do
    [ ! -e "$file" ] || { mkdir -p "$root$(dirname "${file/#$HOME//root}")" && cp -r "$file" "$root${file/#$HOME//root}"; }
  done
}

# Runs a step and notes how long it took. $1: what it is; then the command.
bare_step() {
  local began=$SECONDS what="$1"
  shift
  say "$what"
  # In a shell of its own, so that whatever fails in it ends it.
  set +e
  (set -euo pipefail; "$@")
  [ $? -eq 0 ] || die "$what: failed in $bare"
  set -e
  printf '%-72s %4d s\n' "$what" "$((SECONDS - began))" >>"$bare/times"
}

make_debian() {
  mmdebstrap --quiet --variant=apt --include=git,bash bookworm "$bare/debian.tar" \
    "deb http://deb.debian.org/debian bookworm main" \
    "deb http://deb.debian.org/debian bookworm-updates main" \
    "deb http://deb.debian.org/debian-security bookworm-security main"
  new_root builder
  new_root user
  git clone --quiet --no-local . "$bare/builder/root/airssys-wasm"
}

first_command() {
  in_root "$bare/builder" "cd ~/airssys-wasm; ./dev run examples/guests/hello.wat --invoke 'hello()'" | tee "$bare/first"
  grep -qx 42 "$bare/first"
}

use_command() {
  cp "$bare"/builder/root/airssys-wasm/build/packages/*.deb "$bare/user/root/"
  in_root "$bare/user" 'apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ./root/airssys-wasm_*.deb >/dev/null'
  cp examples/guests/hello.wat tests/examples/readme.cpp "$bare/user/root/"
  in_root "$bare/user" 'for compiler in cc c++ gcc g++ clang rustc cargo; do ! command -v $compiler || exit 1; done; echo none' | grep -qx none
  in_root "$bare/user" "cd; airssys-wasm run hello.wat --invoke 'hello()'" | grep -qx 42
}

# By CMake, and by pkg-config alone.
use_library() {
  in_root "$bare/user" 'DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ./root/libairssys-wasm-dev_*.deb g++ cmake make >/dev/null'
  mkdir -p "$bare/user/root/own/examples/guests"
  cp examples/guests/hello.wat "$bare/user/root/own/examples/guests/"
  cat >"$bare/user/root/own/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(own LANGUAGES CXX)
find_package(airssys-wasm 0.1 REQUIRED)
add_executable(own ../readme.cpp)
target_link_libraries(own PRIVATE airssys-wasm::airssys-wasm)
CMAKE
  in_root "$bare/user" 'cd ~/own; cmake -B build . >/dev/null; cmake --build build >/dev/null; ./build/own | grep -qx "42, 2 fuel"
    g++ -std=c++23 ../readme.cpp -o by_pkg_config $(pkg-config --cflags --libs airssys-wasm); ./by_pkg_config | grep -qx "42, 2 fuel"'
}

task_bare() {
  [ "$(id -u)" -eq 0 ] || die "a root of its own needs root" "sudo ./dev bare"
  need mmdebstrap debian-archive-keyring
  git diff --quiet HEAD || say "what is not committed is not in the clone"
  rm -rf --one-file-system "$bare"
  mkdir -p "$bare"
  bare_step "Debian 12 with git and bash" make_debian
  bare_step "./dev run examples/guests/hello.wat --invoke 'hello()', the first time" first_command
  bare_step "... and again" first_command
  bare_step "./dev test, the first time" in_root "$bare/builder" 'cd ~/airssys-wasm; ./dev test'
  bare_step "./dev package" in_root "$bare/builder" 'cd ~/airssys-wasm; ./dev package'
  bare_step "the command's package, installed and used without a compiler" use_command
  bare_step "the library's package, installed and used" use_library
  cat "$bare/times"
  rm -rf --one-file-system "$bare"
}
