-- Files: a row here, its content in the file store under blob_key. A row exists only while its content does.
CREATE TABLE files (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    blob_key TEXT NOT NULL,
    purpose TEXT NOT NULL,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX files_by_purpose ON files (company_id, purpose, id);
CREATE INDEX files_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

-- Content in the store that no row points to: being written (until due_at), or no longer wanted. The sweep removes what is due.
CREATE TABLE file_blobs (
    company_id BIGINT NOT NULL,
    blob_key TEXT NOT NULL,
    state TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, blob_key)
);
CREATE INDEX file_blobs_due ON file_blobs (due_at);

-- What a company's files take, and which of its signed links count.
CREATE TABLE file_accounts (
    company_id BIGINT NOT NULL PRIMARY KEY,
    used_bytes BIGINT NOT NULL DEFAULT 0,
    link_generation BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE file_thumbnails (
    company_id BIGINT NOT NULL,
    file_id UUID NOT NULL,
    size BIGINT NOT NULL,
    blob_key TEXT,
    content_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (company_id, file_id, size),
    FOREIGN KEY (company_id, file_id) REFERENCES files (company_id, id)
);

CREATE TABLE file_attachments (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    file_id UUID NOT NULL,
    module TEXT NOT NULL,
    resource TEXT NOT NULL,
    record_id UUID NOT NULL,
    created_by UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    UNIQUE (company_id, module, resource, record_id, file_id),
    FOREIGN KEY (company_id, file_id) REFERENCES files (company_id, id)
);
CREATE INDEX file_attachments_file ON file_attachments (company_id, file_id);

-- Uploads in pieces (tus). The file that comes of one has its id.
CREATE TABLE file_uploads (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    metadata TEXT NOT NULL,
    purpose TEXT NOT NULL,
    sha256 TEXT,
    size_bytes BIGINT NOT NULL,
    received_bytes BIGINT NOT NULL DEFAULT 0,
    created_by UUID,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX file_uploads_expiry ON file_uploads (expires_at);
CREATE TABLE file_upload_parts (
    company_id BIGINT NOT NULL,
    upload_id UUID NOT NULL,
    position BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    blob_key TEXT NOT NULL,
    PRIMARY KEY (company_id, upload_id, position),
    FOREIGN KEY (company_id, upload_id) REFERENCES file_uploads (company_id, id)
);
