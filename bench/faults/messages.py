"""Messages in the queue's own lists: doubled, held back for a while, or taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import redis

from models import redis_keys

if TYPE_CHECKING:
    from bench.faults.kinds import Scene


# A sliced job rings as often as it is rung: doubled over and over, its messages would be all that there is.
AT_ONCE = 10


def meddle(scene: Scene, how: str) -> tuple[int, str] | None:
    """How many messages of which lane it happened to; None where there are none just now.

    Args:
        how: ``twice``, ``late`` or ``never``.
    """
    try:
        with redis.Redis.from_url(scene.place.queue_socket("queue"), socket_timeout=2) as client:
            lanes = _lanes(client)
            scene.chance.shuffle(lanes)
            for lane in lanes:
                if found := _meddle(scene, client, lane, how):
                    return found, lane
    except redis.RedisError:
        # It has been killed just now.
        return None
    return None


def _meddle(scene: Scene, client: redis.Redis, lane: str, how: str) -> int:
    if how == "twice":
        found = list(client.lrange(lane, 0, AT_ONCE - 1))
        if found:
            client.lpush(lane, *found)
        return len(found)
    taken = cast(Sequence[bytes], client.lpop(lane, AT_ONCE) or [])
    if taken and how == "late":
        scene.undo_after(
            scene.chance.choice((1.0, 8.0, 30.0)), f"messages of {lane}", lambda: _put_back(scene, lane, taken)
        )
    return len(taken)


def _put_back(scene: Scene, lane: str, taken: Sequence[bytes]) -> None:
    try:
        with redis.Redis.from_url(scene.place.queue_socket("queue"), socket_timeout=5) as client:
            client.rpush(lane, *taken)
    except redis.RedisError:
        # What is late may come never.
        return


def _lanes(client: redis.Redis) -> list[str]:
    names = sorted(name.decode() for name in client.scan_iter(_type="list"))
    return [name for name in names if name != redis_keys.RECENT_LOGS]
