//! The storage format: page log, chunks, manifests; open, recover, compact.
