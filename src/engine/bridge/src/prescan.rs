//! Counts what a component holds, before Wasmtime sees a byte. Reads section by section with `wasmparser`, validates
//! nothing, allocates nothing that the input controls beyond these limits.

use crate::expand::Expansion;
use crate::ffi::{BridgeSlice, guarded};
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::scan_types;
use wasmparser::{BinaryReader, CanonicalFunction, CanonicalOption, Parser, Payload};

/// Both the limits given and the figures found.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct BridgeScan {
    /// Components and modules inside components, types inside types.
    pub nesting: u64,
    pub modules: u64,
    pub components: u64,
    /// Written down, or made when all is instantiated, whichever is more.
    pub instances: u64,
    pub functions: u64,
    /// The largest function body: nothing is checked inside one straight line of code.
    pub body_bytes: u64,
    pub types: u64,
    pub imports: u64,
    pub exports: u64,
    pub memories: u64,
    pub tables: u64,
    /// Found only: 1 when the component-model async built-ins are used.
    pub concurrency: u64,
}

/// Scans `bytes`; stops with `TooLarge` (message: the field's name, code: the figure) at the first limit passed, and
/// with `Malformed` where the sections do not parse.
///
/// # Safety
/// `bytes` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_prescan(
    bytes: BridgeSlice,
    limits: &BridgeScan,
    found: &mut BridgeScan,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above.
        scan(unsafe { bytes.bytes() }, limits, found)
    })
    .is_some()
}

fn at_most(name: &str, found: u64, limit: u64) -> Result<(), Failure> {
    if found > limit {
        return Err(Failure::new(BridgeCause::TooLarge, name).with_code(found));
    }
    Ok(())
}

fn count(name: &str, so_far: &mut u64, more: u32, limit: u64) -> Result<(), Failure> {
    *so_far += u64::from(more);
    at_most(name, *so_far, limit)
}

pub fn malformed(error: wasmparser::BinaryReaderError) -> Failure {
    Failure::new(BridgeCause::Malformed, error.message()).with_code(error.offset() as u64)
}

fn scan(bytes: &[u8], limits: &BridgeScan, found: &mut BridgeScan) -> Result<(), Failure> {
    let mut depth = 0u64;
    let mut expansion = Expansion::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(malformed)?;
        expansion.read(&payload).map_err(malformed)?;
        at_most("instances", expansion.instances().max(expansion.named()), limits.instances)?;
        match payload {
            Payload::ModuleSection { .. } => {
                depth += 1;
                count("modules", &mut found.modules, 1, limits.modules)?;
            }
            Payload::ComponentSection { .. } => {
                depth += 1;
                count("components", &mut found.components, 1, limits.components)?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionStart { count: n, .. } => {
                count("functions", &mut found.functions, n, limits.functions)?;
            }
            Payload::CodeSectionEntry(body) => {
                found.body_bytes = found.body_bytes.max(body.range().len() as u64);
                at_most("body_bytes", found.body_bytes, limits.body_bytes)?;
            }
            Payload::TypeSection(s) => count("types", &mut found.types, s.count(), limits.types)?,
            Payload::CoreTypeSection(s) => count("types", &mut found.types, s.count(), limits.types)?,
            Payload::ComponentTypeSection(s) => {
                let contents = BinaryReader::new(&bytes[s.range()], s.range().start);
                let (types, around) = (found.types, depth);
                let inside = scan_types::read(contents, |inside| {
                    at_most("types", types + inside.types, limits.types)?;
                    at_most("nesting", around + inside.nesting, limits.nesting)
                })?;
                found.types += inside.types;
                found.nesting = found.nesting.max(depth + inside.nesting);
                found.concurrency |= u64::from(inside.concurrency);
            }
            Payload::InstanceSection(s) => count("instances", &mut found.instances, s.count(), limits.instances)?,
            Payload::ComponentInstanceSection(s) => {
                count("instances", &mut found.instances, s.count(), limits.instances)?
            }
            Payload::ImportSection(s) => count("imports", &mut found.imports, s.count(), limits.imports)?,
            Payload::ComponentImportSection(s) => count("imports", &mut found.imports, s.count(), limits.imports)?,
            Payload::ExportSection(s) => count("exports", &mut found.exports, s.count(), limits.exports)?,
            Payload::ComponentExportSection(s) => count("exports", &mut found.exports, s.count(), limits.exports)?,
            Payload::MemorySection(s) => count("memories", &mut found.memories, s.count(), limits.memories)?,
            Payload::TableSection(s) => count("tables", &mut found.tables, s.count(), limits.tables)?,
            Payload::ComponentCanonicalSection(s) => {
                for function in s {
                    if needs_concurrency(&function.map_err(malformed)?) {
                        found.concurrency = 1;
                    }
                }
            }
            _ => {}
        }
        found.nesting = found.nesting.max(depth);
        at_most("nesting", found.nesting, limits.nesting)?;
    }
    found.instances = found.instances.max(expansion.instances());
    Ok(())
}

fn needs_concurrency(function: &CanonicalFunction) -> bool {
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options.iter().any(|o| matches!(o, CanonicalOption::Async | CanonicalOption::Callback(_)))
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        _ => true,
    }
}
