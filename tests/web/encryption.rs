//! Encryption over what browsers give: WebCrypto does what the plain Rust does, and an encrypted IndexedDB conforms.

use std::rc::Rc;

use tidelock::{
    browser::{BrowserEntropy, IndexedDb, WebCrypto},
    ports::{AeadInput, Crypto},
    store::{
        conformance::{CASES, Handles},
        sealed::{SealedStore, Secret, Vault},
    },
};
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

use super::indexeddb::delete;

#[wasm_bindgen_test]
async fn webcrypto_derives_and_encrypts_as_the_standards_say() {
    // RFC 7914, section 11, the first half.
    let key = WebCrypto.pbkdf2("passwd", b"salt", 1).await.unwrap();
    assert_eq!(key[..4], [0x55, 0xac, 0x04, 0x6e]);
    // Test case 14 of the proposal of GCM.
    let cipher = WebCrypto.cipher(&[0; 32].into()).await.unwrap();
    let piece = |bytes: Vec<u8>| AeadInput { nonce: [0; 12], associated: Vec::new(), bytes };
    let sealed = cipher.seal(vec![piece(vec![0; 16])]).await.unwrap();
    assert_eq!(sealed[0][..4], [0xce, 0xa7, 0x40, 0x3d]);
    assert_eq!(sealed[0][16..20], [0xd0, 0xd1, 0xc8, 0xa7]);
    // The same record sealed on the spot, as the log is.
    let mut bytes = [0; 16];
    let tag = tidelock_gcm::Key::new(&[0; 32]).seal(&[0; 12], &[], &mut bytes);
    assert_eq!([&bytes[..], &tag].concat(), sealed[0]);
    let other = AeadInput { associated: vec![1], ..piece(sealed[0].clone()) };
    let opened = cipher.open(vec![piece(sealed[0].clone()), other, piece(vec![1])]).await.unwrap();
    assert_eq!(opened, [Some(vec![0; 16]), None, None]);
}

#[wasm_bindgen_test]
async fn an_encrypted_indexeddb_conforms() {
    let secret = Secret::Key(WebCrypto.cipher(&[7; 32].into()).await.unwrap());
    let vault = Vault { secret, crypto: Rc::new(WebCrypto), entropy: Rc::new(BrowserEntropy) };
    for (number, (name, case)) in CASES.iter().enumerate() {
        console_log!("{name}");
        let database = format!("sealed-conformance-{number}");
        delete(&database).await;
        // The key of a database is made with it: two handles to one that isn't there yet would each make their own.
        let store = Rc::new(IndexedDb::open(&database, None).await.unwrap());
        let sealed = SealedStore::open(store, &vault).await.unwrap();
        case(Handles { a: Rc::new(sealed.clone()), b: Rc::new(sealed.clone()) }).await;
        tidelock::ports::Store::close(&sealed).await.expect("closes");
        delete(&database).await;
    }
}
