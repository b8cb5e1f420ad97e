//! Counts what a component holds and what it becomes, before Wasmtime sees a byte. Reads section by section with
//! `wasmparser` and validates nothing; what it remembers, and the time it takes, are bounded by the limits it is given.

mod definitions;
mod figures;
mod footprint;
mod linking;
mod modules;
mod reader;
mod terms;
mod types;
mod watch;
mod weights;

#[cfg(test)]
mod tests;

pub use figures::{Ended, LOAD_LIMITS, LoadLimit, SCANNED_LIMITS, Scan};
pub use footprint::Footprint;
pub use watch::Patience;

use LoadLimit::*;
use figures::at_most;
use reader::Reader;
use wasmparser::{BinaryReader, Parser, Payload};
use watch::Watch;

/// Scans `bytes` within `limits`, as long as `patience` says. `found` has the figures, also those of a scan that ended
/// early.
///
/// Errors: the first limit that was passed, `Malformed` where the sections do not parse, `Late` and `Cancelled`.
pub fn scan(bytes: &[u8], limits: &Scan, patience: Patience<'_>, found: &mut Scan) -> Result<Footprint, Ended> {
    let mut watch = Watch::new(patience, limits[LinkingSteps]);
    let outcome = read(bytes, limits, found, &mut watch);
    found[LinkingSteps] = watch.steps();
    Ok(Footprint { metadata_bytes: found[Metadata], ..outcome? })
}

fn read(bytes: &[u8], limits: &Scan, found: &mut Scan, watch: &mut Watch<'_>) -> Result<Footprint, Ended> {
    let mut depth = 0u64;
    let mut reader = Reader::new();
    for payload in Parser::new(0).parse_all(bytes) {
        watch.items(1)?;
        let payload = payload?;
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
                let inside = types::read(contents, |inside| {
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
