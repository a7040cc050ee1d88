//! LOOP: definitions, engine, rules, account endpoints.
