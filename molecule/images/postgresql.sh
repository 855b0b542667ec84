# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs in a minimal Debian: the PostgreSQL of that Debian, of the major version $1. The cluster is made when a container first starts,
# with the superuser's password from POSTGRES_PASSWORD, as in the image of the registries.

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# The package would make and start a cluster of its own.
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
apt-get install -qy --no-install-recommends "postgresql-$1"
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb

install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
install -d -o postgres -g postgres -m 2775 /var/run/postgresql
cat > /usr/local/bin/serve <<'SCRIPT'
#!/bin/sh
set -eu
data=/var/lib/postgresql/data
if [ ! -e "$data/PG_VERSION" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" > /var/lib/postgresql/password
    initdb --pgdata="$data" --username=postgres --pwfile=/var/lib/postgresql/password --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync
    rm /var/lib/postgresql/password
    echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
fi
unset POSTGRES_PASSWORD
exec postgres -D "$data" -c listen_addresses='*' -c timezone=UTC -c fsync=off "$@"
SCRIPT
chmod 755 /usr/local/bin/serve
