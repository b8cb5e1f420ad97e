//! Proposals of WebAssembly that no engine of ours has: which of them a component needs that is refused.

use wasmparser::{Validator, WasmFeatures};

/// As the field calls them.
const OFF: [(&str, WasmFeatures); 11] = [
    ("garbage collection", WasmFeatures::GC),
    ("exception handling", WasmFeatures::EXCEPTIONS),
    ("legacy exception handling", WasmFeatures::LEGACY_EXCEPTIONS),
    ("threads", WasmFeatures::THREADS),
    ("shared-everything threads", WasmFeatures::SHARED_EVERYTHING_THREADS),
    ("stack switching", WasmFeatures::STACK_SWITCHING),
    ("memory control", WasmFeatures::MEMORY_CONTROL),
    ("custom page sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    ("wide arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    ("fixed-length lists", WasmFeatures::CM_FIXED_LENGTH_LISTS),
    ("maps", WasmFeatures::CM_MAP),
];

/// The first proposal without which these bytes would be invalid; nothing for those that no proposal makes valid.
pub fn needed(bytes: &[u8]) -> Option<&'static str> {
    let valid = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    let all = WasmFeatures::all();
    let without = OFF.iter().fold(all, |features, (_, off)| features.difference(*off));
    // Most of what is refused is refused for something else: two looks.
    if !valid(all) || valid(without) {
        return None;
    }
    OFF.iter().find(|(_, feature)| !valid(all.difference(*feature))).map(|(name, _)| *name)
}
