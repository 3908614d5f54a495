"""What is measured. Each function is one repeat and gives figures by name; the run takes medians over repeats."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from bench import liveness as liveness_process
from bench.bare import Bare
from bench.service import Client, Service
from bench.texts import short_sentence, ten_seconds, thirty_seconds

Figures = dict[str, float]


def miss(service: Service, bare: Bare) -> Figures:
    """One new ten-second sentence at a time: the answer's time against the engine's alone, in turns."""
    client, ours, alone, audio = service.client(), [], [], []
    for _ in range(8):
        text = ten_seconds()
        bare.start([text])
        alone.append(bare.finish()["seconds"][0])
        seconds, answer = client.timed(text)
        assert answer.headers["X-TTS-Cache-Status"] == "miss"
        ours.append(seconds)
        audio.append(float(answer.headers["X-TTS-Duration-Seconds"]))
    return {
        "miss_ms": statistics.median(ours) * 1000,
        "miss_bare_ms": statistics.median(alone) * 1000,
        "miss_over_bare_ms": (statistics.median(ours) - statistics.median(alone)) * 1000,
        "miss_audio_seconds": statistics.median(audio),
    }


def first_frame(service: Service, bare: Bare) -> Figures:
    """A new segment of five sentences over a binary ``/ws/audio``: until its first frame with sound in it.

    Against the first sentence on the engine alone, in turns.
    """
    client, ours, alone = service.client(), [], []
    for _ in range(8):
        sentences = [ten_seconds() for _ in range(5)]
        bare.start(sentences[:1])
        alone.append(bare.finish()["seconds"][0])
        ours.append(client.first_frame(client.store_course([" ".join(sentences)])))
    return {
        "first_frame_ms": statistics.median(ours) * 1000,
        "first_frame_bare_sentence_ms": statistics.median(alone) * 1000,
        "first_frame_over_bare_ms": (statistics.median(ours) - statistics.median(alone)) * 1000,
        "first_frame_of_bare": statistics.median(ours) / statistics.median(alone),
    }


def hit(service: Service, bare: Bare) -> Figures:
    """A cached answer of thirty seconds, again and again on one connection."""
    client, text = service.client(), thirty_seconds()
    client.speak(text)
    seconds = sorted(client.timed(text)[0] for _ in range(200))
    bare_connection = sorted(client.timed_bare(text)[0] for _ in range(200))
    return {
        "hit_p50_ms": seconds[100] * 1000,
        "hit_p99_ms": seconds[197] * 1000,
        "hit_bare_connection_p50_ms": bare_connection[100] * 1000,
    }


def prefetch(service: Service, bare: Bare) -> Figures:
    """A course of 96 new ten-second segments, against two engine processes that share the same texts."""
    client = service.client()
    texts = [ten_seconds() for _ in range(96)]
    with Bare() as other:
        began = time.perf_counter()
        bare.start(texts[::2])
        other.start(texts[1::2])
        found = [bare.finish(), other.finish()]
        alone_seconds = time.perf_counter() - began
    audio = sum(each["audio_seconds"] for each in found)
    course = client.store_course(texts)
    cpu = service.cpu_seconds()
    job = client.wait(client.prefetch(course))
    cpu = service.cpu_seconds() - cpu
    assert job["items"]["succeeded"] == len(texts), job
    ours_seconds = _span(job["created_at"], job["finished_at"])
    return {
        "prefetch_audio_per_second": audio / ours_seconds,
        "prefetch_bare_audio_per_second": audio / alone_seconds,
        "prefetch_of_bare": alone_seconds / ours_seconds,
        "prefetch_cpu_per_audio_second": cpu / audio,
        "prefetch_bare_cpu_per_audio_second": sum(each["cpu_seconds"] for each in found) / audio,
    }


def identical(service: Service, bare: Bare) -> Figures:
    """Sixty-four identical requests at once, alone and while a bulk item is making that text."""
    client = service.client()
    text = ten_seconds()
    alone = _identical(service, text)
    course = client.store_course([(text := " ".join(thirty_seconds() for _ in range(20)))])
    job = client.prefetch(course)
    while client.job(job)["state"] == "queued":
        time.sleep(0.005)
    beside = _identical(service, text)
    client.wait(job)
    return {
        "identical_misses": alone[0],
        "identical_bodies": alone[1],
        "identical_beside_bulk_misses": beside[0],
        "identical_beside_bulk_bodies": beside[1],
    }


def interactive(service: Service, bare: Bare) -> Figures:
    """A new six-word request every 100 ms, on an idle machine and while a course is being spoken."""
    client = service.client()
    idle = _paced(client)
    course = client.store_course([ten_seconds() for _ in range(400)])
    job = client.prefetch(course)
    busy = _paced(client)
    client.cancel(job)
    while client.job(job)["state"] == "running":
        time.sleep(0.05)
    time.sleep(0.5)
    return {
        "interactive_idle_p50_ms": idle[len(idle) // 2],
        "interactive_idle_p95_ms": idle[int(len(idle) * 0.95)],
        "interactive_busy_p50_ms": busy[len(busy) // 2],
        "interactive_busy_p95_ms": busy[int(len(busy) * 0.95)],
        "interactive_p95_ratio": busy[int(len(busy) * 0.95)] / idle[int(len(idle) * 0.95)],
    }


def liveness(service: Service, bare: Bare) -> Figures:
    """``GET /health/live`` on an idle machine, and while sixteen clients each have one new sentence made after another.

    On two connections, which two web processes may share unevenly: the slower one counts.
    """
    idle, _ = _liveness(service, clients=0)
    busy, spoken = _liveness(service, clients=16)
    return {
        "liveness_idle_p50_ms": idle[len(idle) // 2],
        "liveness_idle_p99_ms": idle[int(len(idle) * 0.99)],
        "liveness_busy_p50_ms": busy[len(busy) // 2],
        "liveness_busy_p99_ms": busy[int(len(busy) * 0.99)],
        "liveness_busy_max_ms": busy[-1],
        "liveness_busy_spoken": spoken,
    }


MEASURES = (miss, first_frame, hit, prefetch, identical, interactive, liveness)


def _paced(client: Client, count: int = 40) -> list[float]:
    taken = []
    for _ in range(count):
        due = time.monotonic() + 0.1
        taken.append(client.timed(short_sentence())[0] * 1000)
        time.sleep(max(0.0, due - time.monotonic()))
    return sorted(taken)


def _liveness(service: Service, *, clients: int, seconds: float = 10.0) -> tuple[list[float], int]:
    """The slower of two connections' answers, and how many sentences were spoken meanwhile."""
    stop = threading.Event()

    def speak(client: Client) -> int:
        spoken = 0
        while not stop.is_set():
            client.timed(ten_seconds())
            spoken += 1
        return spoken

    with ThreadPoolExecutor(max(1, clients)) as pool:
        speaking = [pool.submit(speak, service.client()) for _ in range(clients)]
        # Past the first sentences, when all of them wait.
        time.sleep(1.0)
        asking = [liveness_process.start(service.address[0], seconds) for _ in range(2)]
        found = [liveness_process.finish(each) for each in asking]
        stop.set()
        spoken = sum(each.result() for each in speaking)
    return max(found, key=lambda taken: taken[int(len(taken) * 0.99)]), spoken


def _identical(service: Service, text: str) -> tuple[int, int]:
    """How many of 64 answers were synthesized for themselves, and how many different bodies came."""
    clients = [service.client() for _ in range(64)]
    barrier = threading.Barrier(64)

    def ask(client: Client) -> tuple[str, int]:
        barrier.wait()
        answer = client.speak(text)
        answer.raise_for_status()
        return answer.headers["X-TTS-Cache-Status"], hash(answer.content)

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, clients))
    return sum(status == "miss" for status, _ in answers), len({body for _, body in answers})


def _span(start: str, end: str) -> float:
    began, ended = (datetime.fromisoformat(moment) for moment in (start, end))
    return (ended - began).total_seconds()
