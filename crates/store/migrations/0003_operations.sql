-- What every write leaves behind: numbers, audit rows, events, remembered answers, jobs. company_id 0 is the installation itself.

-- One row a company and series: the last number given out, and how many rows live and lie deleted (so that a list's count never scans).
CREATE TABLE counters (
    company_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    value BIGINT NOT NULL DEFAULT 0,
    live BIGINT NOT NULL DEFAULT 0,
    deleted BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (company_id, name)
);

CREATE TABLE audit_logs (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    module TEXT NOT NULL,
    resource TEXT NOT NULL,
    target_id TEXT NOT NULL,
    target_label TEXT NOT NULL,
    actor_user_id UUID,
    credential_id UUID,
    app_id TEXT,
    address TEXT,
    request_id TEXT,
    reason TEXT,
    changes JSON,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX audit_logs_target ON audit_logs (company_id, target_id);

-- The outbox: written in the transaction that causes it. position rises in commit order within a company.
CREATE TABLE events (
    company_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload JSON NOT NULL,
    actor_user_id UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, position)
);

-- answer is encrypted: it may hold a secret that is shown once. lease_until is set only by work with outside effects.
CREATE TABLE idempotency_keys (
    scope TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status BIGINT,
    answer BYTEA,
    lease_until BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (scope, idempotency_key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE jobs (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    company_id BIGINT NOT NULL DEFAULT 0,
    payload JSON NOT NULL,
    unique_key TEXT UNIQUE,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until BIGINT,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX jobs_due ON jobs (state, run_at);
