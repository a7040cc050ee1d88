-- Payments that projects refused, counted by day and reason; written in batches, never on a request's path.
CREATE TABLE pay_refusals (
    company_id BIGINT NOT NULL,
    project_id UUID NOT NULL,
    day BIGINT NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT NOT NULL,
    refusals BIGINT NOT NULL,
    PRIMARY KEY (company_id, project_id, day, stage, reason)
);
CREATE INDEX pay_payments_days ON pay_payments (company_id, created_at);
