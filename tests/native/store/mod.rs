//! The storage format: conformance of the native stores, the rules by name, and scheduled snapshots.

pub mod bench;
mod chain;
mod clocks;
mod commits;
mod conformance;
mod fencing;
mod flush_policy;
mod folder;
mod generations;
mod history;
mod hostile;
pub mod hostile_folder;
mod hostile_journal;
mod last_good;
mod moving;
pub mod page;
mod paging;
mod planted;
mod policy;
mod proxy;
mod recovery;
mod rekey;
mod remains;
mod rot;
mod sealed;
pub mod serving;
pub mod stored;
