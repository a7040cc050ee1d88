-- The buying half of Loomal: how much a project may spend, and what it spent. Amounts of USDC are micro units (10^-6).

-- spent_micros of spent_day (days since 1970-01-01 UTC) and total_micros count what is reserved and what is spent; what a seller never
-- took is given back when its authorization is over.
CREATE TABLE pay_mandates (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    project_id UUID NOT NULL,
    chain BIGINT NOT NULL,
    network TEXT NOT NULL,
    per_call_micros BIGINT NOT NULL,
    daily_micros BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    spent_day BIGINT NOT NULL DEFAULT 0,
    spent_micros BIGINT NOT NULL DEFAULT 0,
    total_micros BIGINT NOT NULL DEFAULT 0,
    call_count BIGINT NOT NULL DEFAULT 0,
    revoked_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, project_id) REFERENCES pay_projects (company_id, id)
);
CREATE INDEX pay_mandates_newest ON pay_mandates (company_id, project_id, created_at, id);

-- Authorizations that a project's wallet signed, each on record before anybody saw it. status: verified (the seller has it, or may),
-- settled, failed (it never was taken, and cannot be any more). repeat_key: of the call's Idempotency-Key; the same call sends the same
-- authorization again. header: the signed payment as it is sent.
CREATE TABLE pay_spends (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    project_id UUID NOT NULL,
    mandate_id UUID NOT NULL,
    day BIGINT NOT NULL,
    chain BIGINT NOT NULL,
    network TEXT NOT NULL,
    asset TEXT NOT NULL,
    recipient TEXT NOT NULL,
    amount_micros BIGINT NOT NULL,
    nonce TEXT NOT NULL,
    header TEXT NOT NULL,
    version BIGINT NOT NULL,
    resource TEXT NOT NULL,
    status TEXT NOT NULL,
    failure_reason TEXT,
    tx_hash TEXT,
    repeat_key TEXT,
    valid_before BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    concluded_at BIGINT,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, mandate_id) REFERENCES pay_mandates (company_id, id)
);
CREATE INDEX pay_spends_newest ON pay_spends (company_id, project_id, created_at, id);
CREATE UNIQUE INDEX pay_spends_repeat ON pay_spends (company_id, project_id, repeat_key) WHERE repeat_key IS NOT NULL;
