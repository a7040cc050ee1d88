-- A day of a company's audit rows, digested and signed when it is over (kernel/src/seal.rs). company_id 0 is the installation itself.

CREATE TABLE audit_seals (
    company_id BIGINT NOT NULL,
    day BIGINT NOT NULL,
    rows_sealed BIGINT NOT NULL,
    digest TEXT NOT NULL,
    previous TEXT NOT NULL,
    seal TEXT NOT NULL,
    sealed_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, day)
) /*sqlite: WITHOUT ROWID */;
