-- Copyright (c) 2026, WorkOn
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Every row of every table, by its key, and the state of every sequence, in a few bytes; nothing of the collection is asked.
-- What a sequence has logged ahead is no part of it, and MAINTAIN (m) is an owner's privilege that PostgreSQL 17 has invented.
SELECT c.relname, c.relkind, pg_get_userbyid(c.relowner), replace(c.relacl::text, 'xtm/', 'xt/'),
    md5(query_to_xml(format(CASE c.relkind WHEN 'S' THEN 'SELECT last_value, is_called FROM %s' ELSE 'SELECT * FROM %s ORDER BY 1' END,
                            c.oid::regclass), true, false, '')::text)
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S', 'v')
ORDER BY c.relname COLLATE "C";
