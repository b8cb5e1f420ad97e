//! What a guest holds of the host's file system: files that are open, listings that are read. Bounded and charged.

use crate::ledger::{BridgeHostResource, Ledger};
use crate::limits::BridgeLimit;
use crate::outcome::Stopped;
use std::collections::HashMap;
use std::sync::Weak;
use wasmtime::Result;

/// What a guest has opened, as long as anything still uses it: streams may outlive their descriptors. Descriptors are the
/// process's, and one guest could take all of them: each is charged to the ledger before it is opened.
pub struct OpenFiles {
    files: Vec<Weak<std::fs::File>>,
    /// Charged and not open yet: the run may end in between.
    opening: u64,
    ledger: &'static Ledger,
}

impl OpenFiles {
    pub fn new(ledger: &'static Ledger) -> Self {
        Self { files: Vec::new(), opening: 0, ledger }
    }

    /// Gives back those that nothing uses any more.
    pub fn forget_closed(&mut self) {
        let before = self.files.len();
        self.files.retain(|file| file.strong_count() > 0);
        self.ledger.give_back(BridgeHostResource::FileDescriptors, (before - self.files.len()) as u64);
    }

    /// Charges one more, to be followed by `opened`.
    pub fn charge(&mut self, most: u64) -> Result<()> {
        self.forget_closed();
        let next = self.files.len() as u64 + self.opening + 1;
        if next > most {
            let message = "more open files than granted".into();
            return Err(Stopped { why: BridgeLimit::OpenFiles.into(), code: next, message }.into());
        }
        self.ledger.grow(BridgeHostResource::FileDescriptors, 1)?;
        self.opening += 1;
        Ok(())
    }

    /// What was charged is open, or was not opened.
    pub fn opened(&mut self, file: Option<Weak<std::fs::File>>) {
        self.opening -= 1;
        match file {
            Some(file) => self.files.push(file),
            None => self.ledger.give_back(BridgeHostResource::FileDescriptors, 1),
        }
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        self.ledger.give_back(BridgeHostResource::FileDescriptors, self.files.len() as u64 + self.opening);
    }
}

/// The entries in all listings that a guest holds, charged to the ledger before they are read.
pub struct Listings {
    held: HashMap<u32, Listing>,
    /// Charged and not read yet: the run may end in between.
    reading: u64,
    ledger: &'static Ledger,
}

#[derive(Clone, Copy, Default)]
pub struct Listing {
    pub entries: u64,
    pub bytes: u64,
}

impl Listings {
    pub fn new(ledger: &'static Ledger) -> Self {
        Self { held: HashMap::new(), reading: 0, ledger }
    }

    pub fn entries(&self) -> u64 {
        self.held.values().map(|listing| listing.entries).sum()
    }

    /// Charges what is about to be read, to be followed by `read`.
    pub fn charge(&mut self, found: Listing) -> Result<()> {
        self.ledger.grow(BridgeHostResource::Memory, found.bytes)?;
        self.reading += found.bytes;
        Ok(())
    }

    /// What was charged is held, or was not read.
    pub fn read(&mut self, found: Listing, listing: Option<u32>) {
        self.reading -= found.bytes;
        match listing {
            Some(listing) => _ = self.held.insert(listing, found),
            None => self.ledger.give_back(BridgeHostResource::Memory, found.bytes),
        }
    }

    pub fn remove(&mut self, listing: u32) {
        if let Some(gone) = self.held.remove(&listing) {
            self.ledger.give_back(BridgeHostResource::Memory, gone.bytes);
        }
    }
}

impl Drop for Listings {
    fn drop(&mut self) {
        let held: u64 = self.held.values().map(|listing| listing.bytes).sum();
        self.ledger.give_back(BridgeHostResource::Memory, held + self.reading);
    }
}
