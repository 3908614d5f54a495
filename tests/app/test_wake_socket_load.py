"""Many who listen for wake words at once, and much sound: nothing is lost, and nobody else waits."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import numpy as np
import psutil
import pytest
import requests

pytest.importorskip("hibari")

from tests.alexa import RATE, STORY, detector_of_alexa, pcm, spoken
from tests.microphone import PIECE, Message, Microphone, Open, fired
from tests.web import Web
from workers.wakeword.detector import Detector, open_scorer

WORD = spoken((1.0, "Alexa."), seconds=3)


def test_a_client_in_a_hurry_is_slowed_and_loses_nothing(listen: Open, web: Web) -> None:
    minute = np.tile(spoken((2.0, "Alexa."), seconds=10), 6)
    alone = [score.time_seconds for score in Detector(open_scorer(detector_of_alexa())).feed(minute) if score.detected]
    assert len(alone) == 6
    with listen() as first:
        # What listening takes at all, it has from now on.
        first.speak(WORD)
        first.until_heard(2.5)
    memory = web_process(web).memory_info().rss
    told: list[Message] = []
    with listen() as hurried, listen() as calm:
        began = time.monotonic()
        hearing = threading.Thread(target=lambda: told.extend(hurried.until_heard(59.5)))
        hearing.start()
        sending = threading.Thread(target=hurried.speak, args=(minute, RATE * 5))
        sending.start()
        # Who speaks as people do is heard meanwhile.
        calm_began = time.monotonic()
        calm.speak(WORD)
        assert len(fired(calm.until_heard(2.5))) == 1
        assert time.monotonic() - calm_began < 2.5
        sending.join()
        hearing.join()
        took = time.monotonic() - began
    assert fired(told) == pytest.approx(alone, abs=0.01)
    # At ten times the speed of sound in the room at most, so that others have their turns.
    assert took > 5.0
    grown = (web_process(web).memory_info().rss - memory) / 2**20
    print(f"a minute of sound at once took {took:.1f} s; the web process grew by {grown:.0f} MiB")
    assert grown < 40


def test_a_client_that_does_not_read_is_told_everything_in_the_end(listen: Open) -> None:
    half_minute = np.tile(spoken((2.0, "Alexa."), seconds=10), 3)
    with listen("?smoothing=1&refractory_ms=0") as microphone:
        microphone.speak(half_minute, RATE)
        told = microphone.until_heard(29.5)
    alone = Detector(open_scorer(detector_of_alexa()), smoothing_windows=1, refractory_seconds=0).feed(half_minute)
    assert fired(told) == pytest.approx([score.time_seconds for score in alone if score.detected], abs=0.01)


def web_process(web: Web) -> psutil.Process:
    """The one that answers, not its master."""
    assert web.child.pid is not None
    (worker,) = psutil.Process(web.child.pid).children()
    return worker


def live(microphones: list[Microphone], sounds: list[np.ndarray]) -> list[list[Message]]:
    """What each is told of its sound, which is sent at the speed at which it is spoken."""
    told: list[list[Message]] = [[] for _ in microphones]

    def read(number: int) -> None:
        told[number] = microphones[number].until_heard(len(sounds[number]) / RATE - 0.5)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(len(microphones))]
    for reader in readers:
        reader.start()
    began = time.monotonic()
    for start in range(0, len(sounds[0]), PIECE):
        for microphone, sound in zip(microphones, sounds, strict=True):
            microphone.connection.send_binary(pcm(sound[start : start + PIECE]))
        time.sleep(max(0.0, began + (start + PIECE) / RATE - time.monotonic()))
    for reader in readers:
        reader.join()
    return told


def test_ten_at_once_are_heard_as_each_alone_while_others_are_answered(listen: Open, web: Web) -> None:
    texts = ["Alexa.", "Computer.", "Alexa.", STORY, "Alexa."] * 2
    sounds = [spoken((0.5 + 0.2 * number, text), seconds=5) for number, text in enumerate(texts)]
    scorer = open_scorer(detector_of_alexa())
    figures: dict[int, float] = {}
    for count in (1, 10):
        with ExitStack() as stack:
            microphones = [stack.enter_context(listen()) for _ in range(count)]
            waits: list[float] = []
            over = threading.Event()

            def ask(waits: list[float] = waits, over: threading.Event = over) -> None:
                with requests.Session() as session:
                    while not over.wait(0.05):
                        began = time.monotonic()
                        assert session.get(web.url("/health/live"), timeout=10).ok
                        waits.append(time.monotonic() - began)

            asking = threading.Thread(target=ask)
            # What they cost counts against the ten.
            if count > 1:
                asking.start()
            before = web_process(web).cpu_times()
            told = live(microphones, sounds[:count])
            after = web_process(web).cpu_times()
            over.set()
            if count > 1:
                asking.join()
        used = after.user + after.system - before.user - before.system
        figures[count] = used / (count * 5) * 1000
        print(f"{count} streams: {figures[count]:.1f} ms of processor time for a second of each")
        for sound, messages in zip(sounds, told, strict=False):
            alone = Detector(scorer).feed(np.frombuffer(pcm(sound), "<i2") / np.float32(32768))
            assert fired(messages) == pytest.approx([s.time_seconds for s in alone if s.detected], abs=0.01)
            highest = max(score.smoothed for score in alone if score.time_seconds <= messages[-1]["time_seconds"])
            assert max(message["confidence"] for message in messages) == pytest.approx(highest, abs=0.001)
    assert [bool(fired(messages)) for messages in told] == ["Alexa" in text for text in texts]
    print(f"{len(waits)} other requests took {np.median(waits) * 1000:.1f} ms, at most {max(waits) * 1000:.0f} ms")
    # On a machine that others use, too; alone it is a few milliseconds.
    assert np.percentile(waits, 95) < 0.25
    assert figures[10] < figures[1]


def test_opened_again_and_again_it_takes_no_more_memory(listen: Open, web: Web) -> None:
    memory = []
    for _ in range(3):
        for _ in range(10):
            with listen() as microphone:
                microphone.speak(WORD[:RATE])
                microphone.until_heard(0.5)
        memory.append(web_process(web).memory_info().rss / 2**20)
    print(f"the web process has {memory[-1]:.0f} MiB")
    assert memory[-1] - memory[0] < 10
