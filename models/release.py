"""``python -m models.release``: migrations and the first admin, before anything else starts."""

from __future__ import annotations

import sys

from config import logs, settings
from config.settings import Settings
from models import accounts, migrations
from models.db import Database
from models.errors import ModelError


def main() -> int:
    """Exit status 0 once the database is ready for this version."""
    try:
        configured = settings.load()
    except settings.SettingsError as fault:
        print(fault, file=sys.stderr)
        return 2
    # Its log is shown to whoever starts everything: what is as it should be is not worth a line.
    logs.configure("WARNING", configured.log_format)
    try:
        return _prepare(configured)
    except ModelError as fault:
        print(f"The first admin cannot be made: {fault.message}", file=sys.stderr)
        return 2


def _prepare(configured: Settings) -> int:
    database = Database(configured.database_url, deliver=lambda signals: None, pool_size=1)
    migrations.upgrade(database.engine)
    with database.transaction() as session:
        password = accounts.ensure_admin(
            session, password=configured.voiceworks_admin_password, api_key=configured.voiceworks_api_key
        )
    if password:
        print(f"First start: sign in as admin with password {password} (it is not shown again).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
