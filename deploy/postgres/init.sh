#!/bin/bash
# Run once by the postgres image on empty data: for each service a role, and a database nobody else may enter.
set -euo pipefail
for service in intake orientation referral reporting; do
    psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
        --set=name="relais_$service" --set=secret="$(<"/run/secrets/postgres-$service")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'secret';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT, TEMPORARY ON DATABASE :"name" FROM PUBLIC;
SQL
done
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
    --command='REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC'
