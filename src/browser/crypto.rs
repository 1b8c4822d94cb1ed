//! Cryptography: `crypto.subtle`, in browsers and Node.

use std::rc::Rc;

use js_sys::{Array, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::{global, object, property, thrown_text, to_bytes};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{AeadInput, Cipher, Crypto, DataKey, LocalFuture},
};

#[wasm_bindgen]
extern "C" {
    /// `SubtleCrypto`. It copies its arguments before it returns, so views over wasm memory are safe.
    #[derive(Clone)]
    type Subtle;

    #[wasm_bindgen(method, catch, js_name = importKey)]
    fn import_key(
        this: &Subtle,
        format: &str,
        key: &[u8],
        algorithm: &str,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = exportKey)]
    fn export_key(this: &Subtle, format: &str, key: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deriveBits)]
    fn derive_bits(this: &Subtle, algorithm: &Object, key: &JsValue, length: u32) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn encrypt(this: &Subtle, algorithm: &Object, key: &JsValue, data: &[u8]) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn decrypt(this: &Subtle, algorithm: &Object, key: &JsValue, data: &[u8]) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = wrapKey)]
    fn wrap_key(
        this: &Subtle,
        format: &str,
        key: &JsValue,
        wrapping: &JsValue,
        algorithm: &Object,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = unwrapKey)]
    fn unwrap_key(
        this: &Subtle,
        format: &str,
        wrapped: &[u8],
        wrapping: &JsValue,
        algorithm: &Object,
        of_key: &str,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;
}

const GCM: &str = "AES-GCM";
const KW: &str = "AES-KW";

fn subtle() -> Result<Subtle> {
    global("crypto").and_then(|crypto| property(&crypto, "subtle")).map(JsCast::unchecked_into).ok_or_else(|| {
        Error::new(ErrorCode::UnsupportedEnvironment, "WebCrypto (crypto.subtle) is missing")
            .hint("Browsers have it on secure pages only: serve the page by https, or from localhost")
            .detail("missing", "crypto.subtle")
    })
}

async fn settled(promise: Result<Promise, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(promise?).await
}

fn bytes(buffer: &JsValue) -> Result<Vec<u8>> {
    to_bytes(&Uint8Array::new(buffer))
}

fn usages(names: &[&str]) -> Array {
    names.iter().map(|name| JsValue::from_str(name)).collect()
}

fn failed(thrown: JsValue) -> Error {
    Error::internal("The platform's cryptography failed").cause(thrown_text(&thrown))
}

/// The platform's cryptography.
pub struct WebCrypto;

impl Crypto for WebCrypto {
    fn pbkdf2(&self, passphrase: &str, salt: &[u8], iterations: u32) -> LocalFuture<'static, Result<DataKey>> {
        let (passphrase, salt) = (passphrase.to_owned(), Uint8Array::from(salt));
        Box::pin(async move {
            let subtle = subtle()?;
            let bits = async {
                let secret = passphrase.as_bytes();
                let key = settled(subtle.import_key("raw", secret, "PBKDF2", false, &usages(&["deriveBits"]))).await?;
                let algorithm = object(&[
                    ("name", "PBKDF2".into()),
                    ("hash", "SHA-256".into()),
                    ("salt", salt.into()),
                    ("iterations", iterations.into()),
                ]);
                settled(subtle.derive_bits(&algorithm, &key, 256)).await
            };
            let bits = bits.await.map_err(failed)?;
            let mut key = DataKey::default();
            Uint8Array::new(&bits).copy_to(&mut key[..]);
            Ok(key)
        })
    }

    fn cipher(&self, key: &DataKey) -> LocalFuture<'static, Result<Rc<dyn Cipher>>> {
        let key = key.clone();
        Box::pin(async move {
            let subtle = subtle()?;
            let key = settled(subtle.import_key("raw", &key[..], GCM, false, &usages(&["encrypt", "decrypt"]))).await;
            Ok(Rc::new(Direct { subtle, key: key.map_err(failed)? }) as Rc<dyn Cipher>)
        })
    }
}

