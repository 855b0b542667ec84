-- Copyright (c) 2026, WorkOn
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- An application's database as it is in production: an owner, a role of the application that may only read and write, and nothing for PUBLIC.

SET ROLE shop_owner;

CREATE TYPE contract_state AS ENUM ('draft', 'signed', 'ended');
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE missions (
    id serial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    title text,
    hours numeric(8, 2) CHECK (hours >= 0),
    days daterange
);
CREATE INDEX missions_user ON missions (user_id);
CREATE TABLE contracts (id uuid PRIMARY KEY, mission_id integer REFERENCES missions, state contract_state NOT NULL, document bytea);
CREATE TABLE compliance_document (id integer PRIMARY KEY, tags text[], body text);
CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE VIEW busy AS SELECT user_id, sum(hours) AS hours FROM missions GROUP BY user_id;

INSERT INTO users (email, settings)
SELECT 'user' || n || '@example.com', jsonb_build_object('language', CASE n % 3 WHEN 0 THEN 'fr' ELSE 'de' END, 'n', n) FROM generate_series(1, 2000) AS n;
INSERT INTO missions (user_id, title, hours, days)
SELECT 1 + n % 2000, CASE WHEN n % 7 <> 0 THEN 'Mission N° ' || n || E'\t\\x' END, n / 4.0, daterange('2026-01-01'::date + n % 300, '2026-12-01')
FROM generate_series(1, 5000) AS n;
INSERT INTO contracts
SELECT md5('contract' || n)::uuid, n, (ARRAY['draft', 'signed', 'ended'])[1 + n % 3]::contract_state, decode(md5('document' || n), 'hex')
FROM generate_series(1, 1500) AS n;
INSERT INTO compliance_document SELECT n, ARRAY['a' || n, NULL, 'ß,"'], repeat(md5(n::text), 40) FROM generate_series(1, 400) AS n;
INSERT INTO ledger (amount) SELECT n FROM generate_series(1, 100) AS n;

GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO shop_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO shop_app;
