//! Whole databases as files, passed in pieces, so that wasm memory never holds a file twice.

use std::rc::Rc;

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::*;

use super::{
    convert::{Thrown, to_js},
    encryption,
    handle::{Core, replacing},
    options::{self, Fields},
    promise::{answer, done, value},
    snapshots::point_of,
};
use crate::{
    browser::{self, Host, JsFiles, PrivateFolder, to_bytes},
    engine,
    error::Result,
    memory::no_memory,
    sqlite::Image,
    store::proxy::StoreServer,
};

#[wasm_bindgen]
extern "C" {
    /// wasm-bindgen's own binding doesn't catch the exception, which would end the instance.
    #[wasm_bindgen(js_name = Uint8Array)]
    type Bytes;

    #[wasm_bindgen(constructor, catch, js_class = "Uint8Array")]
    fn new(length: f64) -> Result<Bytes, JsValue>;
}

/// Creates a JavaScript array. Fails with `out_of_memory`.
fn array(length: usize) -> Result<Uint8Array> {
    let made = Bytes::new(length as f64).map_err(|_| no_memory("for the file in JavaScript").detail("bytes", length));
    made.map(JsCast::unchecked_into)
}

/// Copies bytes to a JavaScript array. Fails with `out_of_memory`.
fn copied(bytes: &[u8]) -> Result<Uint8Array> {
    let array = array(bytes.len())?;
    array.copy_from(bytes);
    Ok(array)
}

/// Adds a copy of the bytes to a JavaScript array of pieces. Fails with `out_of_memory`.
fn add_copy(pieces: &Array, piece: &[u8]) -> Result<()> {
    pieces.push(&copied(piece)?.into());
    Ok(())
}

/// Copies a JavaScript array to an image.
pub(super) fn image_of(bytes: &Uint8Array) -> Result<Image> {
    Image::read(u64::from(bytes.length()), |at, chunk| {
        bytes.subarray(at as u32, at as u32 + chunk.len() as u32).copy_to(chunk);
        Ok(())
    })
}

#[wasm_bindgen]
impl Core {
    /// Returns the committed content as the bytes of a `.sqlite` file.
    #[wasm_bindgen(js_name = exportBytes)]
    pub fn export_bytes(&self) -> Result<Uint8Array, JsValue> {
        let export = || {
            let contents = self.database.export()?;
            let bytes = array(contents.bytes() as usize)?;
            let mut at = 0;
            for index in 0..contents.chunk_count() {
                at = contents.with_chunk(index, |chunk| {
                    let end = at + chunk.len() as u32;
                    bytes.subarray(at, end).copy_from(chunk);
                    end
                })?;
            }
            Ok(bytes)
        };
        export().thrown()
    }

    /// Returns the content as SQL text: pieces of UTF-8, to be joined.
    #[wasm_bindgen(js_name = exportSql)]
    pub fn export_sql(&self) -> Promise {
        let database = self.database.clone();
        value(async move {
            let pieces = Array::new();
            database.export_sql(&mut |piece| add_copy(&pieces, piece)).await?;
            Ok(pieces.into())
        })
    }

    /// Returns a snapshot as a file: `{ snapshot, pieces }`, the pieces of a `.sqlite` file or of SQL text, to be
    /// joined.
    #[wasm_bindgen(js_name = snapshotsExport)]
    pub fn snapshots_export(&self, id: String, sql: bool) -> Promise {
        let database = self.database.clone();
        value(async move {
            let pieces = Array::new();
            let snapshot = database.snapshot_export(&id, sql, &mut |piece| add_copy(&pieces, piece)).await?;
            Ok(browser::object(&[("snapshot", to_js(&snapshot)), ("pieces", pieces.into())]).into())
        })
    }

    /// Returns the state at a time in milliseconds since 1970 as a file: `{ sql?, lsn? }` → pieces, to be joined.
    #[wasm_bindgen(js_name = snapshotsExportAt)]
    pub fn snapshots_export_at(&self, at: f64, options: &JsValue) -> Promise {
        let (database, options) = (self.database.clone(), Fields(options));
        let (point, sql) = (point_of(at, &options), options.is("sql"));
        value(async move {
            let pieces = Array::new();
            database.export_at(point, sql, &mut |piece| add_copy(&pieces, piece)).await?;
            Ok(pieces.into())
        })
    }

