//! What is counted, and what of it there was.

/// The limits of loading by their names, in the order of C++'s table.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadLimit {
    /// Components and modules inside components, types inside types.
    Nesting,
    Modules,
    Components,
    /// Written down, or made when the component is instantiated, whichever is more.
    Instances,
    Functions,
    /// The largest function body: nothing is checked inside one straight line of code.
    Body,
    Types,
    Imports,
    Exports,
    Memories,
    Tables,
    /// The work to find out what instantiating the component makes: each operation and each value handled is a step.
    LinkingSteps,
    /// Host memory that the component keeps as long as it is loaded, without its file. An estimate.
    Metadata,
    // The pre-scan counts those before, the description the next two; the others are kept by C++.
    TypeDepth,
    TypeNodes,
    Text,
    Bytes,
    Timeout,
    CompileCpu,
    CompileMemory,
    Artefact,
}

/// How many of them the pre-scan counts, and how many there are.
pub const SCANNED_LIMITS: usize = 13;
pub const LOAD_LIMITS: usize = 21;
const _: () = assert!(LoadLimit::Metadata as usize + 1 == SCANNED_LIMITS);
const _: () = assert!(LoadLimit::Artefact as usize + 1 == LOAD_LIMITS);

/// Both the limits given and the figures found.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Scan {
    /// One number for each of the first `LoadLimit`s.
    pub figures: [u64; SCANNED_LIMITS],
    /// Found only: the component-model async built-ins are used.
    pub concurrency: bool,
}

impl std::ops::Index<LoadLimit> for Scan {
    type Output = u64;

    fn index(&self, limit: LoadLimit) -> &u64 {
        &self.figures[limit as usize]
    }
}

impl std::ops::IndexMut<LoadLimit> for Scan {
    fn index_mut(&mut self, limit: LoadLimit) -> &mut u64 {
        &mut self.figures[limit as usize]
    }
}

/// Why a scan ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The figure `found` is more than `limit` lets it be.
    Limit {
        limit: LoadLimit,
        found: u64,
    },
    /// The sections do not parse. `offset`: in bytes.
    Malformed {
        message: String,
        offset: u64,
    },
    /// The deadline has passed.
    Late,
    Cancelled,
}

impl From<wasmparser::BinaryReaderError> for Ended {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed { message: error.message().to_owned(), offset: error.offset() as u64 }
    }
}

/// Errors: `Ended::Limit` when `found` is more than `most`.
pub(crate) fn at_most(limit: LoadLimit, found: u64, most: u64) -> Result<(), Ended> {
    if found > most {
        return Err(Ended::Limit { limit, found });
    }
    Ok(())
}

impl Scan {
    /// Sets the figure to `found`, also where that is more than `most` allows. Errors: as `at_most`.
    pub(crate) fn set(&mut self, limit: LoadLimit, found: u64, most: &Self) -> Result<(), Ended> {
        self[limit] = found;
        at_most(limit, found, most[limit])
    }

    pub(crate) fn count(&mut self, limit: LoadLimit, more: u32, most: &Self) -> Result<(), Ended> {
        self.set(limit, self[limit] + u64::from(more), most)
    }
}
