-- The shop as the remote has it. A declared type says how a value crosses the wire: INTEGER is exact up to 64 bits,
-- NUMERIC TEXT keeps every digit, JSON TEXT and ARRAY TEXT keep their structure, BOOLEAN is 0 or 1.
CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  contact TEXT,
  city TEXT NOT NULL,
  country TEXT NOT NULL,
  email TEXT UNIQUE,
  credit_limit NUMERIC TEXT NOT NULL DEFAULT '0',
  active BOOLEAN NOT NULL DEFAULT 1,
  preferences JSON TEXT NOT NULL DEFAULT '{}',
  updated_at TEXT NOT NULL
);

CREATE TABLE products (
  id INTEGER PRIMARY KEY,
  sku TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  category TEXT NOT NULL,
  unit_price NUMERIC TEXT NOT NULL,
  unit_cost NUMERIC TEXT NOT NULL,
  stock INTEGER NOT NULL,
  weight_kg REAL NOT NULL,
  organic BOOLEAN NOT NULL,
  allergens ARRAY TEXT NOT NULL DEFAULT '[]',
  updated_at TEXT NOT NULL
);

CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers ON DELETE CASCADE,
  number TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL,
  placed_at TEXT NOT NULL,
  deliver_on TEXT,
  total NUMERIC TEXT NOT NULL DEFAULT '0',
  note TEXT,
  updated_at TEXT NOT NULL
);

CREATE TABLE order_lines (
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE,
  line_no INTEGER NOT NULL,
  product_id INTEGER NOT NULL REFERENCES products,
  quantity INTEGER NOT NULL,
  unit_price NUMERIC TEXT NOT NULL,
  discount NUMERIC TEXT NOT NULL DEFAULT '0',
  amount NUMERIC TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (order_id, line_no)
);
