//! The host memory that one thing of each kind takes under Wasmtime 48.0.8 on a 64-bit host, in bytes. The pre-scan only
//! counts things and multiplies; every factor is in this file. The first two groups are for one instance and follow the
//! structures in Wasmtime's sources. The `_KEPT` groups are for a component as long as it is loaded: most of these were
//! measured by deserialising what wasmtime-environ made of many such things, with an allocator that counts. Where a
//! figure depends on something that the pre-scan does not look at, it is an upper bound.

// One core instance: `VMContext` as in wasmtime-environ's vmoffsets.rs, and what the runtime has beside it.

/// `Instance` (128), its entry in the store (24, in a vector that doubles), its number in the component instance (4), and
/// what the allocator puts around it (16).
pub(crate) const INSTANCE: u64 = 128 + 2 * 24 + 4 + 16;
/// The fixed fields of a `VMContext`.
pub(crate) const CONTEXT_HEAD: u64 = 48;
/// `VMMemoryImport`, `VMTableImport`, `VMGlobalImport` and `VMTagImport` are equally large.
pub(crate) const ITEM_IMPORT: u64 = 24;
/// `VMFunctionImport`.
pub(crate) const FUNCTION_IMPORT: u64 = 32;
/// The pointer to a memory's definition.
pub(crate) const MEMORY_POINTER: u64 = 8;
/// `VMMemoryDefinition`, for a memory that is not shared.
pub(crate) const MEMORY_DEFINITION: u64 = 16;
/// `VMTableDefinition`.
pub(crate) const TABLE_DEFINITION: u64 = 16;
/// `VMGlobalDefinition`.
pub(crate) const GLOBAL_DEFINITION: u64 = 16;
/// `VMTagDefinition`.
pub(crate) const TAG_DEFINITION: u64 = 4;
/// `VMFuncRef`, for each function that can be referred to and for the startup function.
pub(crate) const FUNCTION_REFERENCE: u64 = 32;
/// Address and length of a data segment or of a memory's image.
pub(crate) const DATA_SEGMENT: u64 = 8 + 4;
/// Globals are aligned to this within a `VMContext`.
pub(crate) const GLOBALS_ALIGN: u64 = 16;
/// What follows the tags is aligned to this.
pub(crate) const POINTERS_ALIGN: u64 = 8;
/// `Memory` with its mapping and its image slot, without the bytes of the memory itself.
pub(crate) const MEMORY: u64 = 320;
/// `Table`, without its elements.
pub(crate) const TABLE: u64 = 80;
/// `PassiveElementSegment` and the head of the allocation for its elements.
pub(crate) const PASSIVE_SEGMENT: u64 = 32 + 16;
/// A `ValRaw`.
pub(crate) const PASSIVE_ELEMENT: u64 = 16;

// One component instance: `VMComponentContext` as in wasmtime-environ's vmcomponent_offsets.rs.

/// `ComponentInstance` (208), the fixed fields of a `VMComponentContext` (48), and room for all references to unsafe
/// intrinsics (768). Once for the root: components nested in it share it.
pub(crate) const ROOT_INSTANCE: u64 = 208 + 48 + 768;
/// `InstanceState` (96) and the flag `may_leave` (16).
pub(crate) const COMPONENT_INSTANCE: u64 = 96 + 16;
/// Pointers to memory, realloc, callback and post-return.
pub(crate) const LIFT: u64 = 4 * 8;
/// A lowered function of the host: trampoline (32), `VMLowering` (16), pointers to memory and realloc.
pub(crate) const LOWER: u64 = 32 + 16 + 2 * 8;
/// A canonical built-in: trampoline (32), a pointer to realloc and one to memory, or a table (24).
pub(crate) const BUILTIN: u64 = 32 + 8 + 24;
/// A resource type: the pointer to its destructor, and `ResourceType`.
pub(crate) const RESOURCE: u64 = 8 + 32;
/// A function that one component lifts and another lowers: Wasmtime makes an adapter for it, in a core module that several
/// can share. The upper bound is a module for each, with 32 imported functions (24 of them trampolines of the component),
/// 5 other imports, 3 functions of its own, and 8 pointers in the component's context.
pub(crate) const ADAPTER: u64 = INSTANCE
    + CONTEXT_HEAD
    + 32 * (FUNCTION_IMPORT + FUNCTION_REFERENCE)
    + 5 * ITEM_IMPORT
    + 3 * FUNCTION_REFERENCE
    + 24 * FUNCTION_REFERENCE
    + 8 * 8;

// One loaded core module, whether it is instantiated or not: `CompiledModuleInfo` and what it points to.

