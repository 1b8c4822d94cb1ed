//! HTTP through the package's single `fetch` wrapper: with a timeout, aborted when the future is dropped.

use futures_util::future::{Either, select};
use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortController;

use super::{Host, object, thrown_text};
use crate::{
    memory::room_for,
    ports::{Clock, Http, HttpFailure, HttpRequest, HttpResponse, LocalFuture, entered},
};

/// Sends requests through the host's `fetch`.
pub struct Fetch {
    /// The host that provides `fetch`.
    pub host: Host,
}

impl Http for Fetch {
    fn send(&self, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        send(self.host.clone(), request)
    }
}

/// An entry of the part `sync`, the only caller: never inlined, so that the part can be split off here.
#[inline(never)]
fn send(host: Host, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
    entered(async move {
        let abort = Abort::new()?;
        let answer = Box::pin(exchange(&host, &request, &abort));
        let timeout = super::BrowserClock.sleep(request.timeout_ms);
        match select(answer, timeout).await {
            Either::Left((answer, _)) => answer.map_err(|error| failure(&error))?,
            Either::Right(_) => Err(HttpFailure::Timeout),
        }
    })
}

async fn exchange(
    host: &Host,
    request: &HttpRequest,
    abort: &Abort,
) -> Result<Result<HttpResponse, HttpFailure>, JsValue> {
    let asking = asking(request, abort)?;
    let answer: JsAnswer = JsFuture::from(host.fetch(&request.url, &asking)?).await?.unchecked_into();
    // The answer of an app's own fetch.
    let text = |value: JsValue| value.as_string().unwrap_or_default();
    let headers = answer.headers();
    let headers = headers.iter().map(|pair| pair.unchecked_into::<Array>());
    let headers = headers.map(|pair| (text(pair.get(0)), text(pair.get(1)))).collect();
    Ok(match answer.body() {
        None => Err(HttpFailure::TooLarge { limit: request.max_bytes }),
        // The body as it is, and about twice its size as rows.
        Some(body) if room_for(3 * u64::from(body.length())).is_err() => Err(HttpFailure::NoMemory),
        Some(body) => Ok(HttpResponse { status: answer.status(), headers, body: body.to_vec() }),
    })
}

/// Returns a request as `fetch` takes it.
pub(super) fn asking(request: &HttpRequest, abort: &Abort) -> Result<Object, JsValue> {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.into())).collect();
    let asking = object(&[
        ("method", request.method.as_str().into()),
        ("headers", object(&headers).into()),
        ("signal", abort.0.signal().into()),
        ("maxBytes", (request.max_bytes as f64).into()),
        // The rows must come from the server, never from a cache.
        ("cache", "no-store".into()),
    ]);
    if let Some(body) = &request.body {
        js_sys::Reflect::set(&asking, &"body".into(), &Uint8Array::from(body.as_slice()))?;
    }
    Ok(asking)
}

#[wasm_bindgen]
extern "C" {
    /// The result of the host's `fetch`.
    type JsAnswer;

    #[wasm_bindgen(method, getter)]
    fn status(this: &JsAnswer) -> u16;

    #[wasm_bindgen(method, getter)]
    fn headers(this: &JsAnswer) -> Array;

    #[wasm_bindgen(method, getter)]
    fn body(this: &JsAnswer) -> Option<Uint8Array>;
}

pub(super) fn failure(thrown: &JsValue) -> HttpFailure {
    HttpFailure::Network(thrown_text(thrown))
}

/// Aborts an unfinished request when it is dropped; has no effect after the end.
pub(super) struct Abort(AbortController);

impl Abort {
    pub(super) fn new() -> Result<Self, HttpFailure> {
        AbortController::new().map(Self).map_err(|error| failure(&error))
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
