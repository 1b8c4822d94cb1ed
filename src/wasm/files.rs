//! Whole databases as files: bytes in and out, in pieces, so that wasm memory never holds a file twice.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::*;

use super::{
    Core,
    convert::{from_js, to_js},
    promise::{done, value},
};
use crate::{
    engine::ImportOptions,
    error::{Error, ErrorCode, Result},
    sqlite::Image,
};

#[wasm_bindgen]
extern "C" {
    /// The glue's own binding lets the exception through, which ends the instance.
    #[wasm_bindgen(js_name = Uint8Array)]
    type Bytes;

    #[wasm_bindgen(constructor, catch, js_class = "Uint8Array")]
    fn new(length: f64) -> Result<Bytes, JsValue>;
}

/// A fresh array of JavaScript's. `out_of_memory`.
fn array(length: usize) -> Result<Uint8Array> {
    let made = Bytes::new(length as f64).map_err(|_| {
        Error::new(ErrorCode::OutOfMemory, "no memory for the file in JavaScript").detail("bytes", length)
    })?;
    Ok(made.unchecked_into())
}

/// A copy on JavaScript's side. `out_of_memory`.
fn copied(bytes: &[u8]) -> Result<Uint8Array> {
    let array = array(bytes.len())?;
    array.copy_from(bytes);
    Ok(array)
}

/// A file that JavaScript holds.
fn image_of(bytes: &Uint8Array) -> Result<Image> {
    Image::read(u64::from(bytes.length()), |at, chunk| {
        bytes.subarray(at as u32, at as u32 + chunk.len() as u32).copy_to(chunk);
        Ok(())
    })
}

#[wasm_bindgen]
impl Core {
    /// The committed contents as the bytes of a `.sqlite` file.
    #[wasm_bindgen(js_name = exportBytes)]
    pub fn export_bytes(&self) -> Result<Uint8Array, JsValue> {
        let export = || {
            let contents = self.database.export()?;
            let bytes = array(contents.bytes() as usize)?;
            let mut at = 0;
            for index in 0..contents.chunk_count() {
                let chunk = contents.chunk_bytes(index);
                let end = at + chunk.len() as u32;
                bytes.subarray(at, end).copy_from(chunk);
                at = end;
            }
            Ok(bytes)
        };
        export().map_err(|error: Error| to_js(&error))
    }

    /// The contents as SQL text: pieces of UTF-8, to be joined.
    #[wasm_bindgen(js_name = exportSql)]
    pub fn export_sql(&self) -> Promise {
        let database = self.database.clone();
        value(async move {
            let pieces = Array::new();
            let mut sink = |piece: &[u8]| {
                pieces.push(&copied(piece)?.into());
                Ok(())
            };
            database.export_sql(&mut sink).await?;
            Ok(pieces.into())
        })
    }

    /// Replaces the contents by those of a `.sqlite` file: `{ baseline?, force? }`.
    #[wasm_bindgen(js_name = importBytes)]
    pub fn import_bytes(&self, bytes: Uint8Array, options: &JsValue) -> Result<Promise, JsValue> {
        let options: ImportOptions = from_js(options)?;
        let database = self.database.clone();
        Ok(done(async move { database.import(image_of(&bytes)?, options).await }))
    }

    /// Whether there is no data yet, so that a seed would be used. Between `open` and `start`.
    #[wasm_bindgen(js_name = wantsSeed)]
    pub fn wants_seed(&self) -> Result<bool, JsValue> {
        self.database.wants_seed().map_err(|error| to_js(&error))
    }

    /// Gives a database without data its first. Between `open` and `start`.
    pub fn seed(&self, bytes: Uint8Array) -> Promise {
        let database = self.database.clone();
        done(async move { database.seed(image_of(&bytes)?).await.map(drop) })
    }
}
