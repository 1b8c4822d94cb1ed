//! Acquiring the lock: at once, or by waiting in its queue.

use futures_util::future::{Either, select};
use serde::Deserialize;

use super::{lock_name, takeover};
use crate::{
    error::{Detail, Error, ErrorCode, Result},
    ports::{Acquire, Clock, HeldLock, Holder, LocalFuture, Locks},
};

/// What to do when another tab or process holds the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBusy {
    /// Fail at once with `database_in_use`.
    #[default]
    Fail,
    /// Wait in the queue until the timeout, then fail with `lock_timeout`.
    Wait,
    /// Ask the holder to finish and release the lock; wait in the queue until the timeout, then fail with
    /// `lock_timeout`.
    Takeover,
    /// Steal the lock. The previous holder can't write any more: the storage fences it out.
    Steal,
}

/// How often the holder is read, and the pause between two reads in milliseconds.
const HOLDER_ATTEMPTS: u32 = 40;
const HOLDER_PAUSE_MS: u64 = 25;

/// Acquires the lock of the database `name`.
///
/// `read_holder` returns the holder, where known; it is called only when the lock is taken. Dropping the future leaves
/// the queue.
///
/// Fails with `database_in_use` when it is taken and `on_busy` is [`OnBusy::Fail`]; `lock_timeout` when it isn't acquired
/// within `timeout_ms`; `unsupported_environment` where the platform has no locks, or lacks what `on_busy` needs.
pub async fn acquire(
    locks: &dyn Locks,
    clock: &dyn Clock,
    name: &str,
    on_busy: OnBusy,
    timeout_ms: u64,
    read_holder: impl AsyncFn() -> Option<Holder>,
) -> Result<Box<dyn HeldLock>> {
    let lock = lock_name(name);
    // First in every mode: a free lock needs no timer.
    if let Some(held) = locks.acquire(&lock, Acquire::IfAvailable).await? {
        return Ok(held);
    }
    let given = |taken: Option<Box<dyn HeldLock>>| {
        taken.ok_or_else(|| Error::internal("The platform refused a lock for which it was asked to wait"))
    };
    let mut hint = "Close the other tab or process, or wait longer with lock.timeoutMs";
    let mut in_time: LocalFuture<'_, ()> = clock.sleep(timeout_ms);
    match on_busy {
        OnBusy::Fail => return Err(in_use(find_holder(locks, clock, &lock, read_holder).await.as_ref())),
        // A stolen lock is granted at once, unless the browser hangs.
        OnBusy::Wait | OnBusy::Steal => {}
        OnBusy::Takeover => {
            hint = "The other tab is busy or frozen: wait longer with lock.timeoutMs, or open with lock: { onBusy: 'steal' }";
            let asking = takeover::ask(locks.open_broadcast(&lock, Box::new(|_| {}))?, clock);
            let sleep = in_time;
            in_time = Box::pin(async move { drop(select(asking, sleep).await) });
        }
    }
    // The request enters the queue before the first takeover message: the holder checks whether the queue is empty.
    let how = if on_busy == OnBusy::Steal { Acquire::Steal } else { Acquire::Wait };
    let waiting: LocalFuture<'_, _> = locks.acquire(&lock, how);
    match select(waiting, in_time).await {
        Either::Left((taken, _)) => taken.and_then(given),
        Either::Right(((), waiting)) => {
            drop(waiting);
            let message = format!("The database was still in use after {timeout_ms} ms");
            let error = Error::new(ErrorCode::LockTimeout, message).hint(hint).detail("timeoutMs", timeout_ms);
            Err(with_holder(error, find_holder(locks, clock, &lock, read_holder).await.as_ref()))
        }
    }
}

/// Finds the lock's holder. A holder that just acquired the lock hasn't stored its identity yet; the stored one is an
/// earlier holder's or missing. So it is read again until it matches the tab that holds the lock.
async fn find_holder(
    locks: &dyn Locks,
    clock: &dyn Clock,
    lock: &str,
    read_holder: impl AsyncFn() -> Option<Holder>,
) -> Option<Holder> {
    let mut known = None;
    for _ in 0..HOLDER_ATTEMPTS {
        let tab = locks.holder(lock).await;
        known = read_holder().await;
        if tab.is_none() || known.as_ref().map(|holder| &holder.id) == tab.as_ref() {
            break;
        }
        clock.sleep(HOLDER_PAUSE_MS).await;
    }
    known
}

/// Returns the error for a database that another tab holds. An unknown holder leaves `details.holder` out.
pub fn in_use(holder: Option<&Holder>) -> Error {
    let error = Error::new(ErrorCode::DatabaseInUse, "Database already in use")
        .hint("Close the other tab or process, or open with lock: { onBusy: 'wait' }");
    with_holder(error, holder)
}

