//! HTTP through `fetch`: whole bodies, with a timeout, aborted when nobody waits any more.

use futures_util::future::{Either, select};
use js_sys::{Array, JsString, Object, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Response};

use super::{Host, object, thrown_text};
use crate::ports::{Clock, Http, HttpFailure, HttpRequest, HttpResponse, LocalFuture, entered};

/// Sends requests through the host's `fetch`.
pub struct Fetch {
    /// Whose `fetch` it is.
    pub host: Host,
}

impl Http for Fetch {
    fn send(&self, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        send(self.host.clone(), request)
    }
}

/// Only sync sends: an entry of its part, never inlined, so that the part can be cut off here.
#[inline(never)]
fn send(host: Host, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
    entered(async move {
        let abort = Abort(AbortController::new().map_err(|error| failure(&error))?);
        let answer = Box::pin(exchange(&host, &request, &abort.0));
        let timeout = super::BrowserClock.sleep(request.timeout_ms);
        match select(answer, timeout).await {
            Either::Left((answer, _)) => answer.map_err(|error| failure(&error)),
            Either::Right(_) => Err(HttpFailure::Timeout),
        }
    })
}

async fn exchange(host: &Host, request: &HttpRequest, abort: &AbortController) -> Result<HttpResponse, JsValue> {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.into())).collect();
    let init = object(&[
        ("method", request.method.as_str().into()),
        ("headers", object(&headers).into()),
        ("signal", abort.signal().into()),
        // The rows must be the server's, never a cache's.
        ("cache", "no-store".into()),
    ]);
    if let Some(body) = &request.body {
        js_sys::Reflect::set(&init, &"body".into(), &Uint8Array::from(body.as_slice()))?;
    }
    let response: Response = JsFuture::from(host.fetch(&request.url, &init)?).await?.unchecked_into();
    let body = JsFuture::from(response.array_buffer()?).await?;
    Ok(HttpResponse {
        status: response.status(),
        headers: headers_of(&response),
        body: Uint8Array::new(&body).to_vec(),
    })
}

fn headers_of(response: &Response) -> Vec<(String, String)> {
    let text = |value: JsValue| String::from(value.unchecked_into::<JsString>());
    let entries = Array::from(&Object::from(response.headers()));
    entries
        .iter()
        .map(|entry| entry.unchecked_into::<Array>())
        .map(|pair| (text(pair.get(0)), text(pair.get(1))))
        .collect()
}

fn failure(thrown: &JsValue) -> HttpFailure {
    HttpFailure::Network(thrown_text(thrown))
}

/// Aborts the request when it is dropped before its end; harmless afterwards.
struct Abort(AbortController);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
