//! The socket on which the remote tells of changes: does what the machine of [`crate::sync::realtime`] says.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use futures_util::future::select;

use super::signal::Signal;
use crate::{
    error::{Error, ErrorCode},
    ports::{Platform, Ports, Socket, SocketNews, Sockets},
    sync::{
        config::Config,
        realtime::{Action, Event, Realtime},
    },
};

/// What a listener tells.
pub(super) enum Told {
    /// These tables changed remotely; none named: any may have.
    Stale(Vec<String>),
    /// Nothing is told at present, and why.
    Unavailable(Error),
}

/// Listens until it is dropped.
pub(super) struct Listener(Rc<Inner>);

struct Inner {
    platform: Platform,
    sockets: Rc<dyn Sockets>,
    machine: RefCell<Realtime>,
    socket: RefCell<Option<Box<dyn Socket>>>,
    /// What happened and wasn't looked at yet. What a socket calls only writes it down: it may be dropped for it.
    events: RefCell<VecDeque<Event>>,
    /// Something happened.
    news: Signal,
    over: Cell<bool>,
    tell: Box<dyn Fn(Told)>,
}

impl Listener {
    /// Connects in the background, and whenever the connection is lost.
    pub fn begin(config: &Config, ports: &Ports, tell: Box<dyn Fn(Told)>) -> Self {
        let inner = Rc::new(Inner {
            platform: ports.platform.clone(),
            sockets: ports.sockets.clone(),
            machine: RefCell::new(Realtime::new(config)),
            socket: RefCell::default(),
            events: RefCell::default(),
            news: Signal::default(),
            over: Cell::default(),
            tell,
        });
        ports.platform.spawner.spawn(Box::pin(listen(inner.clone())));
        Self(inner)
    }

    /// Who is signed in now.
    pub fn token(&self, token: Option<String>) {
        self.0.happened(Event::Token(token));
    }

    /// There is a network again.
    pub fn online(&self) {
        self.0.happened(Event::Online);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.over.set(true);
        self.0.socket.take();
        self.0.news.ring();
    }
}

async fn listen(inner: Rc<Inner>) {
    while !inner.over.get() {
        let event = inner.events.borrow_mut().pop_front();
        match event {
            Some(event) => inner.handle(event),
            None => {
                let wait = inner.machine.borrow().due().saturating_sub(inner.now());
                if wait > 0 {
                    select(inner.platform.clock.sleep(wait), Box::pin(inner.news.rung())).await;
                } else {
                    inner.handle(Event::Due);
                }
            }
        }
    }
}

impl Inner {
    fn now(&self) -> u64 {
        self.platform.clock.monotonic_ms() as u64
    }

    fn happened(&self, event: Event) {
        self.events.borrow_mut().push_back(event);
        self.news.ring();
    }

    fn handle(self: &Rc<Self>, event: Event) {
        let mut chance = [0];
        self.platform.entropy.fill(&mut chance);
        let actions = self.machine.borrow_mut().handle(event, self.now(), f64::from(chance[0]) / 255.0);
        for action in actions {
            match action {
                Action::Open => self.open(),
                Action::Close => drop(self.socket.take()),
                Action::Send(text) => {
                    if let Some(socket) = &*self.socket.borrow() {
                        socket.send(&text);
                    }
                }
                Action::Stale(tables) => (self.tell)(Told::Stale(tables)),
                Action::Refused(why) => {
                    let text = format!("The remote's realtime service refused to tell of changes: {why}");
                    (self.tell)(Told::Unavailable(
                        Error::new(ErrorCode::SyncRejected, text)
                            .hint("Add the tables to the publication supabase_realtime"),
                    ));
                }
            }
        }
    }

    fn open(self: &Rc<Self>) {
        // What an earlier socket said is over with it.
        self.events.borrow_mut().retain(|event| matches!(event, Event::Token(_)));
        let me = Rc::downgrade(self);
        let heard = move |news| {
            if let Some(inner) = me.upgrade() {
                inner.happened(match news {
                    SocketNews::Opened => Event::Opened,
                    SocketNews::Said(text) => Event::Said(text),
                    SocketNews::Closed => Event::Closed,
                });
            }
        };
        let url = self.machine.borrow().url().to_owned();
        match self.sockets.open(&url, Box::new(heard)) {
            Ok(socket) => _ = self.socket.replace(Some(socket)),
            Err(error) => {
                // Where there are no sockets, there never will be any.
                self.over.set(error.is(ErrorCode::UnsupportedEnvironment));
                (self.tell)(Told::Unavailable(error));
                self.happened(Event::Closed);
            }
        }
    }
}
