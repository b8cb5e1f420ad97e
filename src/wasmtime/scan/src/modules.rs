//! Reads a core module down to what its instances take. Nothing is validated: counts are taken as the sections state
//! them, and what contradicts itself is refused by Wasmtime later.

use crate::figures::Ended;
use crate::footprint::{Footprint, Made, grow};
use crate::watch::Watch;
use crate::weights::*;
use wasmparser::{
    CustomSectionReader, DataKind, DataSectionReader, ElementItems, ElementKind, ElementSectionReader,
    ExportSectionReader, ExternalKind, ImportSectionReader, KnownCustom, MemorySectionReader, Name, Payload, TableInit,
    TableSectionReader, TypeRef,
};

struct Memory {
    bytes: u64,
    shared: bool,
    has_image: bool,
}

struct Table {
    elements: u64,
    has_image: bool,
}

/// A core module as far as it has been read.
#[derive(Default)]
pub struct CoreModule {
    imported_functions: u64,
    imported_tables: u64,
    imported_memories: u64,
    imported_globals: u64,
    imported_tags: u64,
    functions: u64,
    globals: u64,
    tags: u64,
    /// As many as the limits allow: these are checked before the section is read.
    memories: Vec<Memory>,
    tables: Vec<Table>,
    /// How often functions are named in places that make a reference to them possible.
    named_functions: u64,
    data_segments: u64,
    passive_bytes: u64,
    /// Host bytes that the loaded module keeps and that were not taken yet.
    kept_bytes: u64,
}

