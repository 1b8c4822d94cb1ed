//! Which live queries a commit touches.
