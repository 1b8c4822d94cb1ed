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
