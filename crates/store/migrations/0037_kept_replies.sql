-- Kept replies of the inbox. owner_id: whose alone it is; NULL, everybody's. text: with {{name}} and its like.
CREATE TABLE wave_kept_replies (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    owner_id UUID,
    created_by UUID,
    shortcut TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    file_id UUID,
    used_count BIGINT NOT NULL DEFAULT 0,
    used_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE UNIQUE INDEX wave_kept_replies_shared ON wave_kept_replies (company_id, shortcut) WHERE owner_id IS NULL;
CREATE UNIQUE INDEX wave_kept_replies_own ON wave_kept_replies (company_id, owner_id, shortcut) WHERE owner_id IS NOT NULL;
