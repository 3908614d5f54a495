"""``migrate``: what ``run`` does before anything else."""

from __future__ import annotations

from argparse import Namespace

from app.cli import OK, reach
from models import migrations, release


def migrate(arguments: Namespace) -> int:
    """Brings the database to this version and makes the first admin, whose password it prints."""
    with reach.database():
        status = release.main()
    if status == OK:
        print(f"The database is at {migrations.head()}, the newest.")
    return status
