//! The parts of the wasm, which TypeScript loads.

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use super::{Host, thrown_text};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{LocalFuture, Part, Parts},
};

/// Loads parts through the host.
pub struct HostParts {
    /// The host.
    pub host: Host,
}

impl Parts for HostParts {
    fn load(&self, part: Part) -> LocalFuture<'static, Result<()>> {
        let started = self.host.load_part(part.as_str());
        let failed = |thrown: JsValue| {
            Error::new(ErrorCode::WasmLoadFailed, "A part of the wasm module could not be loaded")
                .cause(thrown_text(&thrown))
                .hint("Check the network, and that the package's wasm files are all served, then try again; after a deployment reload the page")
        };
        Box::pin(async move { JsFuture::from(started.map_err(failed)?).await.map(drop).map_err(failed) })
    }

    fn add_fts5(&self, connection: usize) {
        self.host.add_fts5(connection as u32);
    }
}
