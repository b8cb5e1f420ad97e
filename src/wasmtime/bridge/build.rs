//! Writes the C header beside the crate. It is committed; CI fails when it differs from what the sources say.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
    let root = Path::new(&root);
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml parses");
    let mut builder = cbindgen::Builder::new().with_crate(root).with_config(config);
    // What the pre-scan counts crosses the door as it is.
    for figures in ["../scan/src/figures.rs", "../scan/src/footprint.rs"] {
        println!("cargo::rerun-if-changed={figures}");
        builder = builder.with_src(root.join(figures));
    }
    match builder.generate() {
        // Writes only when the text differs, so an unchanged header keeps its time stamp.
        Ok(header) => drop(header.write_to_file(root.join("bridge.h"))),
        // The compiler says more about a source that does not parse.
        Err(error) => println!("cargo::warning=no header: {error}"),
    }
}
