//! SQL text, as far as tidelock reads it itself.
//!
//! | file | what |
//! |---|---|
//! | `text` | where statements begin and end, first words, quoted names |
//! | `tokens` | tokens, for comparing texts |
//! | `script` | scripts: texts of several statements |
//! | `table_expressions` | the limits of WITH and WINDOW |

pub(super) mod script;
pub(super) mod table_expressions;
pub(super) mod text;
pub(super) mod tokens;
