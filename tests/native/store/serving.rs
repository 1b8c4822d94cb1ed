//! A connection to a store that is served by a task of its own, as by a worker, and whose server can be killed.

use std::{cell::Cell, cell::RefCell, future::ready, rc::Rc};

use futures_channel::oneshot;
use tidelock::{
    Error, ErrorCode, Result,
    ports::{Estimate, LocalFuture, Platform, Store, StoreConnection, Stores},
    store::proxy::StoreServer,
};

type Answer = oneshot::Sender<Vec<u8>>;
type Opener = Box<dyn Fn() -> Rc<dyn Store>>;
type Damage = Box<dyn Fn(&mut Vec<u8>)>;

/// The served stores: each server opens one.
struct Served(Opener);

impl Stores for Served {
    fn open(&self, _name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        Box::pin(ready(Ok((self.0)())))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(ready(Estimate::default()))
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(ready(false))
    }
}

/// The connection. `connect` starts a server where none runs.
pub struct Serving {
    platform: Platform,
    stores: Rc<dyn Stores>,
    server: RefCell<Option<Rc<StoreServer>>>,
    waiting: RefCell<Vec<Rc<RefCell<Option<Answer>>>>>,
    /// The number of servers that died.
    pub deaths: Cell<u64>,
    /// How many of 1000 requests the server dies of, before or after it carried them out.
    pub deadly: Cell<u64>,
    /// Called when the server dies.
    pub on_death: RefCell<Box<dyn Fn()>>,
    /// Changes a reply.
    pub damage: RefCell<Damage>,
}

impl Serving {
    pub fn new(platform: &Platform, open: impl Fn() -> Rc<dyn Store> + 'static) -> Rc<Self> {
        Rc::new(Self {
            platform: platform.clone(),
            stores: Rc::new(Served(Box::new(open))),
            server: RefCell::default(),
            waiting: RefCell::default(),
            deaths: Cell::default(),
            deadly: Cell::default(),
            on_death: RefCell::new(Box::new(|| {})),
            damage: RefCell::new(Box::new(|_| {})),
        })
    }

    /// Kills the server: nothing that was asked is answered any more.
    pub fn die(&self) {
        if self.server.take().is_some() {
            self.deaths.set(self.deaths.get() + 1);
            for answer in self.waiting.take() {
                answer.take();
            }
            (self.on_death.borrow())();
        }
    }

    pub fn is_running(&self) -> bool {
        self.server.borrow().is_some()
    }

    fn is_deadly(&self) -> bool {
        let mut bytes = [0; 8];
        self.deadly.get() > 0 && {
            self.platform.entropy.fill(&mut bytes);
            u64::from_le_bytes(bytes) % 1000 < self.deadly.get()
        }
    }
}

fn ended() -> Error {
    Error::new(ErrorCode::StorageUnavailable, "the server of the store ended")
}

impl StoreConnection for Serving {
    fn connect(&self) -> LocalFuture<'static, Result<()>> {
        self.server.borrow_mut().get_or_insert_with(|| StoreServer::new(self.stores.clone(), "served"));
        Box::pin(ready(Ok(())))
    }

    fn ask(&self, request: &[u8]) -> LocalFuture<'static, Result<Vec<u8>>> {
        let Some(server) = self.server.borrow().clone() else { return Box::pin(ready(Err(ended()))) };
        let (sender, receiver) = oneshot::channel();
        let slot = Rc::new(RefCell::new(Some(sender)));
        self.waiting.borrow_mut().push(slot.clone());
        let answering = server.answer(request);
        self.platform.spawner.spawn(Box::pin(async move {
            let reply = answering.await;
            if let Some(sender) = slot.take() {
                let _ = sender.send(reply);
            }
        }));
        if self.is_deadly() {
            self.die();
        }
        self.waiting.borrow_mut().retain(|waiting| waiting.borrow().is_some());
        let damage = self.damage.replace(Box::new(|_| {}));
        Box::pin(async move {
            let mut reply = receiver.await.map_err(|_| ended())?;
            damage(&mut reply);
            Ok(reply)
        })
    }

    fn end(&self) {
        self.server.take();
        self.waiting.take().into_iter().for_each(|answer| drop(answer.take()));
    }
}
