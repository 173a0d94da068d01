"""Airflow's tables, the heavy nodes' pool and the admin user, in one process: each `airflow` command costs seconds.

`python -m dags.prepare_database` with Airflow's environment; the admin's password on standard input. Idempotent: an
existing pool keeps the number of slots that somebody gave it. The user is made where FAB keeps users (a deployment);
the simple auth manager of `make airflow` reads a file.
"""

from __future__ import annotations

import os
import sys

from dags.installation import ADMIN, HEAVY_POOL

FAB = "FabAuthManager"


def main() -> int:
    password = sys.stdin.readline().strip()
    from airflow.models.pool import Pool
    from airflow.utils import db

    db.upgradedb()
    if Pool.get_pool(HEAVY_POOL) is None:
        Pool.create_or_update_pool(
            HEAVY_POOL,
            slots=heavy_slots(),
            description="Nodes that fill a machine's memory",
            include_deferred=False,
        )
    from airflow.configuration import conf

    if FAB in conf.get("core", "auth_manager"):
        _admin(password)
    return 0


def heavy_slots() -> int:
    """One heavy node for every two cores, at least one."""
    return max(1, (os.cpu_count() or 1) // 2)


def _admin(password: str) -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        user = security.find_user(username=ADMIN)
        if user is not None:
            security.reset_password(user.id, password)
            return
        role = security.find_role("Admin")
        if not security.add_user(ADMIN, "Viaduct", "Admin", "admin@localhost", role, password):
            raise SystemExit("The admin user could not be made; see the messages above.")


if __name__ == "__main__":
    sys.exit(main())
