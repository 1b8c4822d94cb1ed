//! What to store, and when: page log, chunks, manifests; opening, recovery and compaction, over the port
//! [`Store`](crate::ports::Store).
//!
//! The rules, each with a test of that name in `tests/native`:
//!
//! 1. **Whole commits.** A batch ends at a commit boundary; all its parts are one transaction.
//! 2. **Fencing.** A claim adds an epoch record at the next lsn: the key that a fenced-out holder would add next. Log
//!    truncation keeps those records. Every other write requires the head as its holder stored it.
//! 3. **Acknowledged means stored.**
//! 4. **A chain.** Each record carries the checksum of the one before, each manifest that of its lsn.
//! 5. **Everything that changes pages is in the chain**, or the next manifest is a barrier.
//! 6. **Manifest last.** Its transaction checks that every chunk exists; chunks without a manifest are swept.
//! 7. **Nothing good is deleted before its successor is verified.**
//! 8. **Snapshots cost what changed.**
//!
//! | implementation of `Store` | subject |
//! |---|---|
//! | `memory` | `storage: 'memory'`, and native tests |
//! | `folder` | files: a journal, and packs of chunks. The one over IndexedDB is in `browser` |
//! | `sealed` | encryption, over another store |
//! | `proxy` | a store in another thread |
//! | `conformance`, `faulty` | for tests: the suite of every store, and a store that fails at random |
//!
//! | file | subject |
//! |---|---|
//! | `records`, `chunk`, `log`, `manifests` | the stored form of records, chunks and batches; which manifests belong to the log |
//! | `recovery`, `last_good`, `remains`, `history` | reading a database: at its opening, after damage, at an earlier time |
//! | `storage` | the open database: its fence, and the end of its log |
//! | `generations`, `imported`, `removal` | writing, importing and deleting snapshots and checkpoints |
//! | `repair` | damaged chunks, stored again |
//! | `paging` | databases larger than memory |
//! | `rekey`, `moving` | changing the keys; moving to another store |
//! | `failure` | the errors that all stores share |

pub mod chunk;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod failure;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod faulty;
pub mod folder;
mod generations;
mod history;
mod imported;
mod last_good;
mod log;
mod manifests;
mod memory;
pub mod moving;
mod paging;
pub mod proxy;
mod records;
mod recovery;
mod rekey;
mod remains;
mod removal;
mod repair;
pub mod sealed;
mod storage;

pub use generations::{ChunkSource, Staged, Tag};
pub use history::{HistoryPoint, PointInTime, Reach};
pub use last_good::{LogRange, RecoveryReport};
pub use log::{PART_BYTES, Position, SMALL_PART_BYTES, batch_records, epoch_record};
pub use memory::{Contents, MemoryStore, in_memory};
pub use rekey::{Rekeyed, Rotation};
pub use storage::{Opened, Storage, Usage, stored_bytes};
