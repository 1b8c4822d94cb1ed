//! Values: the remote's spelling, the local column's value, and text inside the database.
//!
//! | file | subject |
//! |---|---|
//! | `json` | JSON from the wire, with every digit |
//! | `decimal` | decimal numbers as text |
//! | `types` | converts JSON values for local columns |
//! | `encode` | values as JSON inside the database |
//! | `outgoing` | local values as JSON and in filters |
//! | `same_key` | which row of an answer belongs to which sent key |
//! | `meaning` | whether two values mean the same to the server |

mod decimal;
pub mod encode;
pub mod json;
pub mod meaning;
pub mod outgoing;
pub mod same_key;
pub mod types;
