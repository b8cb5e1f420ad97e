//! Counts what a component holds and what it becomes, before Wasmtime sees a byte. Reads section by section with
//! `wasmparser` and validates nothing; what it remembers, and the time it takes, are bounded by the limits it is given.

mod definitions;
pub mod footprint;
mod linking;
mod modules;
mod reader;
mod terms;
mod watch;
mod weights;

use crate::ffi::{BridgeSlice, guarded};
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::scan_types;
use footprint::BridgeFootprint;
use reader::Reader;
use std::sync::atomic::AtomicBool;
use wasmparser::{BinaryReader, Parser, Payload};
use watch::Watch;

/// Both the limits given and the figures found.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct BridgeScan {
    /// Components and modules inside components, types inside types.
    pub nesting: u64,
    pub modules: u64,
    pub components: u64,
    /// Written down, or made when the component is instantiated, whichever is more.
    pub instances: u64,
    pub functions: u64,
    /// The largest function body: nothing is checked inside one straight line of code.
    pub body_bytes: u64,
    pub types: u64,
    pub imports: u64,
    pub exports: u64,
    pub memories: u64,
    pub tables: u64,
    /// The work to find out what instantiating the component makes: each operation and each value handled is a step.
    pub linking_steps: u64,
    /// Host memory that the component keeps as long as it is loaded, without its file. An estimate.
    pub metadata_bytes: u64,
    /// Found only: 1 when the component-model async built-ins are used.
    pub concurrency: u64,
}

/// Scans `bytes`, and stops with `TooLarge` (message: the field's name, code: the figure) at the first limit passed, with
/// `Malformed` where the sections do not parse, with `Deadline` when the monotonic clock reaches `deadline_ns` (0: never),
/// and with `Halted` when `cancelled` becomes true (null: never). `footprint` is filled in when the scan succeeds.
///
/// # Safety
/// `bytes` is readable for the call, and `cancelled` lives as long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_prescan(
    bytes: BridgeSlice,
    limits: &BridgeScan,
    deadline_ns: u64,
    cancelled: Option<&'static AtomicBool>,
    found: &mut BridgeScan,
    footprint: &mut BridgeFootprint,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        let mut watch = Watch::new(deadline_ns, cancelled, limits.linking_steps);
        // SAFETY: the caller's promise above.
        let bytes = unsafe { bytes.bytes() };
        let outcome = scan(bytes, limits, found, &mut watch);
        found.linking_steps = watch.steps();
        *footprint = outcome?;
        Ok(())
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

fn scan(
    bytes: &[u8],
    limits: &BridgeScan,
    found: &mut BridgeScan,
    watch: &mut Watch,
) -> Result<BridgeFootprint, Failure> {
    let mut depth = 0u64;
    let mut reader = Reader::new();
    for payload in Parser::new(0).parse_all(bytes) {
        watch.items(1)?;
        let payload = payload.map_err(malformed)?;
        match &payload {
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
                count("functions", &mut found.functions, *n, limits.functions)?;
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
                    watch.items(1)?;
                    at_most("types", types + inside.types, limits.types)?;
                    at_most("nesting", around + inside.nesting, limits.nesting)
                })?;
                found.types += inside.types;
                found.nesting = found.nesting.max(depth + inside.nesting);
                found.concurrency |= u64::from(inside.concurrency);
                reader.types(s.range().len() as u64, &inside);
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
            _ => {}
        }
        found.nesting = found.nesting.max(depth);
        at_most("nesting", found.nesting, limits.nesting)?;
        reader.read(&payload, watch)?;
        found.metadata_bytes = reader.kept_bytes();
        at_most("metadata_bytes", found.metadata_bytes, limits.metadata_bytes)?;
    }
    found.concurrency |= u64::from(reader.concurrency());
    let made = linking::link(&reader.finish(), watch, limits.instances)?;
    found.instances = found.instances.max(made.footprint.instances);
    found.metadata_bytes = found.metadata_bytes.saturating_add(made.metadata_bytes);
    at_most("metadata_bytes", found.metadata_bytes, limits.metadata_bytes)?;
    Ok(made.footprint)
}
