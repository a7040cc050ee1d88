//! Settlements: one authorization, settled at most once whoever calls and however often, on record before anything is broadcast.
