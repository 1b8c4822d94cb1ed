//! The lock on a database's name.
