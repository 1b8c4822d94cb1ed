import { quoted } from '../base/sql.js'

// The SQL of sqlHelpers, for PostgreSQL 14 and later. Every statement is idempotent.

/** The names in the SQL, checked. */
export interface HelperNames {
  readonly tables: readonly string[]
  readonly schema: string
  readonly updatedAt: string
  readonly owner: readonly string[]
}

function literal(text: string): string {
  // With a backslash, E'' has the same meaning under every setting of standard_conforming_strings.
  return `${text.includes('\\') ? ' E' : ''}'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
}

function list(names: readonly string[]): string {
  return `array[${names.map(literal).join(', ')}]::text[]`
}

/** The tables and functions of the schema `tidelock`, which the API doesn't expose. */
export const privateSql = `-- tidelock's helpers. Run them as the owner of the tables, for example in Supabase's SQL editor. You can run them again at any time.

-- 1. A schema that the API doesn't expose, for the tables and functions of the helpers.
create schema if not exists tidelock;
grant usage on schema tidelock to public;

-- The tables that have the helpers. Their names are no secret: the catalog shows them to every role.
create table if not exists tidelock.tables (
  schema text not null,
  tbl text not null,
  owner text,
  primary key (schema, tbl)
);
revoke all on tidelock.tables from public;
grant select on tidelock.tables to public;

-- The id of this cluster: transaction ids of another one (of a project that was moved) have no meaning here.
create or replace function tidelock.cluster() returns text language plpgsql stable security definer set search_path = '' as $tidelock$
begin
  return (select system_identifier from pg_control_system());
exception when others then
  return 'unknown';
end $tidelock$;

-- The user of the request, from the token.
create or replace function tidelock.sub() returns text language sql stable set search_path = '' as $tidelock$
  select nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub'
$tidelock$;

-- Whether the caller sees all rows of a table: the role may read it, and row security hides none.
create or replace function tidelock.sees_all(target regclass) returns boolean language sql stable set search_path = '' as $tidelock$
  select coalesce(has_any_column_privilege(target, 'select'), false) and (
    not (select relrowsecurity from pg_class where oid = target)
    or (select rolbypassrls or rolsuper from pg_roles where rolname = current_user)
    or exists (
      select from pg_policy
      where polrelid = target and polpermissive and polcmd in ('r', '*') and pg_get_expr(polqual, polrelid) = 'true'
        and exists (select from unnest(polroles) role where role = 0 or pg_has_role(role, 'member'))
    ) and not exists (select from pg_policy where polrelid = target and not polpermissive and polcmd in ('r', '*'))
  )
$tidelock$;

-- Whether the caller may see a tombstone: a caller who sees all rows, or the owner of the deleted row.
create or replace function tidelock.saw(in_schema text, in_table text, owned text) returns boolean language sql stable set search_path = '' as $tidelock$
  select coalesce(
    tidelock.sees_all(target)
      or has_any_column_privilege(target, 'select') and owned = tidelock.sub(),
    false)
  from (select to_regclass(format('%I.%I', in_schema, in_table)) as target) as it
$tidelock$;

-- 2. Tombstones: key and owner of each deleted row, and nothing else of it.
create table if not exists tidelock.tombstones (
  id bigint generated always as identity primary key,
  schema text not null,
  tbl text not null,
  key jsonb not null,
  owner text,
  deleted_at timestamptz not null default clock_timestamp(),
  xid xid8 not null default pg_current_xact_id()
);
create index if not exists tombstones_xid on tidelock.tombstones (schema, xid);
alter table tidelock.tombstones enable row level security;
revoke all on tidelock.tombstones from public;
grant select on tidelock.tombstones to public;
drop policy if exists saw on tidelock.tombstones;
create policy saw on tidelock.tombstones for select using (tidelock.saw(schema, tbl, owner));

-- After a DELETE, cascades included: adds all keys at once. The arguments are the owner column, or '', and the key columns.
create or replace function tidelock.note_deleted() returns trigger language plpgsql security definer set search_path = '' as $tidelock$
begin
  insert into tidelock.tombstones (schema, tbl, key, owner)
  select tg_table_schema, tg_table_name,
    (select jsonb_object_agg(name, gone.it -> name) from unnest(tg_argv) with ordinality a(name, at) where at > 1),
    gone.it ->> nullif(tg_argv[0], '')
  from (select to_jsonb(g.*) as it from gone g) as gone;
  return null;
end $tidelock$;

-- After an UPDATE of a key or an owner: adds a tombstone for the old key, since clients that have the old row must delete it.
create or replace function tidelock.note_moved() returns trigger language plpgsql security definer set search_path = '' as $tidelock$
declare
  gone jsonb := to_jsonb(old);
begin
  insert into tidelock.tombstones (schema, tbl, key, owner)
  select tg_table_schema, tg_table_name, jsonb_object_agg(name, gone -> name), gone ->> nullif(tg_argv[0], '')
  from unnest(tg_argv) with ordinality a(name, at) where at > 1;
  return null;
end $tidelock$;

-- Before a TRUNCATE: adds all keys of the table.
create or replace function tidelock.note_truncated() returns trigger language plpgsql security definer set search_path = '' as $tidelock$
begin
  execute format(
    'insert into tidelock.tombstones (schema, tbl, key, owner)
     select $1, $2, (select jsonb_object_agg(name, gone.it -> name) from unnest($3) with ordinality a(name, at) where at > 1), gone.it ->> $4
     from (select to_jsonb(g.*) as it from %I.%I g) as gone', tg_table_schema, tg_table_name)
  using tg_table_schema::text, tg_table_name::text, tg_argv, nullif(tg_argv[0], '');
  return null;
end $tidelock$;

-- The base type of a type: of a domain its underlying type; 'enum' for all enums and 'array' for all arrays.
create or replace function tidelock.base_type(given oid) returns text language sql stable set search_path = '' as $tidelock$
  with recursive chain(at) as (
    select given union all select typbasetype from chain join pg_type on oid = at where typtype = 'd'
  )
  select case when typcategory = 'A' then 'array' when typtype = 'e' then 'enum' else format_type(oid, null) end
  from chain join pg_type on oid = at where typtype <> 'd'
$tidelock$;

-- The mutations that tidelock_push has applied, by client and id, with user and result.
create table if not exists tidelock.mutations (
  client text not null,
  mutation text not null,
  sub text,
  result jsonb,
  applied_at timestamptz not null default clock_timestamp(),
  primary key (client, mutation)
);
alter table tidelock.mutations enable row level security;
revoke all on tidelock.mutations from public;
grant select, insert, update on tidelock.mutations to public;
drop policy if exists own on tidelock.mutations;
create policy own on tidelock.mutations using (sub is not distinct from tidelock.sub()) with check (sub is not distinct from tidelock.sub());
`

/** The trigger that sets time and transaction of a row. */
export function stampSql({ updatedAt }: HelperNames): string {
  const column = quoted(updatedAt)
  return `-- 3. The stamps of a row: the time of its last change, by the server's clock, and its transaction id. A client can't set them.
-- An update that changes nothing keeps them, except for a transaction id of another cluster.
create or replace function tidelock.${quoted(`stamp_${updatedAt}`)}() returns trigger language plpgsql set search_path = '' as $tidelock$
begin
  if tg_op = 'UPDATE' then
    new.${column} := old.${column};
    new._xid := old._xid;
    if new operator(pg_catalog.*=) old and old.${column} is not null and old._xid <= pg_current_xact_id() then
      return new;
    end if;
    new.${column} := greatest(clock_timestamp(), old.${column} + interval '1 microsecond');
  else
    new.${column} := clock_timestamp();
  end if;
  new._xid := pg_current_xact_id();
  return new;
end $tidelock$;
`
}

/** The columns, the index and the triggers of each table. */
export function tablesSql({ tables, schema, updatedAt, owner }: HelperNames): string {
  return `-- 4. Each table: the two columns where they are missing, an index for pulls by transaction id, and the triggers.
do $tidelock$
declare
  named text;
  target regclass;
  keys text[];
  owned text;
  arguments text;
  moved text;
begin
  foreach named in array ${list(tables)} loop
    target := to_regclass(format('%I.%I', ${literal(schema)}, named));
    if target is null or (select relkind not in ('r', 'p') from pg_class where oid = target) then
      raise exception 'tidelock: there is no table %.%', ${literal(schema)}, named;
    end if;
    select array_agg(attname order by array_position(indkey::int2[], attnum)) into keys
      from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey)
      where indrelid = target and indisprimary;
    if keys is null then
      raise exception 'tidelock: table %.% has no primary key', ${literal(schema)}, named;
    end if;
    -- The first existing owner column.
    select name into owned
      from unnest(${list(owner)}) with ordinality a(name, at) join pg_attribute on attname = name
      where attrelid = target and not attisdropped order by at limit 1;

    if not exists (select from pg_attribute where attrelid = target and attname = ${literal(updatedAt)} and not attisdropped) then
      execute format('alter table %s add column %I timestamptz not null default now()', target, ${literal(updatedAt)});
    elsif (select tidelock.base_type(atttypid) not like 'timestamp%' from pg_attribute where attrelid = target and attname = ${literal(updatedAt)}) then
      raise exception 'tidelock: column % of %.% is no timestamp', ${literal(updatedAt)}, ${literal(schema)}, named;
    else
      -- A pull by this column would never find a row in which it is NULL.
      execute format('update %1$s set %2$I = clock_timestamp() where %2$I is null', target, ${literal(updatedAt)});
    end if;
    if not exists (select from pg_attribute where attrelid = target and attname = '_xid' and not attisdropped) then
      execute format('alter table %s add column _xid xid8 not null default pg_current_xact_id()', target);
    end if;
    execute format('create index if not exists %I on %s (_xid, %s)', left(named, 40) || '_tidelock_xid', target,
      (select string_agg(quote_ident(key), ', ') from unnest(keys) key));

    -- PostgreSQL runs triggers by name: zz makes this one the last, so that it sees the changes of the others.
    execute format('create or replace trigger zz_tidelock_stamp before insert or update on %s for each row execute function tidelock.%I()',
      target, ${literal(`stamp_${updatedAt}`)});
    arguments := quote_literal(coalesce(owned, '')) || ', ' || (select string_agg(quote_literal(key), ', ') from unnest(keys) key);
    execute format('create or replace trigger tidelock_deleted after delete on %s referencing old table as gone
      for each statement execute function tidelock.note_deleted(%s)', target, arguments);
    execute format('create or replace trigger tidelock_truncated before truncate on %s
      for each statement execute function tidelock.note_truncated(%s)', target, arguments);
    moved := (select string_agg(format('old.%1$I is distinct from new.%1$I', name), ' or ')
      from unnest(keys || case when owned = any (keys) or owned is null then '{}' else array[owned] end) name);
    execute format('create or replace trigger tidelock_moved after update on %s for each row when (%s)
      execute function tidelock.note_moved(%s)', target, moved, arguments);

    -- Rows with transaction ids of another cluster get one of this cluster.
    execute format('update %s set _xid = default where _xid > pg_current_xact_id()', target);
    insert into tidelock.tables (schema, tbl, owner) values (${literal(schema)}, named, owned)
      on conflict on constraint tables_pkey do update set owner = excluded.owner;
  end loop;
end $tidelock$;
`
}

/** The functions that the API exposes for reading. */
export function functionsSql({ schema }: HelperNames): string {
  const at = quoted(schema)
  return `-- 5. The first request of a pull. Returns the id below which all transactions have ended (later ones have higher ids), the tables that
-- have the helpers, and up to 1000 of the caller's tombstones since the transaction of the previous pull.
create or replace function ${at}.tidelock_state(since text default null, after bigint default 0) returns json
language sql stable set search_path = '' as $tidelock$
  select json_build_object(
    'version', 1,
    'cluster', tidelock.cluster(),
    'ceiling', pg_snapshot_xmin(pg_current_snapshot())::text,
    'tables', (
      select coalesce(json_object_agg(tbl, json_build_object('xid', stamped, 'tombstones', noted)), '{}')
      from (
        select tbl,
          has_column_privilege(target, attnum, 'select')
            and exists (select from pg_trigger where tgrelid = target and tgname = 'zz_tidelock_stamp' and tgenabled <> 'D') as stamped,
          (owner is not null or tidelock.sees_all(target))
            and exists (select from pg_trigger where tgrelid = target and tgname = 'tidelock_deleted' and tgenabled <> 'D') as noted
        from (select *, to_regclass(format('%I.%I', schema, tbl)) as target from tidelock.tables where schema = ${literal(schema)}) as it
        join pg_attribute on attrelid = target and attname = '_xid' and not attisdropped
        where has_any_column_privilege(target, 'select')
      ) as helped),
    'gone', (
      select coalesce(json_agg(json_build_array(id::text, tbl, key, xid::text) order by id), '[]')
      from (
        select * from tidelock.tombstones
        where schema = ${literal(schema)} and xid >= since::xid8 and id > after
        order by id limit 1000
      ) as gone)
  )
$tidelock$;

-- 6. The tables for schemaFromRemote, also with a publishable key: those with the helpers that the caller may read.
create or replace function ${at}.tidelock_schema() returns json language sql stable set search_path = '' as $tidelock$
  select json_build_object('version', 1, 'tables', coalesce(json_agg(json_build_object(
    'name', tbl,
    'columns', (
      select json_agg(json_build_object(
        'name', attname, 'type', tidelock.base_type(atttypid), 'notNull', attnotnull, 'default', pg_get_expr(adbin, adrelid),
        'generated', attgenerated <> '' or attidentity = 'a') order by attnum)
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid = target and attnum > 0 and not attisdropped),
    'primaryKey', (
      select json_agg(attname order by at)
      from pg_index, unnest(indkey::int2[]) with ordinality k(number, at) join pg_attribute on attnum = number
      where indrelid = target and indisprimary and attrelid = target and at <= indnkeyatts),
    'unique', (
      select coalesce(json_agg((
        select json_agg(attname order by at)
        from unnest(indkey::int2[]) with ordinality k(number, at) join pg_attribute on attrelid = target and attnum = number
        where at <= indnkeyatts) order by indexrelid), '[]')
      from pg_index where indrelid = target and indisunique and not indisprimary and indpred is null and indexprs is null),
    'foreignKeys', (
      select coalesce(json_agg(json_build_object(
        'columns', (select json_agg(attname order by at) from unnest(conkey) with ordinality k(number, at) join pg_attribute on attrelid = conrelid and attnum = number),
        'table', (select relname from pg_class where oid = confrelid and relnamespace = ${literal(at)}::regnamespace),
        'references', (select json_agg(attname order by at) from unnest(confkey) with ordinality k(number, at) join pg_attribute on attrelid = confrelid and attnum = number),
        'onDelete', case confdeltype when 'c' then 'CASCADE' when 'n' then 'SET NULL' when 'd' then 'SET DEFAULT' when 'r' then 'RESTRICT' else 'NO ACTION' end
      ) order by conname), '[]')
      from pg_constraint where conrelid = target and contype = 'f')
  ) order by tbl), '[]'))
  from (select tbl, to_regclass(format('%I.%I', schema, tbl)) as target from tidelock.tables where schema = ${literal(schema)}) as it
  where has_any_column_privilege(target, 'select')
$tidelock$;
grant execute on function ${at}.tidelock_state(text, bigint), ${at}.tidelock_schema() to public;
`
}

/** The function that applies changes in one transaction. */
export function pushSql({ schema }: HelperNames): string {
  const at = quoted(schema)
  return `-- 7. Applies changes in one transaction, all or none, with the caller's rights and row security. Takes { client, mutation, changes },
-- each change { op: 'insert' | 'update' | 'delete', table, key, row, base }. An insert doesn't change an existing row; an update or delete
-- applies only to a row that equals 'base'. With deferred: true, deferrable constraints are checked after the last change. A mutation of a client is applied once; a repeated call returns the same result:
-- { applied, results: [{ status: 'done' | 'conflict', row }] }, and when nothing was applied also { failed, code, message }.
create or replace function ${at}.tidelock_push(push jsonb) returns jsonb language plpgsql set search_path = '' as $tidelock$
declare
  change jsonb;
  target regclass;
  keys text[];
  columns text[];
  same text;
  present jsonb;
  written jsonb;
  answer jsonb;
  results jsonb := '[]';
  at integer := -1;
  problem text;
  state text;
begin
  begin
    if push ? 'mutation' then
      insert into tidelock.mutations (client, mutation, sub) values (push ->> 'client', push ->> 'mutation', tidelock.sub())
        on conflict do nothing;
      if not found then
        return (select result from tidelock.mutations where client = push ->> 'client' and mutation = push ->> 'mutation');
      end if;
    end if;
    if push -> 'deferred' = 'true' then
      set constraints all deferred;
    end if;
    for change in select * from jsonb_array_elements(push -> 'changes') loop
      at := at + 1;
      -- Only tables of the exposed schema are allowed.
      target := to_regclass(format('%I.%I', ${literal(schema)}, change ->> 'table'));
      if target is null then
        raise exception using errcode = '42P01', message = format('there is no table %s', change ->> 'table');
      end if;
      select array_agg(attname::text) into keys
        from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey)
        where indrelid = target and indisprimary;
      -- The condition for the row with this key, ...
      same := (select string_agg(format('t.%1$I = k.%1$I', name), ' and ') from unnest(keys) name);
      if change ->> 'op' <> 'insert' and not coalesce(change -> 'key' ?& keys, false) then
        raise exception using errcode = '22023', message = 'a change without its whole key';
      end if;
      if change ->> 'op' <> 'delete' and coalesce(change -> 'row', '{}') = '{}' then
        raise exception using errcode = '22023', message = 'a change without columns';
      end if;
      if change ->> 'op' = 'insert' then
        columns := array(select jsonb_object_keys(change -> 'row'));
        execute format(
          'insert into %1$s as t (%2$s) select %2$s from jsonb_populate_record(null::%1$s, $1) on conflict (%3$s) do nothing returning to_jsonb(t.*)',
          target, (select string_agg(quote_ident(name), ', ') from unnest(columns) name), (select string_agg(quote_ident(name), ', ') from unnest(keys) name))
          into written using change -> 'row';
      else
        -- ... and the values of the base.
        same := same || coalesce((select string_agg(format(' and t.%1$I is not distinct from b.%1$I', name), '')
          from jsonb_object_keys(change -> 'base') name), '');
        if change ->> 'op' = 'delete' then
          execute format('delete from %1$s as t using jsonb_populate_record(null::%1$s, $1) k, jsonb_populate_record(null::%1$s, $2) b where %2$s
            returning to_jsonb(t.*)', target, same)
            into written using change -> 'key', coalesce(change -> 'base', '{}');
        elsif change ->> 'op' = 'update' then
          columns := array(select jsonb_object_keys(change -> 'row'));
          execute format('update %1$s as t set %3$s from jsonb_populate_record(null::%1$s, $1) k, jsonb_populate_record(null::%1$s, $2) b,
              jsonb_populate_record(null::%1$s, $3) n where %2$s returning to_jsonb(t.*)',
            target, same, (select string_agg(format('%1$I = n.%1$I', name), ', ') from unnest(columns) name))
            into written using change -> 'key', coalesce(change -> 'base', '{}'), change -> 'row';
        else
          raise exception using errcode = '22023', message = format('there is no change called %s', change ->> 'op');
        end if;
      end if;
      if written is not null then
        results := results || jsonb_build_object('status', 'done', 'row', written);
        continue;
      end if;
      same := (select string_agg(format('t.%1$I = k.%1$I', name), ' and ') from unnest(keys) name);
      execute format('select to_jsonb(t.*) from %1$s as t, jsonb_populate_record(null::%1$s, $1) k where %2$s', target, same)
        into present using coalesce(change -> 'key', change -> 'row');
      if change ->> 'op' = 'delete' and present is null then
        -- The row is deleted already.
        results := results || jsonb_build_object('status', 'done', 'row', null);
        continue;
      end if;
      results := results || jsonb_build_object('status', 'conflict', 'row', present);
      raise exception using errcode = 'TL001', message = 'the row is not as in the base';
    end loop;
    set constraints all immediate;
    answer := jsonb_build_object('applied', true, 'results', results);
    update tidelock.mutations set result = answer where client = push ->> 'client' and mutation = push ->> 'mutation';
    return answer;
  exception
    -- The block's changes are rolled back. Errors that a retry may solve fail the request.
    when others then
      get stacked diagnostics state = returned_sqlstate, problem = message_text;
      if left(state, 2) in ('08', '40', '53', '57') then
        raise;
      end if;
      return jsonb_build_object('applied', false, 'results', results, 'failed', at, 'code', state, 'message', problem);
  end;
end $tidelock$;
grant execute on function ${at}.tidelock_push(jsonb) to public;
`
}
