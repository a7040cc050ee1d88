//! Who may do what: identity, tenancy, credentials, limits, idempotency, audit, events, jobs.
