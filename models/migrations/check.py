"""Whether migrations and tables agree: ``python -m models.migrations.check [--make NUMBER_MESSAGE]``.

Upgrades an empty database of its own and compares it with the tables the code declares; with ``--make`` it writes
the missing migration instead of complaining.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from config import embedded
from models import migrations
from models.registry import Base


def main(arguments: list[str]) -> int:
    """Exit status 0 when both agree, 1 when they differ."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, embedded.running(Path(folder), durable=False) as servers:
        engine = create_engine(servers.database_url)
        if list((Path(__file__).parent / "versions").glob("[0-9]*.py")):
            migrations.upgrade(engine)
        if arguments[:1] == ["--make"]:
            number, _, message = arguments[1].partition("_")
            with engine.begin() as connection:
                config = migrations.configuration(connection)
                config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
                command.revision(config, message=message, rev_id=number, autogenerate=True)
            return 0
        with engine.connect() as connection:
            differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
        engine.dispose()
    for difference in differences:
        print(f"The tables differ from the migrations: {difference}")
    print("Migrations agree with the tables." if not differences else "Write a migration (see --help of this module).")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
