-- What the protocol of linked devices keeps for a number: see wave/src/engine/web/store/state.rs. value: sealed. family, item: what it
-- belongs to and what it is, as digests wherever they would name a person. pruned_by: the moment that old entries of some kinds are found by.
CREATE TABLE wave_web_states (
    company_id BIGINT NOT NULL,
    number_id UUID NOT NULL,
    kind TEXT NOT NULL,
    family TEXT NOT NULL,
    item TEXT NOT NULL,
    value BYTEA NOT NULL,
    pruned_by BIGINT,
    PRIMARY KEY (company_id, number_id, kind, family, item),
    FOREIGN KEY (company_id, number_id) REFERENCES wave_numbers (company_id, id)
) /*sqlite: WITHOUT ROWID */;
