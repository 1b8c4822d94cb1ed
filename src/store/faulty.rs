//! A store that fails at random from a seed, for the simulation.
//!
//! Transactions stay atomic, as IndexedDB's are; anything around them may fail.

use std::{cell::RefCell, future::ready, rc::Rc};

use super::memory::{Contents, MemoryStore};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{
        ChunkId, Clock, Durability, Entropy, Guard, Key, LocalFuture, LogKey, Platform, Store, StoredRecord,
        Transaction, Write,
    },
};

/// The faults, and how often each occurs (per 1000 transactions).
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A transaction takes up to this many milliseconds.
    pub delay_ms: u64,
    /// It fails with `storage_unavailable`, and is not stored.
    pub refuse: u64,
    /// It fails with `storage_unavailable`, though it was stored.
    pub doubt: u64,
    /// A chunk is stored with a byte flipped.
    pub rot: u64,
    /// Reading fails with `storage_unavailable`.
    pub refuse_reads: u64,
    /// More bytes of pages and chunks fail with `storage_quota_exceeded`.
    pub capacity: Option<usize>,
    /// After this many more transactions the store never answers again, as when a page is about to die.
    pub stall_after: Option<u64>,
}

/// How a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The browser dies: acknowledged transactions stay.
    Process,
    /// The power fails: relaxed transactions after the last strict one may be lost, the newest first.
    Power,
}

/// A [`MemoryStore`] behind [`Faults`]. A handle, cheap to clone.
#[derive(Clone)]
pub struct FaultyStore(Rc<FaultyInner>);

struct FaultyInner {
    disk: MemoryStore,
    clock: Rc<dyn Clock>,
    entropy: Rc<dyn Entropy>,
    state: RefCell<FaultyState>,
}

#[derive(Default)]
struct FaultyState {
    faults: Faults,
    transactions: u64,
    next_id: u64,
    in_flight: Vec<(u64, Transaction)>,
    /// The connection is broken until it is reopened.
    broken: bool,
    /// The content that survives a power cut, and the transactions after it; recorded only for stores with power cuts.
    safe: Option<Contents>,
    relaxed: Vec<Transaction>,
}

impl FaultyState {
    /// Makes the relaxed transactions survive a power cut.
    fn harden(&mut self) {
        let relaxed = std::mem::take(&mut self.relaxed);
        if let Some(safe) = &mut self.safe {
            relaxed.iter().for_each(|transaction| safe.write(transaction).expect("it was possible before"));
        }
    }
}

impl FaultyStore {
    /// Creates an empty store without faults.
    pub fn new(platform: &Platform) -> Self {
        let (clock, entropy) = (platform.clock.clone(), platform.entropy.clone());
        Self(Rc::new(FaultyInner { disk: MemoryStore::new(), clock, entropy, state: RefCell::default() }))
    }

    /// Creates an empty store without faults whose power may be cut. It keeps everything twice.
    pub fn new_powerless(platform: &Platform) -> Self {
        let store = Self::new(platform);
        store.0.state.borrow_mut().safe = Some(Contents::default());
        store
    }

    /// Sets the faults from now on.
    pub fn set(&self, faults: Faults) {
        self.0.state.borrow_mut().faults = faults;
    }

    /// Returns the stored content.
    pub fn disk(&self) -> &MemoryStore {
        &self.0.disk
    }

    /// Breaks the connection; the next use notices.
    pub fn break_connection(&self) {
        self.0.state.borrow_mut().broken = true;
    }

    /// Returns the number of requested transactions.
    pub fn transactions(&self) -> u64 {
        self.0.state.borrow().transactions
    }