    /// Stores a file as a snapshot → `SnapshotInfo`. `cancel` is an id of `newCancel`, or 0.
    #[wasm_bindgen(js_name = snapshotsImport)]
    pub fn snapshots_import(&self, bytes: Uint8Array, label: Option<String>, cancel: u32) -> Result<Promise, JsValue> {
        let image = image_of(&bytes).thrown()?;
        let (database, cancels) = (self.database.clone(), self.cancels.clone());
        Ok(answer(async move { cancels.watch(cancel, database.snapshot_import(image, label)).await }))
    }

    /// Sets a database that no longer opens to its last good state, or to the snapshot `from` → a report.
    /// `options` as for `open`. This instance opens no database.
    pub fn recover(options: &JsValue, from: Option<String>, host: Host) -> Result<Promise, JsValue> {
        let options = options::read(options).thrown()?;
        Ok(answer(async move {
            engine::recover(options, encryption::sealed(browser::ports(&host), &host).await?, from).await
        }))
    }

    /// Does the same as `recover` for a database in a folder.
    #[wasm_bindgen(js_name = recoverFolder)]
    pub fn recover_folder(
        options: &JsValue,
        from: Option<String>,
        host: Host,
        files: JsFiles,
    ) -> Result<Promise, JsValue> {
        let options = options::read(options).thrown()?;
        Ok(answer(async move {
            engine::recover(options, encryption::sealed(browser::folder_ports(&host, files), &host).await?, from).await
        }))
    }

    /// Describes the database in a folder without opening it → `{ inUse, encrypted, openedAt }`.
    #[wasm_bindgen(js_name = storedInFolder)]
    pub fn stored_in_folder(host: Host, files: JsFiles) -> Promise {
        answer(async move { Ok(engine::stored("", &browser::folder_ports(&host, files)).await) })
    }

    /// Serves the database in a folder to another thread → a function: takes the bytes of a request, returns a promise
    /// of those of the reply.
    #[wasm_bindgen(js_name = serveFolder)]
    pub fn serve_folder(files: JsFiles) -> JsValue {
        // A folder has one database, under any name.
        let server = StoreServer::new(Rc::new(PrivateFolder { files: Rc::new(files) }), "");
        let answer = Closure::<dyn Fn(Uint8Array) -> Promise>::new(move |request: Uint8Array| {
            let answering = to_bytes(&request).map(|request| server.answer(&request));
            value(async move { copied(&answering?.await).map(JsValue::from) })
        });
        answer.into_js_value()
    }

    /// Removes the files of a database from its folder. `options` as for `open`.
    #[wasm_bindgen(js_name = deleteFolder)]
    pub fn delete_folder(options: &JsValue, host: Host, files: JsFiles) -> Result<Promise, JsValue> {
        let options = options::read(options).thrown()?;
        Ok(done(async move { engine::delete(options, browser::folder_ports(&host, files.clone()), &files).await }))
    }

    /// Replaces the content with that of a `.sqlite` file: `{ baseline?, force?, timeoutMs? }`. `cancel` is an id of `newCancel`,
    /// or 0; it is honoured until the commit.
    #[wasm_bindgen(js_name = importBytes)]
    pub fn import_bytes(&self, bytes: Uint8Array, options: &JsValue, cancel: u32) -> Result<Promise, JsValue> {
        let options = options::import(options);
        let image = image_of(&bytes).thrown()?;
        let database = self.database.limited(options.timeout_ms, self.cancels.of(cancel));
        Ok(replacing(database.clone(), Box::pin(async move { database.prepare_import(image, options).await })))
    }

    /// Returns the stored id of the database, which a deleted one of the same name doesn't share.
    #[wasm_bindgen(js_name = databaseId)]
    pub fn database_id(&self) -> String {
        self.database.id().to_owned()
    }

    /// Returns whether the database is empty, so that a seed would be used. Call this between `open` and `start`.
    #[wasm_bindgen(js_name = wantsSeed)]
    pub fn wants_seed(&self) -> Result<bool, JsValue> {
        self.database.wants_seed().thrown()
    }

    /// Fills an empty database from a `.sqlite` file. Call this between `open` and `start`.
    pub fn seed(&self, bytes: Uint8Array) -> Result<Promise, JsValue> {
        let image = image_of(&bytes).thrown()?;
        let database = self.database.clone();
        Ok(done(async move { database.seed(image).await.map(drop) }))
    }
}
