//! Serves a store to a [`ProxyStore`](super::ProxyStore).

use std::{cell::RefCell, future::ready, rc::Rc};

use super::{
    call::{ReadCall, StoreCall},
    closed,
    wire::Wire,
};
use crate::{
    error::{Error, Result},
    format::LayoutWriter,
    ports::{LocalFuture, Store, Stores},
};

/// The store of one database, opened by the first request.
pub struct StoreServer {
    stores: Rc<dyn Stores>,
    name: String,
    store: RefCell<Option<Rc<dyn Store>>>,
}

impl StoreServer {
    /// Creates a server for that database.
    pub fn new(stores: Rc<dyn Stores>, name: &str) -> Rc<Self> {
        Rc::new(Self { stores, name: name.to_owned(), store: RefCell::default() })
    }

    /// Carries out a request: a write begins before this returns. Resolves with the reply.
    pub fn answer(self: &Rc<Self>, request: &[u8]) -> LocalFuture<'static, Vec<u8>> {
        let store = self.store.borrow().clone();
        let done: LocalFuture<'static, Result<()>> = match (StoreCall::decode(request), store) {
            (None, _) => Box::pin(ready(Err(Error::internal("A request for the storage can't be read")))),
            (Some(StoreCall::Open), None) => Box::pin(self.clone().open(self.stores.open(&self.name))),
            (Some(StoreCall::OpenOlder), None) => {
                let opening = self.stores.open_older(&self.name);
                let no_older = || Error::unsupported("An older state of this storage");
                Box::pin(self.clone().open(Box::pin(async move { opening.await?.ok_or_else(no_older) })))
            }
            (Some(StoreCall::Open | StoreCall::OpenOlder), Some(_)) => Box::pin(ready(Ok(()))),
            (Some(_), None) => Box::pin(ready(Err(closed()))),
            (Some(StoreCall::Write(transaction)), Some(store)) => store.write(transaction),
            (Some(StoreCall::Read(read)), Some(store)) => return Box::pin(value_of(store, read)),
            (Some(StoreCall::Reopen), Some(store)) => Box::pin(async move { store.reopen().await }),
            (Some(StoreCall::Close), Some(store)) => {
                self.store.take();
                Box::pin(async move {
                    store.settled().await;
                    store.close().await
                })
            }
        };
        Box::pin(async move { reply(&done.await) })
    }

    async fn open(self: Rc<Self>, opening: LocalFuture<'static, Result<Rc<dyn Store>>>) -> Result<()> {
        let opened = opening.await?;
        self.store.borrow_mut().get_or_insert(opened);
        Ok(())
    }
}

async fn value_of(store: Rc<dyn Store>, read: ReadCall) -> Vec<u8> {
    match read {
        ReadCall::Head => reply(&store.head().await),
        ReadCall::Get(keys) => reply(&store.get(keys).await),
        ReadCall::Log(after, max_bytes) => {
            let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
            reply(&store.log(after, max_bytes).await)
        }
        ReadCall::Generations => reply(&store.generations().await),
        ReadCall::ChunkIds => reply(&store.chunk_ids().await),
        ReadCall::HeadCopy => reply(&store.head_copy().await),
        ReadCall::Damage => reply(&store.damage().await),
    }
}

fn reply<T: Wire>(result: &Result<T>) -> Vec<u8> {
    let mut reply = LayoutWriter::default();
    result.put(&mut reply);
    reply.0
}
