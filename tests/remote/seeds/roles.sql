-- The roles and helpers that a Supabase project has before its owner makes the first table.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;

create schema auth;
grant usage on schema auth to anon, authenticated, service_role;
create function auth.uid() returns uuid language sql stable as
  $$ select nullif(current_setting('request.jwt.claims', true)::json ->> 'sub', '')::uuid $$;

-- Everything made in an exposed schema is open to the API's roles, as on Supabase; row-level security is what protects it.
create function grant_api(target name) returns void language plpgsql as $$
begin
  execute format('grant usage on schema %I to anon, authenticated, service_role', target);
  execute format('alter default privileges in schema %I grant all on tables to anon, authenticated, service_role', target);
  execute format('alter default privileges in schema %I grant all on sequences to anon, authenticated, service_role', target);
  execute format('alter default privileges in schema %I grant execute on functions to anon, authenticated, service_role', target);
end $$;
revoke execute on function grant_api from public;
select grant_api('public');

-- PostgREST 12 lists all time zones whenever it loads the schema, a fifth of that work: for the header `Prefer: timezone`, which tidelock
-- doesn't send.
set allow_system_table_mods = on;
create or replace view pg_catalog.pg_timezone_names as
  select 'UTC' as name, 'UTC' as abbrev, interval '0' as utc_offset, false as is_dst;
reset allow_system_table_mods;
