"""``python -m models.release``: migrations and the first admin, before anything else starts.

With ``--wait`` it tries until the database answers; without, it says so and fails.
"""

from __future__ import annotations

import sys
import time

from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from config import logs, settings
from config.settings import Settings
from models import accounts, migrations
from models.db import Database
from models.errors import ModelError

# From one try to the next, where the database is waited for.
_PAUSE_SECONDS = 2.0


def main(*, wait: bool = False) -> int:
    """Exit status 0 once the database is ready for this version; 1 where it does not answer, 2 where that will stay."""
    try:
        configured = settings.load()
    except settings.SettingsError as fault:
        print(fault, file=sys.stderr)
        return 2
    # Its log is shown to whoever starts everything: what is as it should be is not worth a line.
    logs.configure("WARNING", configured.log_format)
    said = None
    while True:
        try:
            return _prepare(configured)
        except ModelError as fault:
            print(f"The first admin cannot be made: {fault.message}", file=sys.stderr)
            return 2
        except OperationalError as fault:
            # A number is only given to what went wrong after the connection was made.
            if getattr(fault.orig, "sqlstate", None):
                raise
            if (sentence := _unreachable(configured, str(fault.orig))) != said:
                print(sentence, file=sys.stderr, flush=True)
                said = sentence
            if not wait:
                return 1
        time.sleep(_PAUSE_SECONDS)


def _unreachable(configured: Settings, why: str) -> str:
    """One sentence about a database that lets nobody in, without the password that its URL may hold."""
    # libpq hands on what a server answered before it let us in, and says the rest itself.
    _, refused, words = why.partition("FATAL:")
    if refused:
        return f"The database refused us: {words.strip().splitlines()[0]}."
    url = make_url(configured.database_url)
    place = url.query.get("host") or f"{url.host}:{url.port or 5432}"
    return f"The database does not answer at {place}; start it, or correct DATABASE_URL."


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
    sys.exit(main(wait="--wait" in sys.argv[1:]))
