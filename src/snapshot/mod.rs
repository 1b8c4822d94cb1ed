//! Snapshots: retention and schedule.
