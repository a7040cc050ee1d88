//! The acceptance list of spec/loop.md section 10, one promise a test. What is a subject of its own stands elsewhere:
//! the one envelope (10) in `errors`, limits (9) in `limits`, two tenants' interleavings (12) in `tenants`.

mod companies;
mod description;
mod examples;
mod ledger;
mod machines;
