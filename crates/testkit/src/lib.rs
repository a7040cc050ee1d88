//! Boots all of it inside a test.
