-- Small letters for searching, whatever the locale of the database or the collation of the column: under "C", lower() knows ASCII only.
-- A server without ICU, and older than PostgreSQL 17's own collation, is left with the database's locale.
DO $$
DECLARE
    folding text;
BEGIN
    SELECT quote_ident(collname) INTO folding FROM pg_collation
    WHERE collnamespace = 'pg_catalog'::regnamespace AND collname IN ('und-x-icu', 'pg_c_utf8')
        AND collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))
    ORDER BY collname DESC LIMIT 1;
    EXECUTE format(
        'CREATE FUNCTION loop_lower(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS %L',
        format('SELECT lower($1 COLLATE %s)', coalesce(folding, '"default"'))
    );
END
$$;
