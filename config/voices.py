"""The voice catalogue of ``voices.toml``: public voices, providers, engines and the pools that serve them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Engine:
    """Something that speaks. ``pool`` is the set of engines one worker process keeps loaded together.

    ``needs`` is what an operator does to have it; empty where it is always there. With ``seed`` the same seed gives the
    same sound. ``speeds`` are those it keeps to itself; others are reached by stretching what it said.
    """

    name: str
    pool: str
    languages: tuple[str, ...]
    sample_rate_hz: int
    licence: str
    speeds: tuple[float, float]
    seed: bool = False
    needs: str = ""


@dataclass(frozen=True)
class Voice:
    """A public voice. ``engines`` maps those that can speak it, the best first, to who speaks there.

    Engines that name the same speaker sound alike (``joe`` in vits and piper); another name is another person.
    """

    id: str
    engines: dict[str, str]
    language: str
    description: str
    revision: str = "1"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """What can be asked for. A provider maps to its engine, or to None when it has none of its own."""

    default_voice: str
    voices: dict[str, Voice]
    providers: dict[str, str | None]
    engines: dict[str, Engine]

    @property
    def pools(self) -> dict[str, list[str]]:
        """The engines of each pool, in the catalogue's order."""
        pools: dict[str, list[str]] = {}
        for engine in self.engines.values():
            pools.setdefault(engine.pool, []).append(engine.name)
        return pools

    @property
    def optional_pools(self) -> set[str]:
        """The pools that a machine has no workers for unless its operator does something."""
        return {pool for pool, engines in self.pools.items() if all(self.engines[name].needs for name in engines)}


@cache
def catalogue() -> Catalogue:
    """The catalogue, read once."""
    data = tomllib.loads(Path(__file__).with_name("voices.toml").read_text())
    pool_of = {engine: pool for pool, table in data["pools"].items() for engine in table["engines"]}
    lists = ("languages", "speeds")
    engines = {
        name: Engine(name=name, pool=pool_of[name], **table | {key: tuple(table[key]) for key in lists})
        for name, table in data["engines"].items()
    }
    voices = {name: Voice(id=name, **table) for name, table in data["voices"].items()}
    providers = {name: table.get("engine") for name, table in data["providers"].items()}
    return Catalogue(data["default_voice"], voices, providers, engines)


def live_lane(pool: str) -> str:
    """The queue of work somebody waits for."""
    return f"tts.live.{pool}"


def head_of(lane: str) -> str:
    """The queue before a live lane's own: only workers that do nothing but that lane look there."""
    return f"{lane}.head"


def background_lane(pool: str) -> str:
    """The queue of work nobody waits for."""
    return f"tts.background.{pool}"
