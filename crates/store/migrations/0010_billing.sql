-- What the installation sells and what companies owe for it. Money is whole minor units beside its currency.

CREATE TABLE plans (
    id UUID PRIMARY KEY,
    product TEXT NOT NULL,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    edition BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    UNIQUE (product, code)
);
-- Never changed: a subscription keeps the edition that it was sold at.
CREATE TABLE plan_editions (
    plan_id UUID NOT NULL REFERENCES plans (id),
    number BIGINT NOT NULL,
    prices JSON NOT NULL,
    included_seats BIGINT NOT NULL,
    trial_days BIGINT NOT NULL,
    limits JSON NOT NULL,
    features JSON NOT NULL,
    metered JSON NOT NULL,
    created_by UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (plan_id, number)
);

ALTER TABLE product_subscriptions ADD COLUMN plan_id UUID;
ALTER TABLE product_subscriptions ADD COLUMN plan_edition BIGINT;
ALTER TABLE product_subscriptions ADD COLUMN billing_interval TEXT NOT NULL DEFAULT 'month';
ALTER TABLE product_subscriptions ADD COLUMN currency TEXT NOT NULL DEFAULT '';
-- Periods are counted from here, so that a subscription of the 31st comes back to the 31st.
ALTER TABLE product_subscriptions ADD COLUMN anchor_at BIGINT;
ALTER TABLE product_subscriptions ADD COLUMN period_starts_at BIGINT;
ALTER TABLE product_subscriptions ADD COLUMN grace_ends_at BIGINT;
ALTER TABLE product_subscriptions ADD COLUMN by_operator BOOLEAN NOT NULL DEFAULT FALSE;
-- What becomes of it with the next period: {"plan", "edition", "interval", "currency", "seats"}.
ALTER TABLE product_subscriptions ADD COLUMN next_terms JSON;
ALTER TABLE product_subscriptions ADD COLUMN trial_told BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE product_subscriptions SET by_operator = TRUE WHERE status = 'suspended';

-- Whom a company's bills go to and how they are paid; a company without a row is billed as it is registered.
CREATE TABLE billing_accounts (
    company_id BIGINT PRIMARY KEY REFERENCES companies (company_id),
    email TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',
    address TEXT NOT NULL DEFAULT '',
    country TEXT NOT NULL DEFAULT '',
    tax_id TEXT NOT NULL DEFAULT '',
    payment_method TEXT NOT NULL DEFAULT 'manual',
    payer TEXT NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);

-- rate_ppm in millionths: 18 % is 180000. The newest one that is in force when a bill is made counts.
CREATE TABLE tax_rates (
    id UUID PRIMARY KEY,
    country TEXT NOT NULL,
    name TEXT NOT NULL,
    rate_ppm BIGINT NOT NULL,
    inclusive BOOLEAN NOT NULL,
    valid_from BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    UNIQUE (country, valid_from)
);

-- number is given when the bill is opened, and only then: without gaps in the installation. cause names what it was made for, so
-- that nothing is billed twice.
CREATE TABLE billing_invoices (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    number TEXT UNIQUE,
    status TEXT NOT NULL,
    currency TEXT NOT NULL,
    subscription_id UUID,
    corrects UUID,
    cause TEXT,
    reason TEXT NOT NULL DEFAULT '',
    seller JSON NOT NULL,
    customer JSON NOT NULL,
    subtotal_minor BIGINT NOT NULL DEFAULT 0,
    discount_minor BIGINT NOT NULL DEFAULT 0,
    tax_minor BIGINT NOT NULL DEFAULT 0,
    total_minor BIGINT NOT NULL DEFAULT 0,
    paid_minor BIGINT NOT NULL DEFAULT 0,
    credited_minor BIGINT NOT NULL DEFAULT 0,
    opened_at BIGINT,
    due_at BIGINT,
    closed_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    UNIQUE (company_id, cause),
    FOREIGN KEY (company_id, corrects) REFERENCES billing_invoices (company_id, id)
);
CREATE INDEX billing_invoices_open ON billing_invoices (company_id, status, due_at);
CREATE INDEX billing_invoices_next ON billing_invoices (status, next_attempt_at);

-- total_minor = quantity's price - discount_minor + (tax_minor, unless it is within).
CREATE TABLE billing_lines (
    company_id BIGINT NOT NULL,
    invoice_id UUID NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    product TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    unit_minor BIGINT,
    amount_minor BIGINT NOT NULL,
    discount_minor BIGINT NOT NULL DEFAULT 0,
    tax_name TEXT NOT NULL DEFAULT '',
    tax_ppm BIGINT NOT NULL DEFAULT 0,
    tax_inclusive BOOLEAN NOT NULL DEFAULT FALSE,
    tax_minor BIGINT NOT NULL DEFAULT 0,
    total_minor BIGINT NOT NULL,
    starts_at BIGINT,
    ends_at BIGINT,
    PRIMARY KEY (company_id, invoice_id, position),
    FOREIGN KEY (company_id, invoice_id) REFERENCES billing_invoices (company_id, id)
);

-- An attempt to collect is written before anybody is asked: pending, sent, then succeeded or failed. Its id is the collector's key.
CREATE TABLE billing_payments (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    invoice_id UUID NOT NULL,
    collector TEXT NOT NULL,
    payer TEXT NOT NULL DEFAULT '',
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    provider_ref TEXT NOT NULL DEFAULT '',
    failure_code TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    settled_at BIGINT,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, invoice_id) REFERENCES billing_invoices (company_id, id)
);
-- one attempt at a time for a bill
CREATE UNIQUE INDEX billing_payments_running ON billing_payments (company_id, invoice_id) WHERE status IN ('pending', 'sent');

-- What a company has too much, by currency; entries add up to the balance.
CREATE TABLE billing_credits (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    invoice_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, invoice_id) REFERENCES billing_invoices (company_id, id)
);

CREATE TABLE coupons (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL DEFAULT '',
    percent_ppm BIGINT,
    amount_minor BIGINT,
    currency TEXT NOT NULL DEFAULT '',
    periods BIGINT,
    product TEXT NOT NULL DEFAULT '',
    max_redemptions BIGINT,
    redemptions BIGINT NOT NULL DEFAULT 0,
    expires_at BIGINT,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);
-- periods_left NULL: for ever.
CREATE TABLE coupon_redemptions (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    coupon_id UUID NOT NULL REFERENCES coupons (id),
    subscription_id UUID NOT NULL,
    periods_left BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    UNIQUE (company_id, subscription_id, coupon_id),
    FOREIGN KEY (company_id, subscription_id) REFERENCES product_subscriptions (company_id, id)
);

CREATE TABLE meters (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    product TEXT NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL DEFAULT '',
    kinds JSON NOT NULL,
    field TEXT NOT NULL DEFAULT '',
    guards JSON NOT NULL,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);
-- How far a company's events are counted; moved on in the transaction that counts them.
CREATE TABLE usage_cursors (
    company_id BIGINT PRIMARY KEY,
    position BIGINT NOT NULL
) /*sqlite: WITHOUT ROWID */;
-- By calendar month (UTC). told: 0, 1 (the soft limit), 2 (the hard one). A month that is billed counts no more.
CREATE TABLE usage_counters (
    company_id BIGINT NOT NULL,
    meter TEXT NOT NULL,
    month BIGINT NOT NULL,
    value BIGINT NOT NULL,
    told BIGINT NOT NULL DEFAULT 0,
    is_billed BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (company_id, meter, month)
) /*sqlite: WITHOUT ROWID */;
