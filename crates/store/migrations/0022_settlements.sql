-- Settlements: an authorization that is to be carried out, from the moment before anything is sent. One row for an authorization, whoever
-- brings it and however often. Amounts are whole numbers of the token's smallest unit, as text: a token's may be larger than a BIGINT.
CREATE TABLE pay_settlements (
    id UUID PRIMARY KEY,
    chain BIGINT NOT NULL,
    asset TEXT NOT NULL,
    payer TEXT NOT NULL,
    nonce TEXT NOT NULL,
    amount TEXT NOT NULL,
    pay_to TEXT NOT NULL,
    -- What was signed, to build the call again and to know the same payment when it comes again.
    payment JSON NOT NULL,
    engine TEXT NOT NULL,
    state TEXT NOT NULL,
    tx_hash TEXT,
    reason TEXT,
    purpose JSON NOT NULL,
    -- Whose sale it is; NULL for a stranger's at the facilitator.
    company_id BIGINT,
    -- The block from which the chain may hold it.
    from_block BIGINT,
    -- When somebody should look at it, if nobody has moved this moment on meanwhile. NULL when it is concluded.
    due_at BIGINT,
    created_at BIGINT NOT NULL,
    concluded_at BIGINT,
    UNIQUE (chain, asset, payer, nonce)
);
CREATE INDEX pay_settlements_due ON pay_settlements (due_at) WHERE due_at IS NOT NULL;

-- The sandbox's token: what an address has that was ever touched. Every other has the grant.
CREATE TABLE pay_ledger (
    chain BIGINT NOT NULL,
    asset TEXT NOT NULL,
    address TEXT NOT NULL,
    balance BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (chain, asset, address)
);

-- Gas wallets, and the nonce that each uses next.
CREATE TABLE pay_relayers (
    chain BIGINT NOT NULL,
    address TEXT NOT NULL,
    next_nonce BIGINT NOT NULL,
    PRIMARY KEY (chain, address)
);

-- Transactions as they were signed, each before it was sent. Several of one nonce are replacements of one another.
CREATE TABLE pay_transactions (
    chain BIGINT NOT NULL,
    hash TEXT NOT NULL,
    -- NULL for one that only fills a nonce.
    settlement_id UUID,
    relayer TEXT NOT NULL,
    nonce BIGINT NOT NULL,
    raw BYTEA NOT NULL,
    gas BIGINT NOT NULL,
    max_fee TEXT NOT NULL,
    priority_fee TEXT NOT NULL,
    -- signed: the chain may take it; mined; dropped: it never will be, another took its nonce or no node wanted it.
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (chain, hash)
);
CREATE INDEX pay_transactions_settlement ON pay_transactions (settlement_id) WHERE settlement_id IS NOT NULL;
CREATE INDEX pay_transactions_nonce ON pay_transactions (chain, relayer, nonce);
