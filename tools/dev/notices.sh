# What others have written of the library, and on which terms they gave it; sourced after setup.sh.

# The C++ that is compiled into archives and programs, by the Debian packages that have its terms.
packages_inside() { echo libfmt-dev nlohmann-json3-dev libcli11-dev libxxhash-dev "libstdc++-$(g++ -dumpversion)-dev"; }

line() { printf -- "$1%.0s" {1..80}; }

# The crates of the bridge, each a line "name version|licence"; what only runs while it is built is not inside.
crates_inside() {
  cargo tree --manifest-path "$bridge_source/Cargo.toml" --locked --edges normal,no-proc-macro \
    --target "$(rustc --version --verbose | sed -n 's/^host: //p')" --prefix none --format '{p}|{l}' |
    sed -nE 's/^([^ ]+) v([^ |]+)[^|]*\|(.*)$/\1 \2|\3/p' | sed 's/ (\*)$//' | grep -v '^airssys-wasm-' | sort -u
}

# The same for texts that differ in their line breaks only.
text_key() { tr -s '[:space:]' ' ' <"$1" | sha256sum | cut -c 1-16; }

# Each crate with its terms, then each text once, with the crates that come with it. Those of Wasmtime that come without
# one have that of Wasmtime.
crate_notices() {
  local scratch crates crate licence file text found of_wasmtime sources="${CARGO_HOME:-$HOME/.cargo}/registry/src"
  crates=$(crates_inside) || return 1
  scratch=$(mktemp -d)
  while IFS='|' read -r crate licence; do
    printf '%-44s %s\n' "$crate" "$licence"
    found=
    for file in "$sources"/*/"${crate/ /-}"/{LICEN[CS]E,COPYING,COPYRIGHT,NOTICE,UNLICENSE}*; do
      [ -f "$file" ] || continue
      found=yes
      text=$(text_key "$file")
      [ -e "$scratch/$text.text" ] || cp "$file" "$scratch/$text.text"
      printf '%s\n' "$crate" >>"$scratch/$text.crates"
    done
    case "$found$crate" in
      yeswasmtime\ *) of_wasmtime="$text" ;;
      yes*) ;;
      wasmtime-* | cranelift-* | pulley-interpreter\ *) printf '%s\n' "$crate" >>"$scratch/of-wasmtime" ;;
      *)
        say "$crate ($licence) has no text of its licence in $sources"
        return 1
        ;;
    esac
  done <<<"$crates"
  [ ! -e "$scratch/of-wasmtime" ] || cat "$scratch/of-wasmtime" >>"$scratch/$of_wasmtime.crates"
  for text in "$scratch"/*.text; do
    printf '\n%s\n\n' "$(line -)"
    sort -u "${text%.text}.crates" | paste -s -d , | sed 's/,/, /g' | fold -s -w 100
    echo
    tr -d '\r' <"$text"
  done
  rm -rf "$scratch"
}

# rustup and Debian's packages each bring the terms of Rust's own library.
rust_notices() {
  local by_rustup by_debian=/usr/share/doc/libstd-rust-web-dev/copyright
  by_rustup="$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html"
  if [ -e "$by_rustup" ]; then
    sed -E -e 's/<[^>]*>//g' -e "s/&(lt|#60);/</g; s/&(gt|#62);/>/g; s/&(quot|#34);/\"/g; s/&#39;/'/g; s/&amp;/\\&/g; s/[[:space:]]*\$//" "$by_rustup" | cat -s
  elif [ -e "$by_debian" ]; then
    cat "$by_debian"
  else
    say "the terms of Rust's own library are neither in $by_rustup nor in $by_debian"
    return 1
  fi
}

all_notices() {
  local package
  printf 'airssys-wasm is given to you under the terms of its LICENSE, the Apache License, Version 2.0:\n\n'
  cat LICENSE
  printf '\nIt contains the work of others. What follows names each of them, with the terms it is given on.\n'
  for package in "$@"; do
    printf '\n%s\n%s\n\n' "$(line =)" "$package $(dpkg-query -W -f '${Version}' "$package"), as Debian packages it"
    cat "/usr/share/doc/$package/copyright" || return 1
  done
  printf '\n%s\n%s\n\n' "$(line =)" "Rust's own library, $(rustc --version)"
  rust_notices || return 1
  printf '\n%s\n%s\n\n' "$(line =)" "The crates of the bridge to Wasmtime, by $rust_source/Cargo.lock"
  crate_notices
}

# Beside the archive $1, as $1.copyright, when it is not there or older: the terms of what is in it, and of the packages
# $2... that go into what is built with it. Where they cannot be had, only packages cannot be made.
notices_beside() {
  local archive="$1" made="$1.copyright.$$"
  shift
  if [ "$archive.copyright" -nt "$archive" ] && [ "$archive.copyright" -nt tools/dev/notices.sh ]; then
    return 0
  fi
  if all_notices "$@" >"$made"; then
    mv "$made" "$archive.copyright"
  else
    rm -f "$made" "$archive.copyright"
    say "the terms of third parties cannot be collected: no packages can be made of this build"
  fi
}
