"""Every command with its arguments; ``command`` names the function that does it, imported only then."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from config.versions import VERSION


# What `add_subparsers` gives has no public name.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_EPILOG = """\
Exit status: 0, or 1 after one sentence on standard error, or 2 where the arguments make no sense.
Every command answers to --help; those that list or show something also to --json.
"""


def build() -> argparse.ArgumentParser:
    """The parser of ``python -m app``."""
    root = argparse.ArgumentParser(
        prog="python -m app",
        description="Voiceworks: a self-hosted speech backend.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"Voiceworks {VERSION}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _services(commands)
    _speech(commands)
    _jobs(commands)
    _accounts(commands)
    return root


def _services(commands: Commands) -> None:
    run = _add(commands, "run", "serve:run", "start everything, speak a sample course, serve until Ctrl-C")
    run.add_argument(
        "programs", nargs="*", metavar="PROGRAM", help="only these of the Procfile, beside what runs already"
    )
    serve = _add(commands, "serve", "serve:serve", "start everything, serve until Ctrl-C")
    for command in (run, serve):
        command.set_defaults(until_interrupted=True)
    _add(commands, "doctor", "doctor:doctor", "check this installation, and say how to mend what is wrong", shows=True)
    _add(commands, "migrate", "migrate:migrate", "bring the database to this version (as `run` does first)")


def _speech(commands: Commands) -> None:
    speak = _add(commands, "speak", "speak:speak", "speak a text into a file", shows=True)
    speak.add_argument("text", metavar="TEXT", help="what to say; - reads it from standard input")
    speak.add_argument("-o", "--output", metavar="FILE", required=True, help="where the sound goes")
    speak.add_argument("--voice", help="a voice of config/voices.toml (default: the catalogue's)")
    speak.add_argument("--speed", type=float, default=1.0, help="0.25 to 4.0 (default: 1.0)")
    speak.add_argument("--format", help="wav, flac … (default: what FILE ends in, else wav)")

    courses = _group(commands, "courses", "import, list and speak courses")
    add = _add(courses, "import", "courses:add", "store a course from a JSON file", shows=True)
    add.add_argument("file", metavar="FILE", help="like app/samples/longitude.json; - reads standard input")
    add.add_argument("--title", help="instead of the title in the file")
    listed = _add(courses, "list", "courses:show_all", "the newest courses", shows=True)
    listed.add_argument("--limit", type=_count, default=50, help="how many at most (default: 50)")
    prefetch = _add(courses, "prefetch", "courses:speak", "speak a course ahead of time, in the background", shows=True)
    prefetch.add_argument("id", metavar="ID", help="the course")
    prefetch.add_argument("--topic", metavar="TOPIC", help="this topic of it only")
    prefetch.add_argument("--voice", help="a voice of config/voices.toml (default: the catalogue's)")
    prefetch.add_argument("--wait", action="store_true", help="show a progress bar until it is done")


def _jobs(commands: Commands) -> None:
    jobs = _group(commands, "jobs", "look at jobs, watch and steer them")
    listed = _add(jobs, "list", "jobs:show_all", "the newest jobs", shows=True)
    listed.add_argument("--kind", help="of this kind only, such as speech.prefetch")
    listed.add_argument("--state", help="queued, running, paused, succeeded, failed or cancelled")
    listed.add_argument("--limit", type=_count, default=20, help="how many at most (default: 20)")
    for name, what in (
        ("show", "one job with its place in the queue, its items and errors"),
        ("cancel", "start nothing more of a job; what is in flight is kept"),
        ("pause", "start nothing more of a job until it is resumed"),
        ("resume", "go on with a paused job"),
        ("retry", "queue a failed or cancelled job again, or only its failed items"),
    ):
        _add(jobs, name, f"jobs:{name}", what, shows=True).add_argument("id", metavar="ID")
    watch = _add(jobs, "watch", "jobs:watch", "follow a job until it ends; exit status 1 unless it succeeded")
    watch.add_argument("id", metavar="ID")
    watch.set_defaults(until_interrupted=True)


def _accounts(commands: Commands) -> None:
    users = _group(commands, "users", "make users")
    create = _add(users, "create", "accounts:create_user", "a new user; the password is asked for twice", shows=True)
    create.add_argument("name", metavar="NAME")
    create.add_argument("--role", default="client", help="admin, operator, agent or client (default: client)")
    create.add_argument("--email")
    create.add_argument("--generate", action="store_true", help="make up the password, and show it this once")

    keys = _group(commands, "keys", "make, list and revoke API keys")
    key = _add(keys, "create", "accounts:create_key", "a new API key; its secret is shown this once", shows=True)
    key.add_argument("name", metavar="NAME", help="what it is for")
    key.add_argument("--user", default="admin", help="whose it is (default: admin)")
    key.add_argument("--role", help="what it may do (default: what its user may)")
    key.add_argument("--expires-days", type=_count, metavar="DAYS", help="when it ends (default: never)")
    _add(keys, "list", "accounts:list_keys", "every key, without its secret", shows=True)
    _add(keys, "revoke", "accounts:revoke_key", "end a key at once", shows=True).add_argument("id", metavar="ID")


def _group(commands: Commands, name: str, what: str) -> Commands:
    group = commands.add_parser(name, help=what, description=_sentence(what))
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add(
    commands: Commands,
    name: str,
    command: str,
    what: str,
    *,
    shows: bool = False,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=_sentence(what))
    parser.set_defaults(command=command, until_interrupted=False)
    if shows:
        parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    return parser


def _sentence(what: str) -> str:
    return f"{what[0].upper()}{what[1:]}."


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


# What argparse calls the type in its error.
_count.__name__ = "whole number above 0"
