//! What is known of EVM chains: their names, their tokens, and how to ask them.
