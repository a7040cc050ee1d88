-- Conditions on contacts that a company keeps under a name; whoever meets them is in the segment. filter: see wave/src/segment.
CREATE TABLE wave_segments (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    name TEXT NOT NULL,
    filter JSON NOT NULL,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);

-- Contacts from spreadsheets. state: queued, done, failed. targets: the field that each of the file's columns goes to, or null.
CREATE TABLE wave_contact_imports (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    state TEXT NOT NULL,
    is_dry_run BOOLEAN NOT NULL,
    columns JSON NOT NULL,
    targets JSON NOT NULL,
    total BIGINT NOT NULL,
    done BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL DEFAULT 0,
    updated BIGINT NOT NULL DEFAULT 0,
    unchanged BIGINT NOT NULL DEFAULT 0,
    refused BIGINT NOT NULL DEFAULT 0,
    last_error TEXT,
    created_by UUID,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (company_id, id)
);

-- Their rows. cells: lists of texts, empty once they are done. refusals: rows that were refused, with why.
CREATE TABLE wave_contact_import_chunks (
    company_id BIGINT NOT NULL,
    import_id UUID NOT NULL,
    position BIGINT NOT NULL,
    cells JSON NOT NULL,
    is_done BOOLEAN NOT NULL,
    refusals JSON NOT NULL,
    PRIMARY KEY (company_id, import_id, position),
    FOREIGN KEY (company_id, import_id) REFERENCES wave_contact_imports (company_id, id) ON DELETE CASCADE
);
