-- Which batches of noted calls are counted: the last number of each node, written with the counting, so that a batch whose commit was
-- lost on the way is not counted twice.
CREATE TABLE usage_batches (
    node UUID NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX usage_batches_at ON usage_batches (at);
