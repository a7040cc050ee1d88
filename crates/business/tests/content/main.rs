//! CMS, chat, protector and AI through their doors, on both databases.

#[path = "../house/mod.rs"]
mod house;

mod support;

mod ai;
mod ai_provider;
mod ai_tasks;
mod chat;
mod chat_presence;
mod chat_widgets;
mod cms;
mod cms_public;
mod protector;
