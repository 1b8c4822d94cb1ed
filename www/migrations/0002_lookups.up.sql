CREATE INDEX orders_by_customer ON orders (customer_id, placed_at);
CREATE INDEX orders_by_status ON orders (status);
CREATE INDEX order_lines_by_product ON order_lines (product_id);