/// Returns a cipher that wraps a data key with the user's `CryptoKey`: AES-GCM with the usages `encrypt` and `decrypt`,
/// or AES-GCM or AES-KW with `wrapKey` and `unwrapKey`; it needn't be extractable. Fails with `invalid_argument` for
/// any other key.
pub fn user_key(key: &JsValue) -> Result<Rc<dyn Cipher>> {
    let name = property(key, "algorithm").and_then(|algorithm| property(&algorithm, "name")?.as_string());
    let usages: Option<Array> = property(key, "usages").and_then(|usages| usages.dyn_into().ok());
    let may = |usage: &str| usages.as_ref().is_some_and(|usages| usages.includes(&usage.into(), 0));
    let (subtle, key) = (subtle()?, key.clone());
    match name.as_deref() {
        Some(GCM) if may("encrypt") && may("decrypt") => Ok(Rc::new(Direct { subtle, key })),
        Some(GCM) if may("wrapKey") && may("unwrapKey") => Ok(Rc::new(Wrapping { subtle, key, algorithm: GCM })),
        Some(KW) if may("wrapKey") && may("unwrapKey") => Ok(Rc::new(Wrapping { subtle, key, algorithm: KW })),
        _ => Err(Error::invalid("encryption.key must be a CryptoKey that can encrypt another key, and decrypt it")
            .hint("An AES-GCM key with the usages encrypt and decrypt, or an AES-KW key with wrapKey and unwrapKey")
            .detail("option", "encryption.key")),
    }
}

fn parameters(algorithm: &str, piece: &AeadInput) -> Object {
    if algorithm == KW {
        return object(&[("name", KW.into())]);
    }
    let (nonce, associated) = (Uint8Array::from(&piece.nonce[..]), Uint8Array::from(piece.associated.as_slice()));
    object(&[("name", algorithm.into()), ("iv", nonce.into()), ("additionalData", associated.into())])
}

fn sealed(answers: Vec<Result<JsValue, JsValue>>) -> Result<Vec<Vec<u8>>> {
    let refused = |thrown: JsValue| {
        Error::invalid("The encryption key could not encrypt the data key")
            .hint("It needs the usages to encrypt and decrypt, or to wrap and unwrap, another key")
            .cause(thrown_text(&thrown))
    };
    answers.into_iter().map(|answer| answer.map_err(refused).and_then(|buffer| bytes(&buffer))).collect()
}

fn opened(answers: Vec<Result<JsValue, JsValue>>) -> Result<Vec<Option<Vec<u8>>>> {
    answers.into_iter().map(|answer| answer.ok().map(|buffer| bytes(&buffer)).transpose()).collect()
}

/// Awaits calls that are all under way; returns their results in order.
async fn all(calls: Vec<Result<JsFuture, JsValue>>) -> Vec<Result<JsValue, JsValue>> {
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        answers.push(match call {
            Ok(call) => call.await,
            Err(thrown) => Err(thrown),
        });
    }
    answers
}

/// A key that encrypts bytes.
struct Direct {
    subtle: Subtle,
    key: JsValue,
}

impl Cipher for Direct {
    fn seal(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Vec<u8>>>> {
        // Awaited from the start: a promise that rejects before it has a listener is reported as unhandled.
        let call = |piece: &AeadInput| {
            self.subtle.encrypt(&parameters(GCM, piece), &self.key, &piece.bytes).map(JsFuture::from)
        };
        let calls = pieces.iter().map(call).collect();
        Box::pin(async move { sealed(all(calls).await) })
    }

    fn open(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Option<Vec<u8>>>>> {
        let call = |piece: &AeadInput| {
            self.subtle.decrypt(&parameters(GCM, piece), &self.key, &piece.bytes).map(JsFuture::from)
        };
        let calls = pieces.iter().map(call).collect();
        Box::pin(async move { opened(all(calls).await) })
    }
}

/// A key that only wraps keys: the input must be an AES key.
struct Wrapping {
    subtle: Subtle,
    key: JsValue,
    algorithm: &'static str,
}

impl Cipher for Wrapping {
    fn seal(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Vec<u8>>>> {
        let (subtle, wrapping, algorithm) = (self.subtle.clone(), self.key.clone(), self.algorithm);
        Box::pin(async move {
            let mut answers = Vec::new();
            for piece in pieces {
                let wrapped = async {
                    let import = subtle.import_key("raw", &piece.bytes, GCM, true, &usages(&["encrypt"]));
                    let key = settled(import).await?;
                    settled(subtle.wrap_key("raw", &key, &wrapping, &parameters(algorithm, &piece))).await
                };
                answers.push(wrapped.await);
            }
            sealed(answers)
        })
    }

    fn open(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Option<Vec<u8>>>>> {
        let (subtle, wrapping, algorithm) = (self.subtle.clone(), self.key.clone(), self.algorithm);
        Box::pin(async move {
            let mut answers = Vec::new();
            for piece in pieces {
                let plain = async {
                    let (parameters, usages) = (parameters(algorithm, &piece), usages(&["encrypt"]));
                    let unwrap = subtle.unwrap_key("raw", &piece.bytes, &wrapping, &parameters, GCM, true, &usages);
                    settled(subtle.export_key("raw", &settled(unwrap).await?)).await
                };
                answers.push(plain.await);
            }
            opened(answers)
        })
    }
}
