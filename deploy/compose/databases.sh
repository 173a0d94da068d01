#!/bin/bash
# Run once by the PostgreSQL image on an empty volume: one role and one database each for Airflow and ML Metadata.
set -eu
for name in airflow viaduct; do
  variable="$(echo "$name" | tr '[:lower:]' '[:upper:]')_DB_PASSWORD"
  psql -v ON_ERROR_STOP=1 -v name="$name" -v password="${!variable}" --username postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
