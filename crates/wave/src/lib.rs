//! Loopwave: a WhatsApp team inbox.
