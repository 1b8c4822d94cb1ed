//! Values: as the remote spells them, as a local column has them, and as text inside the database.
//!
//! | file | subject |
//! |---|---|
//! | `json` | JSON from the wire, with every digit |
//! | `decimal` | decimal numbers as text |
//! | `types` | what a JSON value becomes in a local column |
//! | `encode` | values as JSON inside the database |
//! | `outgoing` | values on their way out |
//! | `same_key` | which row of an answer belongs to which key that was sent |
//! | `meaning` | whether two values mean the same to the server |

mod decimal;
pub mod encode;
pub mod json;
pub mod meaning;
pub mod outgoing;
pub mod same_key;
pub mod types;
