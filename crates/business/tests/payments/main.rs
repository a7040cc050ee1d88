//! Payments through the doors that people use, on both engines.

#[path = "../house/mod.rs"]
mod house;

mod airtel;
mod documents;
mod invoices;
mod ledger;
mod mobile_money;
mod mtn;
mod records;
mod settling;
mod support;
mod totals;
