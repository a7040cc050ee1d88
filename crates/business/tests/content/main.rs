//! CMS, chat, protector and AI through their doors, on both databases.

#[path = "../house/mod.rs"]
mod house;

mod support;

mod ai;
mod ai_provider;
mod chat;
mod cms;
mod cms_public;
mod protector;
