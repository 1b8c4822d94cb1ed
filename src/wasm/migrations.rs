//! Migrations, and the comparison of schemas: the part `migrations`.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::*;

use super::{
    files::image_of,
    handle::Core,
    options,
    promise::{answer, done},
};

#[wasm_bindgen]
impl Core {
    /// Returns one row per version.
    #[wasm_bindgen(js_name = migrationsStatus)]
    pub fn migrations_status(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.migrations_status().await })
    }

    /// Applies pending migrations: `{ to?, steps?, dryRun?, atomic?, timeoutMs?, cancel? }`.
    #[wasm_bindgen(js_name = migrationsRun)]
    pub fn migrations_run(&self, options: &JsValue) -> Promise {
        self.migrate(options, false)
    }

    /// Reverts applied migrations: the same.
    #[wasm_bindgen(js_name = migrationsRevert)]
    pub fn migrations_revert(&self, options: &JsValue) -> Promise {
        self.migrate(options, true)
    }

    /// Marks migrations as applied up to a version. `limits` here and below: `{ timeoutMs?, cancel? }`.
    #[wasm_bindgen(js_name = migrationsBaseline)]
    pub fn migrations_baseline(&self, version: String, limits: &JsValue) -> Promise {
        let database = self.limited(limits);
        answer(async move { database.migrations_baseline(&version).await })
    }

    /// Reverts the newest migration and applies it again → the report.
    #[wasm_bindgen(js_name = migrationsRedo)]
    pub fn migrations_redo(&self, limits: &JsValue) -> Promise {
        let database = self.limited(limits);
        answer(async move { database.migrations_redo().await })
    }

    /// Removes a version from the history.
    #[wasm_bindgen(js_name = migrationsForget)]
    pub fn migrations_forget(&self, version: String, limits: &JsValue) -> Promise {
        let database = self.limited(limits);
        done(async move { database.migrations_forget(&version).await })
    }

    /// Drops all objects and runs all migrations → the report.
    #[wasm_bindgen(js_name = migrationsReset)]
    pub fn migrations_reset(&self, limits: &JsValue) -> Promise {
        let database = self.limited(limits);
        answer(async move { database.migrations_reset().await })
    }

    /// Drops all objects.
    #[wasm_bindgen(js_name = migrationsDrop)]
    pub fn migrations_drop(&self, limits: &JsValue) -> Promise {
        let database = self.limited(limits);
        done(async move { database.migrations_drop().await })
    }

    /// Returns the differences between the schema and that of the applied migrations: `{ added, removed, changed,
    /// skipped? }`. `made` is a database file in which the app has run them, including functions.
    #[wasm_bindgen(js_name = migrationsDrift)]
    pub fn migrations_drift(&self, made: Option<Uint8Array>, limits: &JsValue) -> Promise {
        let made = made.map(|made| image_of(&made)).transpose();
        let database = self.limited(limits);
        answer(async move { database.migrations_drift(made?).await })
    }

    /// Generates `{ up, down, destructive }`; `renames` alternates old and new names.
    #[wasm_bindgen(js_name = migrationsGenerate)]
    pub fn migrations_generate(&self, sql: String, renames: &Array, limits: &JsValue) -> Promise {
        let names: Vec<String> = renames.iter().map(|name| name.as_string().unwrap_or_default()).collect();
        let renames: Vec<_> = names.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let database = self.limited(limits);
        answer(async move { database.migrations_generate(&sql, &renames).await })
    }

    /// Changes the schema to the given one → `{ sql, destructive }`.
    #[wasm_bindgen(js_name = migrationsSync)]
    pub fn migrations_sync(&self, sql: String, limits: &JsValue) -> Promise {
        let database = self.limited(limits);
        answer(async move { database.migrations_sync(&sql).await })
    }

    /// Returns the lint findings on the supplied migrations.
    #[wasm_bindgen(js_name = migrationsLint)]
    pub fn migrations_lint(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.migrations_lint() })
    }
}

impl Core {
    fn migrate(&self, options: &JsValue, revert: bool) -> Promise {
        let (run, database) = (options::run(options), self.limited(options));
        answer(async move {
            if revert { database.migrations_revert(run).await } else { database.migrations_run(run).await }
        })
    }
}
