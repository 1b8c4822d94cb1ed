//! HTTP of Rust programs, over the page's `fetch`.

use tidelock::{
    browser::PageFetch,
    ports::{Http, HttpFailure, HttpRequest, Method},
};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

fn request(url: &str) -> HttpRequest {
    let url = url.to_owned();
    HttpRequest { method: Method::Get, url, headers: Vec::new(), body: None, timeout_ms: 10_000, max_bytes: 1_000_000 }
}

/// Returns the address of this page.
fn here() -> String {
    let location = js_sys::Reflect::get(&js_sys::global(), &"location".into()).unwrap();
    js_sys::Reflect::get(&location, &"origin".into()).unwrap().as_string().unwrap() + "/"
}

#[wasm_bindgen_test]
async fn a_page_sends_requests_with_limits() {
    let response = PageFetch.send(request(&here())).await.unwrap();
    assert_eq!(response.status, 200);
    assert!(response.body.len() > 20 && response.header("content-type").is_some());
    let small = HttpRequest { max_bytes: 10, ..request(&here()) };
    assert_eq!(PageFetch.send(small).await, Err(HttpFailure::TooLarge { limit: 10 }));
    let missing = PageFetch.send(request(&format!("{}missing", here()))).await.unwrap();
    assert_eq!(missing.status, 404);
    // The discard port.
    assert!(matches!(PageFetch.send(request("http://127.0.0.1:9/")).await, Err(HttpFailure::Network(_))));
}

#[wasm_bindgen_test]
async fn a_request_has_method_headers_and_body_and_follows_no_redirect() {
    let function = js_sys::Function::new_no_args(
        "globalThis.realFetch = globalThis.fetch
        globalThis.fetch = async (url, { method, headers, body, redirect }) => new Response(
            JSON.stringify([url, method, headers, new TextDecoder().decode(body), redirect]),
            { status: 201, headers: { 'X-Seen': 'yes' } })",
    );
    function.call0(&JsValue::NULL).unwrap();
    let headers = vec![("prefer".to_owned(), "return=minimal".to_owned())];
    let body = Some(b"[1]".to_vec());
    let answer = PageFetch.send(HttpRequest { method: Method::Post, headers, body, ..request("/rows") }).await;
    js_sys::Function::new_no_args("globalThis.fetch = globalThis.realFetch").call0(&JsValue::NULL).unwrap();
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("x-seen")), (201, Some("yes")));
    let expected = r#"["/rows","POST",{"prefer":"return=minimal"},"[1]","manual"]"#;
    assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
}
