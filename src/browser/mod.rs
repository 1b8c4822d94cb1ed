//! The browser's capabilities, one thin file each.
