-- A wholesale pantry, "Fennel & Rye": customers, products, orders and 26,000 order lines.
-- Made to be hard on a client: ids beyond 2^53, numerics beyond a double, microseconds, equal timestamps over more than a
-- page of rows, text that isn't ASCII, and a table that row-level security hides from strangers.
select setseed(0.42);

create function touch() returns trigger language plpgsql as
  $$ begin new.updated_at = clock_timestamp(); return new; end $$;

create table customers (
  id bigint primary key,
  name text not null,
  contact text,
  city text not null,
  country text not null,
  email text unique,
  credit_limit numeric(14, 2) not null default 0,
  active boolean not null default true,
  preferences jsonb not null default '{}',
  updated_at timestamptz not null default now()
);

create table products (
  id bigint primary key,
  sku text not null unique,
  name text not null,
  category text not null,
  unit_price numeric(12, 4) not null,
  unit_cost numeric(28, 18) not null,
  stock integer not null,
  weight_kg double precision not null,
  organic boolean not null,
  allergens text[] not null default '{}',
  updated_at timestamptz not null default now()
);

create table orders (
  id bigint primary key,
  customer_id bigint not null references customers on delete cascade,
  number text not null unique,
  status text not null,
  placed_at timestamptz not null,
  deliver_on date,
  total numeric(16, 4) not null default 0,
  note text,
  updated_at timestamptz not null default now()
);

create table order_lines (
  id bigint primary key,
  order_id bigint not null references orders on delete cascade,
  line_no integer not null,
  product_id bigint not null references products,
  quantity integer not null,
  unit_price numeric(12, 4) not null,
  discount numeric(6, 5) not null default 0,
  amount numeric(30, 12) not null,
  updated_at timestamptz not null default now(),
  unique (order_id, line_no)
);

-- Each representative sees only his or her own, and no error says so.
create table visits (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null default auth.uid(),
  customer_id bigint not null references customers on delete cascade,
  planned_for timestamptz not null,
  report text,
  updated_at timestamptz not null default now()
);

insert into customers
select 9007199254740993 + i * 1000003::bigint,
       (array['Alder', 'Bärenklau', 'Crème & Fils', 'Dún Laoghaire', 'Ewe & Oak', 'Frühling', 'Grünkern', 'Håndverk', 'İstanbul', 'Juniper',
              'Kōji', 'Łódź', 'Mañana', 'Nørrebro', 'Oca', 'Pão', 'Quince', 'Răsărit', 'Sörös', '東京'])[1 + i % 20] || ' ' ||
       (array['Deli', 'Market', 'Kitchen', 'Bakery', 'Pantry', 'Canteen', 'Bistro', 'Provisions', 'Foods', 'Table', 'Grocers', 'Café'])[1 + (i / 20) % 12],
       (array['Ada', 'Björn', 'Chloé', 'Dmitri', 'Eşref', 'Fatima', 'Grace', 'Hán', 'Inés', 'Jānis'])[1 + (i * 7) % 10] || ' ' ||
       (array['Okafor', 'Lindqvist', 'Moreau', 'Ivanova', 'Yılmaz', 'Haddad', 'O''Brien', 'Nguyễn', 'García', 'Bērziņš'])[1 + (i * 3) % 10],
       (array['Berlin', 'Lyon', 'Porto', 'Kraków', 'Malmö', 'Dublin', 'Graz', 'Ghent', 'Tartu', 'Bilbao'])[1 + (i * 11) % 10],
       (array['DE', 'FR', 'PT', 'PL', 'SE', 'IE', 'AT', 'BE', 'EE', 'ES'])[1 + (i * 11) % 10],
       'orders' || i || '@example.com',
       (500 + floor(random() * 200) * 250)::numeric(14, 2),
       i % 17 <> 0,
       jsonb_build_object('language', (array['de', 'fr', 'pt', 'pl', 'sv', 'en', 'de', 'nl', 'et', 'es'])[1 + (i * 11) % 10], 'pallet', i % 3 = 0,
                          'note', case when i % 40 = 0 then 'ring twice 🔔, "back" door\ramp' end),
       timestamptz '2026-09-01 08:00:00.000001+00' + i * interval '1 hour 7.000013 seconds'
from generate_series(0, 239) i;

