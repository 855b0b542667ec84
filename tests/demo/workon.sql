-- Copyright (c) 2026, WorkOn
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A database as WorkOn has it: made by Prisma, with its quoted names and its own table of migrations.

CREATE TYPE "MissionStatus" AS ENUM ('DRAFT', 'OPEN', 'STAFFED', 'CLOSED');

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE,
    "fullName" text NOT NULL,
    settings jsonb NOT NULL,
    "createdAt" timestamp(3) NOT NULL
);

CREATE TABLE missions (
    id serial PRIMARY KEY,
    "ownerId" uuid NOT NULL REFERENCES users (id),
    title text NOT NULL,
    status "MissionStatus" NOT NULL DEFAULT 'DRAFT',
    skills text[] NOT NULL,
    "dailyRate" numeric(10, 2),
    description text NOT NULL
);

CREATE TABLE contracts (
    id bigserial PRIMARY KEY,
    "missionId" integer NOT NULL REFERENCES missions (id),
    "userId" uuid NOT NULL REFERENCES users (id),
    amount numeric(12, 2) NOT NULL,
    "signedAt" timestamptz
);

CREATE TABLE compliance_document (
    id serial PRIMARY KEY,
    "userId" uuid NOT NULL REFERENCES users (id),
    kind text NOT NULL,
    sha256 bytea NOT NULL,
    scan oid
);

CREATE TABLE _prisma_migrations (
    id varchar(36) PRIMARY KEY,
    checksum varchar(64) NOT NULL,
    finished_at timestamptz,
    migration_name varchar(255) NOT NULL,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0
);

INSERT INTO users
SELECT md5('user' || n)::uuid, 'user' || n || '@example.com', 'Zoë O''Neil ' || n, jsonb_build_object('locale', 'fr', 'seats', n % 7),
       timestamp '2026-01-01' + n * interval '1 minute'
FROM generate_series(1, 20000) AS n;

INSERT INTO missions ("ownerId", title, status, skills, "dailyRate", description)
SELECT md5('user' || 1 + n % 20000)::uuid, 'Mission ' || n, (enum_range(NULL::"MissionStatus"))[1 + n % 4], ARRAY['sql', 'métier ' || n % 50],
       CASE WHEN n % 10 > 0 THEN 300 + n % 500 END, repeat(md5('mission' || n), 8)
FROM generate_series(1, 60000) AS n;

INSERT INTO contracts ("missionId", "userId", amount, "signedAt")
SELECT 1 + n % 60000, md5('user' || 1 + n % 20000)::uuid, n % 9000 + 0.37, timestamptz '2026-02-01 08:00+00' + n * interval '3 minutes'
FROM generate_series(1, 40000) AS n;

INSERT INTO compliance_document ("userId", kind, sha256)
SELECT md5('user' || 1 + n % 20000)::uuid, 'insurance', sha256(('document' || n)::bytea)
FROM generate_series(1, 25000) AS n;

-- A scan of 2 MB, as a large object.
UPDATE compliance_document
SET scan = lo_from_bytea(0, (SELECT string_agg(sha256(n::text::bytea), ''::bytea ORDER BY n) FROM generate_series(1, 65536) AS n))
WHERE id = 1;

INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
SELECT md5(name)::uuid::text, encode(sha256(name::bytea), 'hex'), at + interval '1 second', name, at, 1
FROM (VALUES ('20260101090000_init', timestamptz '2026-01-01 09:00+00'), ('20260201090000_compliance', timestamptz '2026-02-01 09:00+00')) AS applied (name, at);

ANALYZE;
