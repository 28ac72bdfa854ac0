"""Tell listeners when a stream begins or ends, or a phase changes, whoever changed it.

Channel `mintwatch_streams` carries the token address, or `*` for "look at all": when the address is
too long for a notification, after a TRUNCATE, and from the 1,000th row on that one transaction
changes. `mintwatch_phases` carries nothing. A failure inside is swallowed: the change of the user
comes first, and polling finds it too.
"""

from __future__ import annotations

from yoyo import step

__depends__ = {"m0002_exact_and_covered"}

step("""
CREATE OR REPLACE FUNCTION mintwatch_stream_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told int;
    address text;
BEGIN
    told := coalesce(nullif(pg_catalog.current_setting('mintwatch.told', true), ''), '0')::int + 1;
    PERFORM pg_catalog.set_config('mintwatch.told', told::text, true);
    IF TG_OP = 'DELETE' THEN
        address := OLD.token_address;
    ELSIF TG_OP <> 'TRUNCATE' THEN
        address := NEW.token_address;
    END IF;
    IF address IS NULL OR told >= 1000 OR pg_catalog.octet_length(address) > 7000 THEN
        address := '*';
    END IF;
    PERFORM pg_catalog.pg_notify('mintwatch_streams', address);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$
""")

step("""
CREATE OR REPLACE FUNCTION mintwatch_phases_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('mintwatch_phases', '');
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$
""")

step("""
CREATE TRIGGER mintwatch_stream_added AFTER INSERT OR DELETE ON coin_streams
FOR EACH ROW EXECUTE FUNCTION mintwatch_stream_changed()
""")
# The address is not named: PostgreSQL refuses to change the type of a column a trigger names.
step("""
CREATE TRIGGER mintwatch_stream_switched AFTER UPDATE OF is_active ON coin_streams
FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active)
EXECUTE FUNCTION mintwatch_stream_changed()
""")
step("""
CREATE TRIGGER mintwatch_streams_emptied AFTER TRUNCATE ON coin_streams
FOR EACH STATEMENT EXECUTE FUNCTION mintwatch_stream_changed()
""")
step("""
CREATE TRIGGER mintwatch_phases_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON
ref_coin_phases FOR EACH STATEMENT EXECUTE FUNCTION mintwatch_phases_changed()
""")
