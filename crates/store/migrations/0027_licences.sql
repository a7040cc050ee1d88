-- Keys that are switched off for a while open nothing; one that is revoked never opens anything again.
ALTER TABLE credentials ADD COLUMN disabled_at BIGINT;

-- The Loopwave licence that a company activated last. told_state: the state that was told of last.
CREATE TABLE wave_licenses (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    token TEXT NOT NULL,
    activated_at BIGINT NOT NULL,
    activated_by UUID,
    told_state TEXT NOT NULL,
    PRIMARY KEY (company_id)
);

-- Licences that the vendor cancelled, as its signed lists said so far; nothing ever leaves.
CREATE TABLE wave_revocations (
    license_id TEXT PRIMARY KEY,
    known_since BIGINT NOT NULL
);