fn with_holder(error: Error, holder: Option<&Holder>) -> Error {
    let Some(holder) = holder else { return error };
    let known = [
        ("id", holder.id.clone()),
        ("title", holder.title.clone()),
        ("url", holder.url.clone()),
        ("since", holder.since.to_string()),
    ];
    let known = known.into_iter().map(|(name, value)| (name, Detail::Text(value)));
    error.detail("holder", Detail::Object(known.collect()))
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::VecDeque,
        rc::Rc,
    };

    use futures_channel::oneshot;

    use super::{OnBusy, acquire};
    use crate::{
        error::{Error, ErrorCode, Result},
        lock::TAKEOVER,
        ports::{Acquire, Broadcast, HeldLock, Holder, LocalFuture, Locks, sim::Sim},
        time::Timestamp,
    };

    /// One lock with its queue.
    #[derive(Default)]
    struct Fake {
        names: RefCell<Vec<String>>,
        taken: Cell<bool>,
        queue: RefCell<VecDeque<oneshot::Sender<Box<dyn HeldLock>>>>,
        /// How often the holder was asked to release.
        asked: Cell<u32>,
        unsupported: bool,
        /// Whether a lock can't be stolen, as in a browser that hangs.
        hangs: bool,
    }

    struct Permit(Rc<Fake>);
    impl HeldLock for Permit {
        fn ended(&self) -> LocalFuture<'static, bool> {
            Box::pin(std::future::pending())
        }

        fn release(self: Box<Self>) -> LocalFuture<'static, ()> {
            drop(self);
            Box::pin(std::future::ready(()))
        }
    }
    impl Drop for Permit {
        fn drop(&mut self) {
            self.0.taken.set(false);
            self.0.clone().serve();
        }
    }

    impl Fake {
        fn serve(self: Rc<Self>) {
            while !self.taken.get() {
                let Some(next) = self.queue.borrow_mut().pop_front() else { return };
                self.taken.set(true);
                // A receiver that left the queue drops its permit, which serves the next.
                drop(next.send(Box::new(Permit(self.clone()))));
            }
        }
    }

    struct Handle(Rc<Fake>);
    impl Locks for Handle {
        fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn HeldLock>>>> {
            let fake = self.0.clone();
            fake.names.borrow_mut().push(name.to_owned());
            Box::pin(async move {
                if fake.unsupported {
                    return Err(Error::unsupported("Web Locks"));
                }
                if how == Acquire::IfAvailable && fake.taken.get() {
                    return Ok(None);
                }
                if how == Acquire::Steal && fake.hangs {
                    std::future::pending::<()>().await;
                }
                if how == Acquire::Steal {
                    fake.taken.set(true);
                    return Ok(Some(Box::new(Permit(fake)) as Box<dyn HeldLock>));
                }
                let (send, receive) = oneshot::channel();
                fake.queue.borrow_mut().push_back(send);
                fake.serve();
                Ok(receive.await.ok())
            })
        }

        fn holder(&self, _: &str) -> LocalFuture<'static, Option<String>> {
            let taken = self.0.taken.get();
            Box::pin(std::future::ready(taken.then(|| TAB.to_owned())))
        }

        fn is_awaited(&self, _: &str) -> LocalFuture<'static, bool> {
            Box::pin(std::future::ready(!self.0.queue.borrow().is_empty()))
        }

        fn open_broadcast(&self, name: &str, _: Box<dyn Fn(&str)>) -> Result<Box<dyn Broadcast>> {
            self.0.names.borrow_mut().push(name.to_owned());
            Ok(Box::new(Asking(self.0.clone())))
        }
    }

    struct Asking(Rc<Fake>);
    impl Broadcast for Asking {
        fn send(&self, message: &str) {
            assert_eq!(message, TAKEOVER);
            self.0.asked.set(self.0.asked.get() + 1);
        }
    }

    /// The id of the tab that holds the lock.
    const TAB: &str = "ab";

    fn holder() -> Holder {
        Holder { id: TAB.into(), title: "Shop".into(), url: "https://shop".into(), since: Timestamp(0) }
    }

    /// Acquires a lock that another tab holds for `busy_ms`; returns the result and when it came, in milliseconds.
    fn attempt(busy_ms: Option<u64>, on_busy: OnBusy, timeout_ms: u64) -> (Result<()>, f64, Rc<Fake>) {
        let mut sim = Sim::new(1);
        let platform = sim.platform();
        let fake = Rc::new(Fake::default());
        if let Some(busy_ms) = busy_ms {
            fake.taken.set(true);
            let (first, clock) = (Permit(fake.clone()), platform.clock.clone());
            platform.spawner.spawn(Box::pin(async move {
                clock.sleep(busy_ms).await;
                drop(first);
            }));
        }
        let locks = Handle(fake.clone());
        let (result, at) = sim.run(async move {
            let clock = platform.clock.as_ref();
            let result = acquire(&locks, clock, "shop", on_busy, timeout_ms, async || Some(holder())).await;
            (result.map(drop), clock.monotonic_ms())
        });
        sim.advance(1_000_000);
        assert!(fake.queue.borrow().is_empty() && !fake.taken.get(), "the lock is free in the end");
        assert!(fake.names.borrow().iter().all(|name| name == "tidelock/shop"));
        (result, at, fake)
    }

    #[test]
    fn a_free_lock_is_taken_at_once() {
        for on_busy in [OnBusy::Fail, OnBusy::Wait, OnBusy::Takeover, OnBusy::Steal] {
            let (result, at, fake) = attempt(None, on_busy, 100);
            assert_eq!((result, at), (Ok(()), 0.0));
            assert_eq!(fake.asked.get(), 0);
        }
    }

    #[test]
    fn a_busy_database_is_refused_with_its_holder() {
        let (result, at, _) = attempt(Some(50), OnBusy::Fail, 100);
        let error = result.unwrap_err();
        assert_eq!((error.code, at), (ErrorCode::DatabaseInUse, 0.0));
        assert_eq!(error.message, "Database already in use");
        assert_eq!(
            serde_json::to_string(&error.details).unwrap(),
            r#"{"holder":{"id":"ab","title":"Shop","url":"https://shop","since":"1970-01-01T00:00:00.000Z"}}"#
        );
    }

    #[test]
    fn a_holder_that_is_not_stored_yet_is_read_again() {
        let mut sim = Sim::new(1);
        let clock = sim.platform().clock;
        let fake = Rc::new(Fake::default());
        fake.taken.set(true);
        let locks = Handle(fake);
        let reads = Cell::new(0);
        let result = sim.run(async move {
            let read = async || {
                reads.set(reads.get() + 1);
                let id = if reads.get() < 5 { "a dead tab".into() } else { TAB.into() };
                Some(Holder { id, ..holder() })
            };
            acquire(&locks, clock.as_ref(), "shop", OnBusy::Fail, 1, read).await.map(drop)
        });
        assert!(serde_json::to_string(&result.unwrap_err()).unwrap().contains(r#""id":"ab""#));
    }

    #[test]
    fn waiting_ends_with_the_lock_or_with_the_time() {
        let (result, at, _) = attempt(Some(50), OnBusy::Wait, 100);
        assert_eq!((result, at), (Ok(()), 50.0));
        let (result, at, fake) = attempt(Some(500), OnBusy::Wait, 100);
        let error = result.unwrap_err();
        assert_eq!((error.code, at), (ErrorCode::LockTimeout, 100.0));
        assert!(error.code.is_retryable() && error.details.contains_key("holder"));
        assert_eq!(fake.names.borrow().len(), 2);
    }

    #[test]
    fn a_takeover_asks_again_until_it_has_the_lock_or_times_out() {
        let (result, at, fake) = attempt(Some(700), OnBusy::Takeover, 1000);
        assert_eq!((result, at, fake.asked.get()), (Ok(()), 700.0, 3));
        let (result, at, fake) = attempt(Some(5000), OnBusy::Takeover, 1000);
        let error = result.unwrap_err();
        assert_eq!((error.code, at, fake.asked.get()), (ErrorCode::LockTimeout, 1000.0, 4));
        assert!(error.details.contains_key("holder"));
    }

    #[test]
    fn stealing_does_not_wait() {
        let (result, at, fake) = attempt(Some(5000), OnBusy::Steal, 100);
        assert_eq!((result, at, fake.asked.get()), (Ok(()), 0.0, 0));
    }

    #[test]
    fn a_lock_that_is_not_stolen_in_time_is_a_timeout() {
        let mut sim = Sim::new(1);
        let clock = sim.platform().clock;
        let fake = Fake { hangs: true, ..Fake::default() };
        fake.taken.set(true);
        let locks = Handle(Rc::new(fake));
        let (error, at) = sim.run(async move {
            let stolen =
                acquire(&locks, clock.as_ref(), "shop", OnBusy::Steal, 100, async || Some(holder())).await.map(drop);
            (stolen.unwrap_err(), clock.monotonic_ms())
        });
        assert_eq!((error.code, at), (ErrorCode::LockTimeout, 100.0));
    }

    #[test]
    fn a_platform_without_locks_is_an_error() {
        let mut sim = Sim::new(1);
        let clock = sim.platform().clock;
        let locks = Handle(Rc::new(Fake { unsupported: true, ..Fake::default() }));
        let result =
            sim.run(
                async move { acquire(&locks, clock.as_ref(), "shop", OnBusy::Wait, 1, async || None).await.map(drop) },
            );
        assert_eq!(result.unwrap_err().code, ErrorCode::UnsupportedEnvironment);
    }
}
