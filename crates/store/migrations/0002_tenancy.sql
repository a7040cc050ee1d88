-- Companies and who may do what in them. company_id is the number behind the code (1 is '001'): first column of every tenant key.

CREATE TABLE companies (
    company_id BIGINT PRIMARY KEY,
    id UUID NOT NULL UNIQUE,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    legal_name TEXT NOT NULL DEFAULT '',
    tax_id TEXT NOT NULL DEFAULT '',
    country TEXT NOT NULL DEFAULT 'RW',
    currency TEXT NOT NULL DEFAULT 'RWF',
    timezone TEXT NOT NULL DEFAULT 'Africa/Kigali',
    language TEXT NOT NULL DEFAULT 'en',
    logo TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    settings JSON NOT NULL,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);

CREATE TABLE workspaces (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'branch',
    is_default BOOLEAN NOT NULL DEFAULT FALSE,
    status TEXT NOT NULL DEFAULT 'active',
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    UNIQUE (company_id, slug)
);
-- one default a company
CREATE UNIQUE INDEX workspaces_default ON workspaces (company_id) WHERE is_default;

CREATE TABLE roles (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    permissions JSON NOT NULL,
    is_system BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    UNIQUE (company_id, slug)
);

-- all_workspaces FALSE: the member is limited to the rows of membership_workspaces.
CREATE TABLE memberships (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    all_workspaces BOOLEAN NOT NULL DEFAULT TRUE,
    joined_at BIGINT,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    UNIQUE (company_id, user_id),
    FOREIGN KEY (company_id, role) REFERENCES roles (company_id, slug)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE membership_workspaces (
    company_id BIGINT NOT NULL,
    membership_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    role TEXT,
    PRIMARY KEY (company_id, membership_id, workspace_id),
    FOREIGN KEY (company_id, membership_id) REFERENCES memberships (company_id, id) ON DELETE CASCADE,
    FOREIGN KEY (company_id, workspace_id) REFERENCES workspaces (company_id, id) ON DELETE CASCADE,
    FOREIGN KEY (company_id, role) REFERENCES roles (company_id, slug)
);

CREATE TABLE product_subscriptions (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    product TEXT NOT NULL,
    plan TEXT NOT NULL DEFAULT 'trial',
    status TEXT NOT NULL,
    seats BIGINT,
    starts_at BIGINT NOT NULL,
    trial_ends_at BIGINT,
    ends_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    UNIQUE (company_id, product)
);

CREATE TABLE developer_profiles (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    display_name TEXT NOT NULL,
    company_name TEXT NOT NULL DEFAULT '',
    website TEXT NOT NULL DEFAULT '',
    bio TEXT NOT NULL DEFAULT '',
    contact_email TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    terms_accepted_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);

-- company_id NULL: a first-party app of the installation, open to every company.
CREATE TABLE api_client_apps (
    id UUID PRIMARY KEY,
    app_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    company_id BIGINT REFERENCES companies (company_id),
    owner_id UUID REFERENCES users (id),
    allowed_origins JSON NOT NULL,
    redirect_uris JSON NOT NULL,
    products JSON NOT NULL,
    status TEXT NOT NULL,
    last_seen_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX api_client_apps_company ON api_client_apps (company_id);
