"""Every command with its arguments.

``command`` names the function that does it, imported only then; ``needs`` what must be running, looked for before.
"""

from __future__ import annotations

import argparse
from typing import Literal, TypeAlias

from config.versions import VERSION

# Ten years (app/api/cleanup.py).
MAX_AGE_HOURS = 87600.0
# What `add_subparsers` gives has no public name.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_EPILOG = """\
to begin:
  python -m app run
  python -m app speak "Good morning." -o morning.wav
  python -m app jobs list

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
    run = _add(commands, "run", "serve:run", None, "start everything, speak a sample course, serve until Ctrl-C")
    run.add_argument("programs", nargs="*", metavar="PROGRAM", help="of the Procfile: only these, beside what runs")
    serve = _add(commands, "serve", "serve:serve", None, "start everything, serve until Ctrl-C")
    for command in (run, serve):
        command.set_defaults(until_interrupted=True)
    _add(commands, "migrate", "migrate:migrate", "database", "bring the database to this version, as `run` does first")
    what = "remove what nobody needs any more, wait for it, and show what went as JSON; exit status 1 if a part failed"
    cleanup = _add(commands, "cleanup", "cleanup:cleanup", "services", what)
    cleanup.add_argument(
        "--target",
        choices=["all", "outputs", "temp", "old_files"],
        default="all",
        help="outputs: spoken audio; temp: temporary files; old_files: old jobs and records (default: all)",
    )
    age = "of spoken audio and temporary files, instead of their own retentions; an hour at least"
    cleanup.add_argument("--max-age-hours", type=_hours, metavar="N", help=age)
    cleanup.add_argument("--dry-run", action="store_true", help="only count what would be removed")
    cleanup.add_argument("--quiet", action="store_true", help="show nothing unless something failed, for cron")
    cleanup.add_argument(
        "--wait", type=_count, default=600, metavar="SECONDS", help="for a worker to begin it (default: 600)"
    )
    what = "serve the tools to programs that speak the Model Context Protocol, as `run` does, until Ctrl-C"
    _add(commands, "mcp", "mcp:serve", None, what).set_defaults(until_interrupted=True)
    _json(_add(commands, "doctor", "doctor:doctor", None, "check everything here, and say how to mend what is wrong"))


def _speech(commands: Commands) -> None:
    speak = _json(_add(commands, "speak", "speak:speak", "services", "speak a text into a file"))
    speak.add_argument("text", metavar="TEXT", help="what to say; - reads it from standard input")
    speak.add_argument("-o", "--output", metavar="FILE", required=True, help="where the sound goes")
    _voice(speak)
    speak.add_argument("--speed", type=float, default=1.0, help="0.25 to 4.0 (default: 1.0)")
    speak.add_argument("--format", help="wav, flac … (default: what FILE ends in, else wav)")

    courses = _group(commands, "courses", "import, list and speak courses")
    add = _json(_add(courses, "import", "courses:add", "database", "store a course from a JSON file"))
    add.add_argument("file", metavar="FILE", help="like app/samples/longitude.json; - reads standard input")
    add.add_argument("--title", help="instead of the title in the file")
    listed = _json(_add(courses, "list", "courses:show_all", "database", "the newest courses"))
    listed.add_argument("--limit", type=_count, default=50, help="how many at most (default: 50)")
    prefetch = _json(_add(courses, "prefetch", "courses:speak", "services", "speak a course in the background"))
    prefetch.add_argument("id", metavar="ID", help="the course")
    prefetch.add_argument("--topic", metavar="ID", help="this topic of it only")
    _voice(prefetch)
    prefetch.add_argument("--wait", action="store_true", help="show a progress bar until it is done")


def _jobs(commands: Commands) -> None:
    jobs = _group(commands, "jobs", "look at jobs, watch and steer them")
    listed = _json(_add(jobs, "list", "jobs:show_all", "database", "the newest jobs"))
    listed.add_argument("--kind", help="of this kind only, such as speech.prefetch")
    listed.add_argument("--state", help="queued, running, paused, succeeded, failed or cancelled")
    listed.add_argument("--limit", type=_count, default=20, help="how many at most (default: 20)")
    what = "one job with its place in the queue, its items and errors"
    _id(_json(_add(jobs, "show", "jobs:show", "database", what)))
    for name, what in (
        ("cancel", "start nothing more of a job; what is in flight is kept"),
        ("pause", "start nothing more of a job until it is resumed"),
        ("resume", "go on with a paused job"),
        ("retry", "queue a failed or cancelled job again, or only its failed items"),
    ):
        _id(_json(_add(jobs, name, f"jobs:{name}", "services", what)))
    what = "follow a job until it ends; exit status 1 unless it succeeded"
    _id(_add(jobs, "watch", "jobs:watch", "database", what)).set_defaults(until_interrupted=True)


def _accounts(commands: Commands) -> None:
    users = _group(commands, "users", "make users")
    user = _add(users, "create", "accounts:create_user", "database", "a new user; the password is asked for twice")
    _json(user).add_argument("name", metavar="NAME")
    user.add_argument("--role", default="client", help="admin, operator, agent or client (default: client)")
    user.add_argument("--email")
    user.add_argument("--generate", action="store_true", help="make up the password, and show it this once")

    keys = _group(commands, "keys", "make, list and revoke API keys")
    key = _add(keys, "create", "accounts:create_key", "database", "a new API key; its secret is shown this once")
    _json(key).add_argument("name", metavar="NAME", help="what it is for")
    key.add_argument("--user", default="admin", help="whose it is (default: admin)")
    key.add_argument("--role", help="what it may do (default: what its user may)")
    key.add_argument("--agent", type=_agent, metavar="NUMBER", help="the transcriber it acts as, and as nobody else")
    key.add_argument("--expires-days", type=_count, metavar="DAYS", help="when it ends (default: never)")
    _json(_add(keys, "list", "accounts:list_keys", "database", "every key, without its secret"))
    _id(_json(_add(keys, "revoke", "accounts:revoke_key", "database", "end a key at once")))


def _agent(said: str) -> int:
    if not said.isdecimal() or not said.isascii() or int(said) > 2**53 - 1:
        raise argparse.ArgumentTypeError(f"{said!r} is no number from 0 to {2**53 - 1}")
    return int(said)


def _group(commands: Commands, name: str, what: str) -> Commands:
    group = commands.add_parser(name, help=what, description=_sentence(what))
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add(
    commands: Commands, name: str, command: str, needs: Literal["database", "services"] | None, what: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=_sentence(what))
    parser.set_defaults(command=command, needs=needs, until_interrupted=False)
    return parser


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    return parser


def _id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", metavar="ID")
    return parser


def _voice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voice", help="a voice of config/voices.toml (default: the one it names)")


def _sentence(what: str) -> str:
    return f"{what[0].upper()}{what[1:]}."


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours <= MAX_AGE_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_AGE_HOURS:g}")
    return hours


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