impl CoreModule {
    /// The host bytes that the loaded module keeps for what was read since the last call.
    pub fn take_kept_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.kept_bytes)
    }

    fn keep(&mut self, count: u64, each: u64) {
        grow(&mut self.kept_bytes, count, each);
    }

    pub fn read(&mut self, payload: &Payload<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        match payload {
            Payload::TypeSection(types) => {
                self.keep(types.count().into(), TYPE_KEPT);
                self.keep(types.range().len() as u64, TYPE_BYTE_KEPT);
            }
            Payload::ImportSection(imports) => self.imports(imports, watch)?,
            Payload::FunctionSection(functions) => {
                self.functions += u64::from(functions.count());
                self.keep(functions.count().into(), FUNCTION_KEPT);
            }
            Payload::TableSection(tables) => self.tables(tables, watch)?,
            Payload::MemorySection(memories) => self.memories(memories, watch)?,
            Payload::TagSection(tags) => {
                self.tags += u64::from(tags.count());
                self.keep(tags.count().into(), TAG_KEPT);
            }
            Payload::GlobalSection(globals) => {
                self.globals += u64::from(globals.count());
                // Each may hold a reference to a function. To know, every one would have to be read.
                self.named_functions += u64::from(globals.count());
                self.keep(globals.count().into(), GLOBAL_KEPT);
            }
            Payload::ExportSection(exports) => self.exports(exports, watch)?,
            Payload::ElementSection(elements) => self.elements(elements, watch)?,
            Payload::DataSection(data) => self.data(data, watch)?,
            Payload::CustomSection(section) => self.names(section, watch)?,
            _ => {}
        }
        Ok(())
    }

    fn imports(&mut self, imports: &ImportSectionReader<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        for import in imports.clone().into_imports() {
            watch.items(1)?;
            let import = import?;
            *match import.ty {
                TypeRef::Func(_) | TypeRef::FuncExact(_) => &mut self.imported_functions,
                TypeRef::Table(_) => &mut self.imported_tables,
                TypeRef::Memory(_) => &mut self.imported_memories,
                TypeRef::Global(_) => &mut self.imported_globals,
                TypeRef::Tag(_) => &mut self.imported_tags,
            } += 1;
            self.keep(1, IMPORT_KEPT);
            self.keep((import.module.len() + import.name.len()) as u64, NAME_BYTE_KEPT);
        }
        Ok(())
    }

    fn tables(&mut self, tables: &TableSectionReader<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        for table in tables.clone() {
            watch.items(1)?;
            let table = table?;
            let has_image = matches!(table.init, TableInit::Expr(_));
            self.named_functions += u64::from(has_image);
            self.tables.push(Table { elements: table.ty.initial, has_image });
            self.keep(1, TABLE_KEPT);
            if has_image {
                self.keep(image_elements(table.ty.initial), TABLE_IMAGE_ELEMENT_KEPT);
            }
        }
        Ok(())
    }

    fn memories(&mut self, memories: &MemorySectionReader<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        for memory in memories.clone() {
            watch.items(1)?;
            let memory = memory?;
            let page_bytes = 1u64.checked_shl(memory.page_size_log2()).unwrap_or(u64::MAX);
            let bytes = memory.initial.saturating_mul(page_bytes);
            self.memories.push(Memory { bytes, shared: memory.shared, has_image: false });
            self.keep(1, MEMORY_KEPT);
        }
        Ok(())
    }

    fn exports(&mut self, exports: &ExportSectionReader<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        for export in exports.clone() {
            watch.items(1)?;
            let export = export?;
            let function = matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact);
            self.named_functions += u64::from(function);
            self.keep(1, EXPORT_KEPT);
            self.keep(export.name.len() as u64, NAME_BYTE_KEPT);
        }
        Ok(())
    }

    fn elements(&mut self, elements: &ElementSectionReader<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        for element in elements.clone() {
            let element = element?;
            watch.items(1 + element.range.len() as u64)?;
            let count = match element.items {
                ElementItems::Functions(functions) => u64::from(functions.count()),
                ElementItems::Expressions(_, expressions) => u64::from(expressions.count()),
            };
            self.named_functions += count;
            match element.kind {
                ElementKind::Passive => {
                    grow(&mut self.passive_bytes, 1, PASSIVE_SEGMENT);
                    grow(&mut self.passive_bytes, count, PASSIVE_ELEMENT);
                    self.keep(1, ELEMENT_SEGMENT_KEPT);
                }
                ElementKind::Active { table_index, .. } => self.table_has_image(table_index.unwrap_or(0)),
                // Only says that these functions can be referred to.
                ElementKind::Declared => {}
            }
        }
        Ok(())
    }

    fn table_has_image(&mut self, index: u32) {
        let Some(defined) = u64::from(index).checked_sub(self.imported_tables) else { return };
        let Some(table) = self.tables.get_mut(defined as usize).filter(|table| !table.has_image) else { return };
        table.has_image = true;
        let elements = image_elements(table.elements);
        self.keep(elements, TABLE_IMAGE_ELEMENT_KEPT);
    }

    fn data(&mut self, data: &DataSectionReader<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        for segment in data.clone() {
            watch.items(1)?;
            let segment = segment?;
            self.data_segments += 1;
            self.keep(1, DATA_SEGMENT_KEPT);
            if let DataKind::Active { memory_index, .. } = segment.kind
                && let Some(defined) = u64::from(memory_index).checked_sub(self.imported_memories)
                && let Some(memory) = self.memories.get_mut(defined as usize)
            {
                memory.has_image = true;
            }
        }
        Ok(())
    }

    /// Names that do not parse are no reason to refuse a module.
    fn names(&mut self, section: &CustomSectionReader<'_>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        let KnownCustom::Name(names) = section.as_known() else { return Ok(()) };
        for name in names {
            watch.items(1)?;
            match name {
                Ok(Name::Function(functions)) => {
                    // Each is an index and a length at least.
                    let most = section.range().len() as u64 / 2;
                    self.keep(u64::from(functions.count()).min(most), FUNCTION_NAME_KEPT);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn imported(&self) -> u64 {
        self.imported_functions
            + self.imported_tables
            + self.imported_memories
            + self.imported_globals
            + self.imported_tags
    }

    /// An upper bound: imported functions have a reference always, the others where something names them.
    fn function_references(&self) -> u64 {
        self.imported_functions + self.named_functions.min(self.functions)
    }

    /// The size of the `VMContext`, in the order of its fields.
    fn context_bytes(&self) -> u64 {
        let owned = self.memories.iter().filter(|memory| !memory.shared).count() as u64;
        let mut bytes = CONTEXT_HEAD;
        grow(&mut bytes, self.imported() - self.imported_functions, ITEM_IMPORT);
        grow(&mut bytes, self.imported_functions, FUNCTION_IMPORT);
        grow(&mut bytes, self.memories.len() as u64, MEMORY_POINTER);
        grow(&mut bytes, owned, MEMORY_DEFINITION);
        grow(&mut bytes, self.tables.len() as u64, TABLE_DEFINITION);
        bytes = aligned(bytes, GLOBALS_ALIGN);
        grow(&mut bytes, self.globals, GLOBAL_DEFINITION);
        grow(&mut bytes, self.tags, TAG_DEFINITION);
        bytes = aligned(bytes, POINTERS_ALIGN);
        grow(&mut bytes, self.function_references(), FUNCTION_REFERENCE);
        // Most modules have a startup function. To know, every global would have to be read.
        grow(&mut bytes, 1, FUNCTION_REFERENCE);
        grow(&mut bytes, self.data_segments, DATA_SEGMENT);
        bytes
    }

    /// What one instance of the module takes.
    pub fn made(&self) -> Made {
        let mut footprint = Footprint {
            instances: 1,
            core_instances: 1,
            instance_bytes: self.context_bytes().saturating_add(self.passive_bytes),
            memories: self.memories.len() as u64,
            tables: self.tables.len() as u64,
            ..Footprint::default()
        };
        grow(&mut footprint.instance_bytes, 1, INSTANCE);
        grow(&mut footprint.instance_bytes, footprint.memories, MEMORY);
        grow(&mut footprint.instance_bytes, footprint.tables, TABLE);
        for memory in &self.memories {
            grow(&mut footprint.memory_bytes, 1, memory.bytes);
            footprint.largest_memory_bytes = footprint.largest_memory_bytes.max(memory.bytes);
            footprint.memory_images += u64::from(memory.has_image);
        }
        for table in &self.tables {
            grow(&mut footprint.table_elements, 1, table.elements);
            footprint.largest_table_elements = footprint.largest_table_elements.max(table.elements);
        }
        let mut metadata_bytes = CORE_INSTANCE_KEPT;
        grow(&mut metadata_bytes, self.imported(), CORE_ARGUMENT_KEPT);
        Made { footprint, metadata_bytes }
    }
}

fn image_elements(elements: u64) -> u64 {
    elements.min(TABLE_IMAGE_ELEMENTS_MAX)
}

fn aligned(bytes: u64, to: u64) -> u64 {
    bytes.checked_next_multiple_of(to).unwrap_or(u64::MAX)
}
