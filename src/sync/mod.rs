//! Sync with PostgREST as a state machine without I/O.
