//! What instantiating a component takes: the figures that C++ compares with its limits, and how they are added up. All
//! sums saturate, because a few kilobytes can stand for more instances than a number holds.

/// What instantiating a component makes and takes.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Footprint {
    /// Instances of components and of core modules; the component itself is one. The adapters that Wasmtime puts between
    /// components are not among them.
    pub instances: u64,
    pub core_instances: u64,
    /// Host bytes of these instances and of adapters, without memories and table elements. An upper bound.
    pub instance_bytes: u64,
    pub memories: u64,
    /// Initial sizes.
    pub memory_bytes: u64,
    pub largest_memory_bytes: u64,
    /// Memories with data segments: they begin as a copy-on-write image.
    pub memory_images: u64,
    pub tables: u64,
    /// Initial sizes.
    pub table_elements: u64,
    pub largest_table_elements: u64,
    /// 1 when the component takes core modules or components from the host. Nothing is known about these, so what they take
    /// is missing from the other figures.
    pub unknown: u64,
    /// Host bytes that what is known about the component takes as long as it is loaded; filled in at the end of the scan.
    pub metadata_bytes: u64,
}

/// A footprint, and the host bytes that the loaded component keeps for what was linked.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Made {
    pub footprint: Footprint,
    pub metadata_bytes: u64,
}

impl Made {
    pub fn add(&mut self, other: &Made) {
        let (sum, more) = (&mut self.footprint, &other.footprint);
        for (sum, more) in [
            (&mut sum.instances, more.instances),
            (&mut sum.core_instances, more.core_instances),
            (&mut sum.instance_bytes, more.instance_bytes),
            (&mut sum.memories, more.memories),
            (&mut sum.memory_bytes, more.memory_bytes),
            (&mut sum.memory_images, more.memory_images),
            (&mut sum.tables, more.tables),
            (&mut sum.table_elements, more.table_elements),
            (&mut self.metadata_bytes, other.metadata_bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
        for (largest, other) in [
            (&mut sum.largest_memory_bytes, more.largest_memory_bytes),
            (&mut sum.largest_table_elements, more.largest_table_elements),
            (&mut sum.unknown, more.unknown),
        ] {
            *largest = (*largest).max(other);
        }
    }
}

/// `count` things of `each` bytes more.
pub fn grow(bytes: &mut u64, count: u64, each: u64) {
    *bytes = bytes.saturating_add(count.saturating_mul(each));
}
