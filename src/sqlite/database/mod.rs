//! Whole databases.
//!
//! | file | what |
//! |---|---|
//! | `copy` | copies of a database, and checks of it |
//! | `external_file` | an external file, checked before its content is used |
//! | `dump` | a database as SQL text |
//! | `scratch` | external SQL text, run in a scratch database |
//! | `salvage`, `table_trees` | what can be read of a damaged file |

pub(super) mod copy;
pub(super) mod dump;
pub(super) mod external_file;
pub(super) mod salvage;
pub(super) mod scratch;
pub(super) mod table_trees;
