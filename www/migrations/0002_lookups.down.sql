DROP INDEX orders_by_customer;
DROP INDEX orders_by_status;
DROP INDEX order_lines_by_product;
