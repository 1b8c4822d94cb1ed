//! The `remote` option.
//!
//! | file | subject |
//! |---|---|
//! | `options` | the option as the user wrote it, with its defaults |
//! | `jwt` | claims of a JSON Web Token |
//! | `credentials` | keys, tokens and headers: checked before they are used, masked in texts from outside |
//! | `checked` | the option after its checks |

pub mod checked;
pub mod credentials;
pub mod jwt;
pub mod options;