insert into products
select 9007199254740995 + i * 15485863::bigint,
       'FR-' || lpad((1000 + i * 7)::text, 5, '0'),
       (array['Smoked', 'Wild', 'Stone-ground', 'Aged', 'Raw', 'Toasted', 'Pickled', 'Sun-dried', 'Fermented', 'Candied'])[1 + i % 10] || ' ' ||
       (array['fennel seed', 'rye flour', 'elderflower syrup', 'buckwheat', 'crème fraîche', 'tomatoes', 'jalapeños', 'açaí', 'kombu', 'plum vinegar',
              'oat groats', 'walnuts', 'sea salt', 'chestnut honey', 'black garlic', 'verjus', 'sauerkraut', 'chèvre'])[1 + (i / 10) % 18],
       (array['Spices', 'Flour & grain', 'Syrups', 'Dairy', 'Preserves', 'Vinegar'])[1 + i % 6],
       (1 + floor(random() * 480000) / 10000)::numeric(12, 4),
       (random()::numeric * 12 + 0.000000000000000001)::numeric(28, 18),
       floor(random() * 900)::int,
       round((random() * 24)::numeric, 3)::float8,
       i % 4 = 0,
       case i % 5 when 0 then array['gluten'] when 1 then array['milk', 'nuts'] when 2 then array['sulphites, "mild"'] else '{}' end,
       timestamptz '2026-10-02 06:30:00.123456+00' + i * interval '3 minutes'
from generate_series(0, 179) i;

insert into orders (id, customer_id, number, status, placed_at, deliver_on, note, updated_at)
select 9007199254741001 + i * 104729::bigint,
       9007199254740993 + floor(random() * 240)::bigint * 1000003,
       'SO-' || lpad((20000 + i)::text, 6, '0'),
       (array['open', 'packed', 'shipped', 'delivered', 'delivered', 'delivered', 'cancelled'])[1 + floor(random() * 7)::int],
       at, (at + interval '3 days')::date,
       case when i % 23 = 0 then 'Leave at the ramp — ask for Zoë 🌿' end,
       at + interval '11.000007 seconds'
from (select i, timestamptz '2026-01-05 07:00:00.5+00' + i * interval '1 hour 10 minutes 3.25 seconds' as at from generate_series(0, 6499) i) o;

-- Four lines an order. The first 3,000 came by one import: they share one timestamp.
insert into order_lines
select 9007199254741003 + n * 1299709::bigint, o.id, l, p.id, q, p.unit_price, d, q * p.unit_price * (1 - d) + 0.000000000001,
       case when n < 3000 then timestamptz '2026-02-01 00:00:00.000001+00' else o.updated_at + l * interval '0.000001 seconds' end
from (select o.*, row_number() over (order by o.id) - 1 as at from orders o) o
cross join generate_series(1, 4) l
cross join lateral (select (o.at * 4 + l - 1) as n, 1 + (o.at * 31 + l * 17) % 48 as q, ((o.at + l) % 7 * 0.0125)::numeric(6, 5) as d) c
join products p on p.id = 9007199254740995 + ((o.at * 13 + l * 47) % 180) * 15485863::bigint;

update orders set total = t.total from (select order_id, sum(amount) as total from order_lines group by order_id) t where t.order_id = orders.id;
-- One amount that no double holds.
update order_lines set amount = 123456789012345678.123456789012 where line_no = 4 and order_id = 9007199254741001;

insert into visits (id, owner, customer_id, planned_for, report, updated_at)
select md5(i::text)::uuid, case when i % 3 = 0 then '11111111-1111-4111-8111-111111111111'::uuid else '22222222-2222-4222-8222-222222222222'::uuid end,
       9007199254740993 + i * 1000003::bigint, timestamptz '2026-11-23 09:00+00' + i * interval '45 minutes',
       case when i % 2 = 0 then 'Wants more rye; fewer jars.' end, timestamptz '2026-11-01 12:00:00.654321+00' + i * interval '1 second'
from generate_series(0, 59) i;

do $$
declare name text;
begin
  foreach name in array array['customers', 'products', 'orders', 'order_lines', 'visits'] loop
    execute format('create trigger touch before update on %I for each row execute function touch()', name);
    execute format('alter table %I enable row level security', name);
    execute format('create index on %I (updated_at, id)', name);
    if name <> 'visits' then
      execute format('create policy shop on %I to anon, authenticated using (true) with check (true)', name);
    end if;
  end loop;
end $$;
create policy own on visits to authenticated using (owner = auth.uid()) with check (owner = auth.uid());
analyze;