/// `CompiledModuleInfo` (600), `ModuleInner`, `VMOffsets`.
pub(crate) const MODULE_KEPT: u64 = 1_200;
/// A core type: its place in the module (8). A type unlike all others is kept by the component (about 90) and by the
/// engine (an estimate).
pub(crate) const TYPE_KEPT: u64 = 384;
/// A parameter is one byte of the section and 16 of the host's, three times.
pub(crate) const TYPE_BYTE_KEPT: u64 = 3 * 16;
/// `Initializer` (16), the imported item (12 to 48), and two strings.
pub(crate) const IMPORT_KEPT: u64 = 224;
/// `FunctionType` (12), and where the code of the function and of its trampoline is.
pub(crate) const FUNCTION_KEPT: u64 = 40;
/// `Table` (48) and the list that is its image (24).
pub(crate) const TABLE_KEPT: u64 = 72;
pub(crate) const TABLE_IMAGE_ELEMENT_KEPT: u64 = 4;
/// Wasmtime makes no images of more elements than this.
pub(crate) const TABLE_IMAGE_ELEMENTS_MAX: u64 = 1 << 20;
/// `Memory` (32) and where its image is (24).
pub(crate) const MEMORY_KEPT: u64 = 32 + 24;
/// `Tag` (16), and the exception type that Wasmtime defines for it.
pub(crate) const TAG_KEPT: u64 = 16 + TYPE_KEPT;
/// `Global` (20) and its value (48). Loading 8 modules with 999,000 globals each was seen to peak at 674 MB, which is 12
/// bytes more for each.
pub(crate) const GLOBAL_KEPT: u64 = 80;
/// An entry of the map of exports, and a string.
pub(crate) const EXPORT_KEPT: u64 = 144;
/// A byte of the name of an import or export.
pub(crate) const NAME_BYTE_KEPT: u64 = 1;
/// Type and length of a passive element segment. Active ones are kept as images of tables, declared ones not at all.
pub(crate) const ELEMENT_SEGMENT_KEPT: u64 = 24;
/// Where a data segment is in the file.
pub(crate) const DATA_SEGMENT_KEPT: u64 = 8;
/// `FunctionName`. The name itself stays in the file.
pub(crate) const FUNCTION_NAME_KEPT: u64 = 12;

// One loaded component: `Component` and `ComponentTypes`. Wasmtime keeps one flat list of all that instantiation does,
// so much of this is for each instance that is made, not for each that is written down.

/// `Component`, `ComponentTypes` and what is around them. Once for the root.
pub(crate) const ROOT_KEPT: u64 = 4_096;
/// A byte of a component type section. Measured: 37 for an enum with short names, 8 to 29 for other types.
pub(crate) const COMPONENT_TYPE_BYTE_KEPT: u64 = 40;
/// An import: name and type, in two tables.
pub(crate) const COMPONENT_IMPORT_KEPT: u64 = 352;
/// An export of the root or of an instance that the root exports: `Export` (152), maps of names with and without version,
/// types. Measured: 450 to 880.
pub(crate) const COMPONENT_EXPORT_KEPT: u64 = 800;
/// A byte of the name of an import or export: such names are kept up to four times.
pub(crate) const COMPONENT_NAME_BYTE_KEPT: u64 = 4;
/// A component instance: the type of what it exports (48), and which resources are its own.
pub(crate) const COMPONENT_INSTANCE_KEPT: u64 = 64;
/// A core instance: `GlobalInitializer` (64) and the head of the list of its arguments.
pub(crate) const CORE_INSTANCE_KEPT: u64 = 64 + 16;
/// `CoreDef`.
pub(crate) const CORE_ARGUMENT_KEPT: u64 = 32;
/// `CanonicalOptions` (44), and a `GlobalInitializer` each for memory, realloc, callback and post-return.
pub(crate) const LIFT_KEPT: u64 = 44 + 4 * 64;
/// `CanonicalOptions`, three `GlobalInitializer`, the path of the import, and where the trampoline's code is.
pub(crate) const LOWER_KEPT: u64 = 44 + 3 * 64 + 128 + 40;
/// As `LOWER_KEPT`, without an import.
pub(crate) const BUILTIN_KEPT: u64 = 44 + 2 * 64 + 40;
/// `GlobalInitializer`, and entries of the tables of resources. Measured: 68.
pub(crate) const RESOURCE_KEPT: u64 = 64 + 32;
/// A whole core module, with 40 imports of up to 24 bytes of names each.
pub(crate) const ADAPTER_KEPT: u64 = MODULE_KEPT + CORE_INSTANCE_KEPT + 40 * (IMPORT_KEPT + CORE_ARGUMENT_KEPT + 24);

// Steps of linking. Each operation and each value handled is one.

/// What the scan remembers until it ends takes memory besides time: 100 bytes at the most for these steps.
pub(crate) const KEPT_STEPS: u64 = 16;
/// The same for what takes about 300 bytes: a module or component that is written down, and the outcome of instantiating
/// a component with something new.
pub(crate) const LARGE_STEPS: u64 = 64;
