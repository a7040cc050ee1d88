-- Full-text search over messages of Loopwave (wave/src/search): an index over their words, kept by PostgreSQL itself.

-- The words of a text in small letters. Signs are blanks, or PostgreSQL would read addresses and numbers out of them. The collation is the
-- one of loop_lower, which an index may not call: maintenance runs with a search path of its own.
DO $$
DECLARE
    folding text;
BEGIN
    SELECT quote_ident(collname) INTO folding FROM pg_collation
    WHERE collnamespace = 'pg_catalog'::regnamespace AND collname IN ('und-x-icu', 'pg_c_utf8')
        AND collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))
    ORDER BY collname DESC LIMIT 1;
    EXECUTE format(
        'CREATE FUNCTION wave_search_words(text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS %L',
        format(
            'SELECT to_tsvector(''pg_catalog.simple''::regconfig, lower(translate($1, %L, %L) COLLATE %s))',
            '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~’', repeat(' ', 33), coalesce(folding, '"default"')
        )
    );
END
$$;
CREATE INDEX wave_messages_words ON wave_messages USING gin (wave_search_words(text));
-- For words that stand in many messages: the newest first, until a page is full.
CREATE INDEX wave_messages_recent ON wave_messages (company_id, sent_at, id);
