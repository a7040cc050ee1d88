-- Endpoints that a product made for a row of its own are told only of events whose subject begins with this.
ALTER TABLE webhook_endpoints ADD COLUMN about TEXT;

-- Loomal: projects that take and make machine payments in a company's name. Amounts of USDC are micro units (10^-6).

-- public_id is the identity that clients know (id-b103b0e752d24018). Its key is the row of credentials whose subject is the project's id.
-- signing_key (Ed25519) and wallet_key (secp256k1) are sealed. pay_to: where buyers pay instead of to the project's own wallet.
CREATE TABLE pay_projects (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    public_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    scopes JSON NOT NULL,
    credential_id UUID NOT NULL,
    key_prefix TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    signing_key BYTEA NOT NULL,
    wallet_address TEXT NOT NULL,
    wallet_key BYTEA NOT NULL,
    pay_to TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX pay_projects_newest ON pay_projects (company_id, created_at, id) WHERE deleted_at IS NULL;

-- What a project sells, by address. place: origin and path as payments are matched with it. is_active: soft deletion.
CREATE TABLE pay_endpoints (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    project_id UUID NOT NULL,
    url_pattern TEXT NOT NULL,
    place TEXT NOT NULL,
    price_micros BIGINT NOT NULL,
    network TEXT NOT NULL,
    title TEXT,
    description TEXT,
    category TEXT,
    is_listed BOOLEAN NOT NULL DEFAULT FALSE,
    webhook_url TEXT,
    webhook_id UUID,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    call_count BIGINT NOT NULL DEFAULT 0,
    revenue_micros BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, project_id) REFERENCES pay_projects (company_id, id)
);
CREATE UNIQUE INDEX pay_endpoints_place ON pay_endpoints (company_id, project_id, place) WHERE is_active;
CREATE INDEX pay_endpoints_listed ON pay_endpoints (created_at, id) WHERE is_active AND is_listed;

-- What projects were paid. status: verified (on its way), settled, failed. receipt: what was signed, with its signature.
CREATE TABLE pay_payments (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    project_id UUID NOT NULL,
    endpoint_id UUID,
    settlement_id UUID NOT NULL,
    network TEXT NOT NULL,
    payer TEXT NOT NULL,
    recipient TEXT NOT NULL,
    amount_micros BIGINT NOT NULL,
    nonce TEXT NOT NULL,
    tx_hash TEXT,
    status TEXT NOT NULL,
    failure_reason TEXT,
    resource TEXT NOT NULL,
    description TEXT,
    is_sandbox BOOLEAN NOT NULL,
    receipt JSON,
    created_at BIGINT NOT NULL,
    settled_at BIGINT,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, project_id) REFERENCES pay_projects (company_id, id)
);
CREATE UNIQUE INDEX pay_payments_settlement ON pay_payments (company_id, settlement_id);
CREATE INDEX pay_payments_newest ON pay_payments (company_id, project_id, created_at, id);
