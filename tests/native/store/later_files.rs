//! A folder whose older segments must be prepared before they are used, as in a browser.

use std::cell::RefCell;

use tidelock::{
    Result,
    ports::{Files, LocalFuture},
    store::folder::opens_later,
};

use super::folder::SimDisk;

/// The files of a simulated disk. Using one that opens later before it is prepared panics.
pub struct LaterFiles {
    disk: SimDisk,
    later: RefCell<Vec<String>>,
}

impl LaterFiles {
    /// Opens the folder.
    pub fn new(disk: &SimDisk) -> Self {
        let later = opens_later(&disk.names());
        Self { disk: disk.clone(), later: RefCell::new(later) }
    }

    fn of(&self, name: &str) -> &SimDisk {
        assert!(!self.later.borrow().iter().any(|later| later == name), "{name} is used before it is prepared");
        &self.disk
    }
}

impl Files for LaterFiles {
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>> {
        self.later.borrow_mut().retain(|later| !names.contains(later));
        self.disk.prepare(names)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.disk.list()
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.of(name).size(name)
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.of(name).read(name, at, length)
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        self.of(name).write(name, at, bytes)
    }

    fn truncate(&self, name: &str, bytes: u64) -> Result<()> {
        self.of(name).truncate(name, bytes)
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.of(name).sync(name)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.later.borrow_mut().retain(|later| later != name);
        self.disk.remove(name)
    }

    fn close(&self) {
        self.disk.close();
    }
}
