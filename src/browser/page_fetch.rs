//! HTTP for Rust programs: the page's `fetch`, as the package's `request.ts` uses it.

use futures_util::future::{Either, select};
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::{
    BrowserClock,
    fetch::{Abort, asking, failure},
    property,
};
use crate::{
    memory::room_for,
    ports::{Clock, Http, HttpFailure, HttpRequest, HttpResponse, LocalFuture},
};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = fetch)]
    fn page_fetch(url: &str, asking: &Object) -> Result<Promise, JsValue>;

    /// A `Response`.
    type PageResponse;

    #[wasm_bindgen(method, getter)]
    fn status(this: &PageResponse) -> u16;

    #[wasm_bindgen(method, getter, js_name = type)]
    fn kind(this: &PageResponse) -> String;

    #[wasm_bindgen(method, getter)]
    fn headers(this: &PageResponse) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn body(this: &PageResponse) -> Option<PageBody>;

    /// A `ReadableStream`.
    type PageBody;

    #[wasm_bindgen(method, js_name = getReader)]
    fn reader(this: &PageBody) -> PageReader;

    type PageReader;

    #[wasm_bindgen(method, catch)]
    fn read(this: &PageReader) -> Result<Promise, JsValue>;
}

/// The longest body of an error response that is read, in bytes.
const MOST_ERROR_BYTES: u64 = 1_048_576;

/// Sends requests with the page's `fetch`.
pub struct PageFetch;

impl Http for PageFetch {
    fn send(&self, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        Box::pin(async move {
            // Dropped at the end: what is left of a body that is too large is then not received.
            let abort = Abort::new()?;
            let answer = Box::pin(exchange(&request, &abort));
            match select(answer, BrowserClock.sleep(request.timeout_ms)).await {
                Either::Left((answer, _)) => answer.map_err(|error| failure(&error))?,
                Either::Right(_) => Err(HttpFailure::Timeout),
            }
        })
    }
}

async fn exchange(request: &HttpRequest, abort: &Abort) -> Result<Result<HttpResponse, HttpFailure>, JsValue> {
    let asking = asking(request, abort)?;
    Reflect::set(&asking, &"redirect".into(), &"manual".into())?;
    let response: PageResponse = JsFuture::from(page_fetch(&request.url, &asking)?).await?.unchecked_into();
    if response.kind() == "opaqueredirect" {
        // A page sees no more of it.
        return Ok(Ok(HttpResponse { status: 302, ..HttpResponse::default() }));
    }
    let status = response.status();
    let text = |value: JsValue| value.as_string().unwrap_or_default();
    let headers = Array::from(&response.headers());
    let headers = headers.iter().map(|pair| pair.unchecked_into::<Array>());
    let headers = headers.map(|pair| (text(pair.get(0)), text(pair.get(1)))).collect();
    let refused = status >= 400;
    let limit = if refused { request.max_bytes.min(MOST_ERROR_BYTES) } else { request.max_bytes };
    let mut body = Vec::new();
    if let Some(reader) = response.body().map(|body| body.reader()) {
        loop {
            let read = JsFuture::from(reader.read()?).await?;
            let Some(piece) = property(&read, "value") else { break };
            let piece: Uint8Array = piece.unchecked_into();
            let total = body.len() as u64 + u64::from(piece.length());
            if total > limit && !refused {
                return Ok(Err(HttpFailure::TooLarge { limit: request.max_bytes }));
            }
            if body.try_reserve(piece.length() as usize).is_err() {
                return Ok(Err(HttpFailure::NoMemory));
            }
            let before = body.len();
            body.resize(total as usize, 0);
            piece.copy_to(&mut body[before..]);
            if total > limit {
                body.truncate(limit as usize);
                break;
            }
        }
    }
    // As rows it takes about twice its size.
    if room_for(2 * body.len() as u64).is_err() {
        return Ok(Err(HttpFailure::NoMemory));
    }
    Ok(Ok(HttpResponse { status, headers, body }))
}