    /// Changes the stored content directly and permanently.
    pub fn damage<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        let changed = change(&mut self.0.disk.contents().borrow_mut());
        let mut state = self.0.state.borrow_mut();
        state.relaxed.clear();
        if let Some(safe) = &mut state.safe {
            *safe = self.0.disk.contents().borrow().clone();
        }
        changed
    }

    /// Ends the page: each transaction in flight is committed or lost, in order. Clears the faults.
    ///
    /// # Panics
    /// At a power cut without [`FaultyStore::new_powerless`].
    pub fn crash(&self, crash: Crash) {
        self.end_in_flight();
        let mut state = self.0.state.borrow_mut();
        if crash == Crash::Power {
            let kept = self.below(state.relaxed.len() as u64 + 1) as usize;
            let relaxed = std::mem::take(&mut state.relaxed);
            let safe = state.safe.as_mut().expect("made for power cuts");
            for transaction in relaxed.iter().take(kept) {
                safe.write(transaction).expect("it was possible before");
            }
            *self.0.disk.contents().borrow_mut() = safe.clone();
        }
        let safe = state.safe.is_some().then(|| self.0.disk.contents().borrow().clone());
        *state = FaultyState { safe, ..FaultyState::default() };
    }

    /// Ends what runs the transactions in flight: each is committed or lost, in order.
    pub fn end_in_flight(&self) {
        let in_flight = std::mem::take(&mut self.0.state.borrow_mut().in_flight);
        for (_, transaction) in in_flight {
            if self.chance(500) {
                break;
            }
            let _ = self.commit(transaction);
        }
    }

    fn below(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes) % limit
    }

    fn chance(&self, of_1000: u64) -> bool {
        of_1000 > 0 && self.below(1000) < of_1000
    }

    fn commit(&self, transaction: Transaction) -> Result<()> {
        let mut state = self.0.state.borrow_mut();
        if let Some(capacity) = state.faults.capacity
            && adds(&transaction) > 0
            && size(&self.0.disk.contents().borrow()) + adds(&transaction) > capacity
        {
            return Err(Error::new(ErrorCode::StorageQuotaExceeded, "the simulated disk is full"));
        }
        self.0.disk.contents().borrow_mut().write(&transaction)?;
        if state.safe.is_some() {
            let strict = transaction.durability == Durability::Strict;
            state.relaxed.push(transaction);
            if strict {
                state.harden();
            }
        }
        Ok(())
    }

    fn with_bit_rot(&self, mut transaction: Transaction) -> Transaction {
        let rot = self.0.state.borrow().faults.rot;
        for write in &mut transaction.writes {
            if let Write::Put(Key::Chunk(_), bytes) = write
                && self.chance(rot)
                && let Some(last) = bytes.last_mut()
            {
                *last ^= 1;
            }
        }
        transaction
    }

    /// Delays a transaction; forever once stalled.
    async fn pass(&self) {
        let (delay, stalled) = {
            let mut state = self.0.state.borrow_mut();
            state.transactions += 1;
            let stalled = state.faults.stall_after.as_mut().is_some_and(|left| {
                let stalled = *left == 0;
                *left = left.saturating_sub(1);
                stalled
            });
            (state.faults.delay_ms, stalled)
        };
        if stalled {
            std::future::pending::<()>().await;
        }
        if delay > 0 {
            self.0.clock.sleep(self.below(delay + 1)).await;
        }
    }

    /// Delays a read, so that others may write meanwhile, or fails it.
    async fn readable(&self) -> Result<()> {
        let Faults { refuse_reads: refuse, delay_ms, .. } = self.0.state.borrow().faults;
        if delay_ms > 0 && self.chance(200) {
            self.0.clock.sleep(self.below(delay_ms + 1)).await;
        }
        let broken = self.0.state.borrow().broken;
        if self.chance(refuse) || broken { Err(unavailable()) } else { Ok(()) }
    }
}

fn unavailable() -> Error {
    Error::new(ErrorCode::StorageUnavailable, "the simulated storage refused")
}

fn adds(transaction: &Transaction) -> usize {
    // The record of a claim always fits.
    let of_batch = transaction.guard == Guard::Nothing;
    let bytes = |write: &Write| match write {
        Write::Add(_, bytes) if of_batch => bytes.len(),
        Write::Put(Key::Chunk(_), bytes) => bytes.len(),
        _ => 0,
    };
    transaction.writes.iter().map(bytes).sum()
}

fn size(contents: &Contents) -> usize {
    contents.log.values().chain(contents.chunks.values()).map(Vec::len).sum()
}

impl Store for FaultyStore {
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let store = self.clone();
        let id = {
            let mut state = store.0.state.borrow_mut();
            state.next_id += 1;
            let id = state.next_id;
            state.in_flight.push((id, transaction));
            id
        };
        Box::pin(async move {
            store.pass().await;
            let (faults, transaction) = {
                let mut state = store.0.state.borrow_mut();
                let index = state.in_flight.iter().position(|(other, _)| *other == id);
                // After a crash the result has no receiver.
                let Some(index) = index else { return Err(unavailable()) };
                (state.faults, state.in_flight.remove(index).1)
            };
            if store.chance(faults.refuse) || store.0.state.borrow().broken {
                return Err(unavailable());
            }
            store.commit(store.with_bit_rot(transaction))?;
            if store.chance(faults.doubt) { Err(unavailable()) } else { Ok(()) }
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            self.readable().await?;
            self.0.disk.head().await
        })
    }

    fn head_copy(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            self.readable().await?;
            self.0.disk.head_copy().await
        })
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            self.readable().await?;
            self.0.disk.get(keys).await
        })
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(async move {
            self.readable().await?;
            self.0.disk.log(after, max_bytes).await
        })
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        Box::pin(async move {
            self.readable().await?;
            self.0.disk.generations().await
        })
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        Box::pin(async move {
            self.readable().await?;
            self.0.disk.chunk_ids().await
        })
    }

    fn reads_now(&self) -> bool {
        true
    }

    fn chunk_now(&self, id: &ChunkId, buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        self.0.disk.chunk_now(id, buffer)
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        self.0.state.borrow_mut().broken = false;
        Box::pin(self.readable())
    }

    fn close(&self) -> LocalFuture<'_, Result<()>> {
        self.0.state.borrow_mut().harden();
        Box::pin(ready(Ok(())))
    }
}
