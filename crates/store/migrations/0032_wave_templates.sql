-- Templates of the Cloud API, as Meta told them last. account: Meta's id of the business account, which several numbers may share.
-- status: Meta's word (APPROVED, PENDING, REJECTED, PAUSED, DISABLED, …); status_at: when Meta said so. components: Meta's own list.
CREATE TABLE wave_templates (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    account TEXT NOT NULL,
    meta_id TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    category TEXT NOT NULL,
    status TEXT NOT NULL,
    status_at BIGINT NOT NULL,
    reason TEXT,
    quality TEXT,
    components JSON NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);
CREATE UNIQUE INDEX wave_templates_name ON wave_templates (company_id, account, name, language);
CREATE INDEX wave_templates_meta ON wave_templates (company_id, account, meta_id);
