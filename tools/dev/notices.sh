# What others have written of the library, and on which terms they gave it; sourced after setup.sh.

# The C++ that is compiled into the archives and programs. gcc-12-base has the terms of libstdc++ and libgcc.
packages_inside=(libfmt-dev nlohmann-json3-dev libcli11-dev libxxhash-dev gcc-12-base)

# The crates of the bridge, each a line "name version|licence"; what only runs while it is built is not inside.
crates_inside() {
  cargo tree --manifest-path "$bridge_source/Cargo.toml" --locked --edges normal,no-proc-macro \
    --target "$(rustc --version --verbose | sed -n 's/^host: //p')" --prefix none --format '{p}|{l}' |
    sed -nE 's/^([^ ]+) v([^ |]+)[^|]*\|(.*)$/\1 \2|\3/p' | sed 's/ (\*)$//' | grep -v '^airssys-wasm-bridge ' | sort -u
}

# Each text once, with the crates that come with it.
crate_notices() {
  local scratch crate name licence file text sources
  scratch=$(mktemp -d)
  sources="${CARGO_HOME:-$HOME/.cargo}/registry/src"
  while IFS='|' read -r crate licence; do
    name="${crate/ /-}"
    printf '%-44s %s\n' "$crate" "$licence"
    for file in "$sources"/*/"$name"/{LICEN[CS]E,COPYING,COPYRIGHT,NOTICE,UNLICENSE}*; do
      [ -f "$file" ] || continue
      text=$(tr -s '[:space:]' ' ' <"$file" | sha256sum | cut -c 1-16)
      [ -e "$scratch/$text.text" ] || cp "$file" "$scratch/$text.text"
      printf '%s\n' "$crate" >>"$scratch/$text.crates"
    done
  done < <(crates_inside)
  [ -n "$(find "$scratch" -name '*.text' -print -quit)" ] || die "no crate has its licence in $sources" "cargo fetch --manifest-path $bridge_source/Cargo.toml"
  for text in "$scratch"/*.text; do
    printf '\n%s\n\n' "$(printf -- '-%.0s' {1..80})"
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
    sed -e 's/<[^>]*>//g' -e 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&#39;/'"'"'/g; s/&amp;/\&/g; s/[[:space:]]*$//' "$by_rustup" | cat -s
  elif [ -e "$by_debian" ]; then
    cat "$by_debian"
  else
    die "the terms of Rust's own library are neither in $by_rustup nor in $by_debian"
  fi
}

# $1: the file.
write_notices() {
  local package made="$1.$$"
  {
    printf 'airssys-wasm contains the work of others. This file names each of them, with the terms it is given on.\n'
    for package in "${packages_inside[@]}"; do
      printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..80})" "$package $(dpkg-query -W -f '${Version}' "$package"), as Debian packages it"
      cat "/usr/share/doc/$package/copyright"
    done
    printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..80})" "Rust's own library, $(rustc --version)"
    rust_notices
    printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..80})" "The crates of the bridge to Wasmtime, by $bridge_source/Cargo.lock"
    crate_notices
  } >"$made"
  mv "$made" "$1"
}
