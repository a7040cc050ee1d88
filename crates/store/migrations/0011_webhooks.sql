-- Webhooks: who is told of events, what they were told, and every attempt at it.

-- How far a company's event log was forgotten, and how far its events were handed to deliveries (NULL: it never had an endpoint).
CREATE TABLE event_logs (
    company_id BIGINT PRIMARY KEY,
    pruned_to BIGINT NOT NULL DEFAULT 0,
    handed_to BIGINT
);

-- status: enabled, disabled, deleted. Secrets are sealed. grants: what its last editor might see, so that it is told no more.
CREATE TABLE webhook_endpoints (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    url TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    events JSON NOT NULL,
    status TEXT NOT NULL,
    disabled_reason TEXT,
    is_ordered BOOLEAN NOT NULL DEFAULT FALSE,
    concurrency BIGINT NOT NULL,
    scheme TEXT NOT NULL,
    secret BYTEA NOT NULL,
    old_secret BYTEA,
    old_secret_until BIGINT,
    grants JSON NOT NULL,
    failing_since BIGINT,
    last_success_at BIGINT,
    last_failure_at BIGINT,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);

-- Which endpoints have something to do, when, and which node is at it.
CREATE TABLE webhook_lanes (
    company_id BIGINT NOT NULL,
    endpoint_id UUID NOT NULL,
    due_at BIGINT,
    lease_owner TEXT,
    lease_until BIGINT,
    PRIMARY KEY (company_id, endpoint_id),
    FOREIGN KEY (company_id, endpoint_id) REFERENCES webhook_endpoints (company_id, id)
);
CREATE INDEX webhook_lanes_due ON webhook_lanes (due_at) WHERE due_at IS NOT NULL;

-- One event for one endpoint. status: pending, succeeded, failed, cancelled. turn: what pending ones are sent by, the event's position at
-- an ordered endpoint, else the moment of the next attempt. position and event_id are NULL for a test, which keeps its body itself.
CREATE TABLE webhook_deliveries (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    position BIGINT,
    event_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    body TEXT,
    status TEXT NOT NULL,
    turn BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    tries BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT,
    last_status BIGINT,
    last_error TEXT,
    replay_id UUID,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (company_id, endpoint_id, turn) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (company_id, endpoint_id, position);

CREATE TABLE webhook_attempts (
    company_id BIGINT NOT NULL,
    delivery_id UUID NOT NULL,
    id UUID NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    took_us BIGINT NOT NULL,
    url TEXT NOT NULL,
    request_headers JSON NOT NULL,
    status BIGINT,
    error TEXT,
    address TEXT,
    response_headers JSON,
    response_body TEXT,
    is_cut BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (company_id, delivery_id, id)
) /*sqlite: WITHOUT ROWID */;
