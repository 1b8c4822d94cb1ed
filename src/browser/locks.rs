//! Web Locks, with own bindings: web-sys hides them behind `web_sys_unstable_apis`.

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use js_sys::{Array, Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortController;

use super::{Host, broadcast::open_broadcast, global, object, property, thrown_text};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Acquire, Broadcast, HeldLock, LocalFuture, Locks},
};

/// The hint where the browser refuses a lock; that of `refusal` in pkg-js/src/base/errors.ts.
const REFUSED: &str =
    "Allow this site to store data in the browser's settings. Sandboxed frames and data: URLs can't have any";

#[wasm_bindgen]
extern "C" {
    type LockManager;

    #[wasm_bindgen(method, catch)]
    fn request(this: &LockManager, name: &str, options: &Object, callback: &Function) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn query(this: &LockManager) -> Result<Promise, JsValue>;
}

/// The page's lock manager. The package's host also receives each lock's release function, because it outlives a trapped
/// instance.
pub struct WebLocks {
    /// The host that receives the release functions.
    pub host: Option<Host>,
}

impl Locks for WebLocks {
    fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn HeldLock>>>> {
        let (name, host) = (name.to_owned(), self.host.clone());
        Box::pin(async move {
            let Some(manager) = manager() else {
                return Err(Error::new(ErrorCode::UnsupportedEnvironment, "navigator.locks is missing")
                    .hint("Serve the page over https or from localhost: Web Locks need a secure context"));
            };
            request_lock(&manager, &name, how, host.as_ref()).await
        })
    }

    fn holder(&self, name: &str) -> LocalFuture<'static, Option<String>> {
        let name = name.to_owned();
        Box::pin(async move { property(&find("held", &name).await?, "clientId")?.as_string() })
    }

    fn is_awaited(&self, name: &str) -> LocalFuture<'static, bool> {
        let name = name.to_owned();
        Box::pin(async move { find("pending", &name).await.is_some() })
    }

    fn open_broadcast(&self, name: &str, on_message: Box<dyn Fn(&str)>) -> Result<Box<dyn Broadcast>> {
        open_broadcast(name, on_message)
    }
}

/// Returns the first lock of that name among those that are `held` or `pending`.
async fn find(among: &str, name: &str) -> Option<JsValue> {
    let locks = JsFuture::from(manager()?.query().ok()?).await.ok()?;
    let locks: Array = property(&locks, among)?.unchecked_into();
    locks.iter().find(|lock| property(lock, "name").is_some_and(|known| known == name))
}

fn manager() -> Option<LockManager> {
    property(&global("navigator")?, "locks").map(JsValue::unchecked_into)
}

async fn request_lock(
    manager: &LockManager,
    name: &str,
    how: Acquire,
    host: Option<&Host>,
) -> Result<Option<Box<dyn HeldLock>>> {
    let mut release = None;
    let until_released = Promise::new(&mut |resolve, _| release = Some(resolve));
    let release = release.ok_or_else(|| Error::internal("A promise returned no resolver"))?;
    let (granted, on_granted) = oneshot::channel();
    let callback = Closure::once_into_js(move |lock: JsValue| -> JsValue {
        // The receiver was dropped: returning anything but a pending promise releases the lock at once.
        if granted.send(!lock.is_null()).is_err() || lock.is_null() {
            return JsValue::NULL;
        }
        until_released.into()
    });
    let withdraw = Withdraw(AbortController::new().map_err(|error| Error::internal(thrown_text(&error)))?);
    let options = match how {
        Acquire::IfAvailable => object(&[("ifAvailable", JsValue::TRUE)]),
        Acquire::Wait => object(&[("signal", withdraw.0.signal().into())]),
        Acquire::Steal => object(&[("steal", JsValue::TRUE)]),
    };
    let request = manager.request(name, &options, callback.unchecked_ref()).map_err(|error| {
        Error::new(ErrorCode::UnsupportedEnvironment, "The lock can't be requested")
            .hint(REFUSED)
            .cause(thrown_text(&error))
    })?;
    let ended = Box::pin(JsFuture::from(request.clone()));
    match select(on_granted, ended).await {
        Either::Left((Ok(true), _)) => {
            if let Some(host) = host {
                host.locked(&release);
            }
            Ok(Some(Box::new(WebLock { release, request })))
        }
        Either::Right((Err(error), _)) => {
            Err(Error::new(ErrorCode::UnsupportedEnvironment, "The browser refused the lock")
                .hint(REFUSED)
                .cause(thrown_text(&error)))
        }
        _ => Ok(None),
    }
}

/// Leaves the lock's queue when the request is cancelled; has no effect once the lock was granted.
struct Withdraw(AbortController);

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct WebLock {
    release: Function,
    /// Resolves at the release, and rejects when the lock is stolen.
    request: Promise,
}

impl HeldLock for WebLock {
    fn ended(&self) -> LocalFuture<'static, bool> {
        let request = self.request.clone();
        Box::pin(async move { JsFuture::from(request).await.is_err() })
    }

    fn release(self: Box<Self>) -> LocalFuture<'static, ()> {
        let _ = self.release.call0(&JsValue::NULL);
        let ended = self.ended();
        Box::pin(async move {
            ended.await;
        })
    }
}

impl Drop for WebLock {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::NULL);
    }
}
