//! A store that runs elsewhere: [`ProxyStore`] forwards each call, [`StoreServer`] carries it out.
//!
//! In browsers, only dedicated workers can open the files of the private file system: an engine on a page's thread
//! reaches them through a worker that serves a folder's store.

mod call;
mod server;
mod wire;

use std::{cell::Cell, future::ready, rc::Rc};

use futures_util::FutureExt;

use crate::{
    error::{Error, ErrorCode, Result},
    format::Reader,
    ports::{ChunkId, Durability, Guard, Key, LocalFuture, LogKey, Store, StoreConnection, StoredRecord, Transaction},
};
use call::{ReadCall, StoreCall};
pub use server::StoreServer;
use wire::Wire;

/// The store behind a connection. A handle, cheap to clone.
#[derive(Clone)]
pub struct ProxyStore {
    connection: Rc<dyn StoreConnection>,
    closed: Rc<Cell<bool>>,
}

impl ProxyStore {
    /// Connects, and opens the store. Fails as the connection and the store do.
    pub async fn open(connection: Rc<dyn StoreConnection>) -> Result<Self> {
        Self::open_by(connection, StoreCall::Open).await
    }

    /// Does the same for a recovery; see [`Stores::open_older`](crate::ports::Stores::open_older).
    pub async fn open_older(connection: Rc<dyn StoreConnection>) -> Result<Self> {
        Self::open_by(connection, StoreCall::OpenOlder).await
    }

    async fn open_by(connection: Rc<dyn StoreConnection>, call: StoreCall) -> Result<Self> {
        let store = Self { connection, closed: Rc::default() };
        let opened = store.connect(&call).await;
        if opened.is_err() {
            store.connection.end();
        }
        opened.map(|()| store)
    }

    async fn connect(&self, call: &StoreCall) -> Result<()> {
        self.connection.connect().await?;
        self.call(call).await
    }

    /// Sends a request; resolves with the bytes of its reply.
    fn send(&self, request: &StoreCall) -> LocalFuture<'static, Result<Vec<u8>>> {
        match self.closed.get() {
            true => Box::pin(ready(Err(closed()))),
            false => self.connection.ask(&request.encode()),
        }
    }

    fn call<T: Wire + 'static>(&self, request: &StoreCall) -> LocalFuture<'static, Result<T>> {
        let (sent, connection) = (self.send(request), self.connection.clone());
        Box::pin(sent.map(move |reply| {
            let reply = reply?;
            let mut reply = Reader(&reply);
            Result::get(&mut reply).filter(|_| reply.0.is_empty()).unwrap_or_else(|| {
                // What sends such replies can't be relied on: reconnecting starts another.
                connection.end();
                Err(unreadable())
            })
        }))
    }

    /// Makes what an ended server wrote survive a power cut, by another one.
    async fn finish_again(&self) -> Result<()> {
        self.reopen().await?;
        let (guard, durability) = (Guard::Nothing, Durability::Strict);
        self.write(Transaction { guard, require: Vec::new(), writes: Vec::new(), durability }).await?;
        self.call(&StoreCall::Close).await
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::StorageUnavailable, "The database's storage is closed").hint("Open the database again")
}

fn unreadable() -> Error {
    Error::new(ErrorCode::StorageUnavailable, "A reply of the storage can't be read")
        .hint("Try again: the connection to the storage is made again")
}

impl Store for ProxyStore {
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        self.call(&StoreCall::Write(transaction))
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        self.call(&StoreCall::Read(ReadCall::Head))
    }

    fn head_copy(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        self.call(&StoreCall::Read(ReadCall::HeadCopy))
    }

    fn damage(&self) -> LocalFuture<'_, Result<Option<String>>> {
        self.call(&StoreCall::Read(ReadCall::Damage))
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        self.call(&StoreCall::Read(ReadCall::Get(keys)))
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        self.call(&StoreCall::Read(ReadCall::Log(after, max_bytes as u64)))
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        self.call(&StoreCall::Read(ReadCall::Generations))
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        self.call(&StoreCall::Read(ReadCall::ChunkIds))
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async {
            if self.closed.get() {
                return Err(closed());
            }
            self.connect(&StoreCall::Open).await?;
            self.call(&StoreCall::Reopen).await
        })
    }

    fn yield_to_holder(&self) {
        self.closed.set(true);
        self.connection.end();
    }

    fn close(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async {
            if self.closed.get() {
                return Ok(());
            }
            let mut finished = self.call(&StoreCall::Close).await;
            if matches!(&finished, Err(error) if error.is(ErrorCode::StorageUnavailable)) {
                finished = self.finish_again().await;
            }
            self.closed.set(true);
            self.connection.end();
            finished
        })
    }
}
