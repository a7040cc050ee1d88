-- While a company is exported, content of files that are deleted meanwhile stays: the archive's snapshot still names it.
ALTER TABLE file_accounts ADD COLUMN held_until BIGINT NOT NULL DEFAULT 0;

-- Archives that a company asked for. One at a time is made, by a job; what it made is a file until expires_at.
CREATE TABLE company_exports (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    state TEXT NOT NULL,
    created_by UUID NOT NULL,
    leaves_out_lost BOOLEAN NOT NULL DEFAULT FALSE,
    attempt BIGINT NOT NULL DEFAULT 0,
    rows_done BIGINT NOT NULL DEFAULT 0,
    rows_total BIGINT,
    bytes_done BIGINT NOT NULL DEFAULT 0,
    bytes_total BIGINT,
    error_code TEXT,
    error_message TEXT,
    file_id UUID,
    size_bytes BIGINT,
    sha256 TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    expires_at BIGINT,
    PRIMARY KEY (company_id, id)
);
CREATE UNIQUE INDEX company_exports_one ON company_exports (company_id) WHERE state IN ('queued', 'running');
CREATE INDEX company_exports_expiry ON company_exports (expires_at) WHERE state = 'ready';
