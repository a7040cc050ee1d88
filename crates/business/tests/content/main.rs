//! CMS, chat, protector and AI through their doors, on both databases.

mod support;

mod ai;
mod ai_provider;
mod chat;
mod cms;
mod cms_public;
mod protector;
