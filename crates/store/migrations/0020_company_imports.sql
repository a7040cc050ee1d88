-- Archives of companies that the operator brings in, or tries whether they would come. One at a time, by a job; the archive is a file of
-- some company's shelf.
CREATE TABLE company_imports (
    id UUID PRIMARY KEY,
    state TEXT NOT NULL,
    is_dry_run BOOLEAN NOT NULL,
    created_by UUID NOT NULL,
    file_company BIGINT NOT NULL,
    file_id UUID NOT NULL,
    attempt BIGINT NOT NULL DEFAULT 0,
    phase TEXT NOT NULL DEFAULT '',
    rows_done BIGINT NOT NULL DEFAULT 0,
    rows_total BIGINT,
    bytes_done BIGINT NOT NULL DEFAULT 0,
    bytes_total BIGINT,
    error_code TEXT,
    error_message TEXT,
    -- What came, or would come; number is what its code is made of.
    number BIGINT,
    code_before TEXT,
    name TEXT,
    people_known BIGINT,
    people_made BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX company_imports_state ON company_imports (state);
