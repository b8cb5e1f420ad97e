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
use crate::limits::{BridgeLoadLimit, SCANNED_LIMITS};
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::scan_types;
use footprint::BridgeFootprint;
use reader::Reader;
use std::sync::atomic::AtomicBool;
use wasmparser::{BinaryReader, Parser, Payload};
use watch::Watch;

use BridgeLoadLimit::*;

/// Both the limits given and the figures found.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct BridgeScan {
    /// One number for each of the first `BridgeLoadLimit`s.
    pub figures: [u64; SCANNED_LIMITS],
    /// Found only: the component-model async built-ins are used.
    pub concurrency: bool,
}

impl std::ops::Index<BridgeLoadLimit> for BridgeScan {
    type Output = u64;

    fn index(&self, limit: BridgeLoadLimit) -> &u64 {
        &self.figures[limit as usize]
    }
}

impl std::ops::IndexMut<BridgeLoadLimit> for BridgeScan {
    fn index_mut(&mut self, limit: BridgeLoadLimit) -> &mut u64 {
        &mut self.figures[limit as usize]
    }
}

impl BridgeScan {
    /// The figure is `found` now, if it may be.
    fn set(&mut self, limit: BridgeLoadLimit, found: u64, most: &Self) -> Result<(), Failure> {
        self[limit] = found;
        at_most(limit, found, most[limit])
    }

    fn count(&mut self, limit: BridgeLoadLimit, more: u32, most: &Self) -> Result<(), Failure> {
        self.set(limit, self[limit] + u64::from(more), most)
    }
}

/// Scans `bytes`, and stops with `LoadLimit` (code: the figure) at the first limit passed, with
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
        let mut watch = Watch::new(deadline_ns, cancelled, limits[LinkingSteps]);
        // SAFETY: the caller's promise above.
        let bytes = unsafe { bytes.bytes() };
        let outcome = scan(bytes, limits, found, &mut watch);
        found[LinkingSteps] = watch.steps();
        *footprint = BridgeFootprint { metadata_bytes: found[Metadata], ..outcome? };
        Ok(())
    })
    .is_some()
}

fn at_most(limit: BridgeLoadLimit, found: u64, most: u64) -> Result<(), Failure> {
    if found > most {
        return Err(Failure::new(limit, "more than may be loaded").with_code(found));
    }
    Ok(())
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
                found.count(Modules, 1, limits)?;
            }
            Payload::ComponentSection { .. } => {
                depth += 1;
                found.count(Components, 1, limits)?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionStart { count: n, .. } => {
                found.count(Functions, *n, limits)?;
            }
            Payload::CodeSectionEntry(body) => {
                found.set(Body, found[Body].max(body.range().len() as u64), limits)?;
            }
            Payload::TypeSection(s) => found.count(Types, s.count(), limits)?,
            Payload::CoreTypeSection(s) => found.count(Types, s.count(), limits)?,
            Payload::ComponentTypeSection(s) => {
                let contents = BinaryReader::new(&bytes[s.range()], s.range().start);
                let (types, around) = (found[Types], depth);
                let inside = scan_types::read(contents, |inside| {
                    watch.items(1)?;
                    at_most(Types, types + inside.types, limits[Types])?;
                    at_most(Nesting, around + inside.nesting, limits[Nesting])
                })?;
                found[Types] += inside.types;
                found[Nesting] = found[Nesting].max(depth + inside.nesting);
                found.concurrency |= inside.concurrency;
                reader.types(s.range().len() as u64, &inside);
            }
            Payload::InstanceSection(s) => found.count(Instances, s.count(), limits)?,
            Payload::ComponentInstanceSection(s) => found.count(Instances, s.count(), limits)?,
            Payload::ImportSection(s) => found.count(Imports, s.count(), limits)?,
            Payload::ComponentImportSection(s) => found.count(Imports, s.count(), limits)?,
            Payload::ExportSection(s) => found.count(Exports, s.count(), limits)?,
            Payload::ComponentExportSection(s) => found.count(Exports, s.count(), limits)?,
            Payload::MemorySection(s) => found.count(Memories, s.count(), limits)?,
            Payload::TableSection(s) => found.count(Tables, s.count(), limits)?,
            _ => {}
        }
        found.set(Nesting, found[Nesting].max(depth), limits)?;
        reader.read(&payload, watch)?;
        found.set(Metadata, reader.kept_bytes(), limits)?;
    }
    found.concurrency |= reader.concurrency();
    let made = linking::link(&reader.finish(), watch, limits[Instances])?;
    found[Instances] = found[Instances].max(made.footprint.instances);
    found.set(Metadata, found[Metadata].saturating_add(made.metadata_bytes), limits)?;
    Ok(made.footprint)
}
