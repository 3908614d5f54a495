"""Things to say: sentences that no other test says, each of about 120 characters (some 80 ms of work)."""

from __future__ import annotations

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def words(number: int) -> str:
    """A number from 0 to 999 as it is said."""
    if number >= 100:
        rest = f" and {words(number % 100)}" if number % 100 else ""
        return f"{_ONES[number // 100]} hundred{rest}"
    if number < 20:
        return _ONES[number]
    ones = f"-{_ONES[number % 10]}" if number % 10 else ""
    return _TENS[number // 10 - 2] + ones


def text(topic: str, number: int = 0, *, sentences: int = 1) -> str:
    """The text of that number on a topic that only one test has."""
    return " ".join(
        f"On {topic}, page {words(number)}, line {words(line)}: the keeper wrote down what the sea had done that night."
        for line in range(1, sentences + 1)
    )


def texts(topic: str, count: int, *, sentences: int = 1) -> list[str]:
    """So many different texts on a topic."""
    return [text(topic, number, sentences=sentences) for number in range(1, count + 1)]
