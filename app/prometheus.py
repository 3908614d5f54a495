"""The figures as Prometheus reads them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.figures import Figures
from models.metrics import families
from models.metrics.families import Counter, Histogram
from models.metrics.reading import Counts


def page(figures: Figures, accept: str) -> tuple[bytes, str]:
    """The page in the text format that ``accept`` asks for, and its media type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(figures))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Collector(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for counter in families.COUNTERS:
            yield _counter(counter, self._figures.total)
        for histogram in families.HISTOGRAMS:
            yield _histogram(histogram, self._figures.total)
        yield from _queue(self._figures)
        yield from _workers(self._figures)
        yield from _machine(self._figures)


def _counter(family: Counter, counts: Counts) -> Metric:
    shown = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for series, value in sorted(counts.items()):
        if series[0] == family.name:
            shown.add_metric(series[2:], value * family.unit if family.unit != 1 else value)
    return shown


def _histogram(family: Histogram, counts: Counts) -> Metric:
    shown = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    parts: defaultdict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
    for (name, part, *labels), value in counts.items():
        if name == family.name:
            parts[tuple(labels)][part] = value
    bounds = [*map(str, family.bounds), "+Inf"]
    for values, found in sorted(parts.items()):
        reached = itertools.accumulate(found.get(bound, 0) for bound in bounds)
        shown.add_metric(values, list(zip(bounds, reached, strict=True)), found.get("sum", 0) * families.MILLI)
    return shown


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"voiceworks_{name}", text, labels=labels)


def _queue(figures: Figures) -> Iterator[Metric]:
    waiting = _gauge("lane_waiting_units", "Units of work that could start now.", "lane")
    oldest = _gauge("lane_oldest_waiting_seconds", "For how long the first of them could have started.", "lane")
    for lane, depth in figures.state.lanes.items():
        waiting.add_metric([lane], depth.units)
        oldest.add_metric([lane], depth.oldest_seconds)
    yield from (waiting, oldest)
    jobs = _gauge("jobs", "Jobs by kind and state.", "kind", "state")
    for labels, count in sorted(figures.state.jobs.items()):
        jobs.add_metric(labels, count)
    yield jobs
    sockets = _gauge("sockets_connected", "Websockets that are open, over all web processes.")
    sockets.add_metric([], figures.sockets)
    clips = _gauge("speech_cache_clips", "Texts whose speech is kept.")
    clips.add_metric([], figures.clips)
    size = _gauge("speech_cache_bytes", "Bytes of kept speech.")
    size.add_metric([], figures.clip_bytes)
    yield from (sockets, clips, size)


def _workers(figures: Figures) -> Iterator[Metric]:
    up = _gauge("worker_up", "1 for each worker that was heard of lately.", "node", "host", "device")
    busy = _gauge("worker_busy", "Whether it is at work.", "node")
    memory = _gauge("worker_memory_bytes", "Its resident memory.", "node")
    processor = _gauge("worker_cpu_percent", "Its share of one processor core.", "node")
    models = _gauge("model_loaded", "1 for each engine that a worker has loaded.", "node", "engine", "revision")
    gpu_used = _gauge("gpu_memory_used_bytes", "Memory in use of its GPU.", "node", "gpu")
    gpu_total = _gauge("gpu_memory_bytes", "Memory of its GPU.", "node", "gpu")
    gpu_busy = _gauge("gpu_utilization_percent", "How busy its GPU is.", "node", "gpu")
    for worker in figures.state.workers:
        node = worker.node
        up.add_metric([node, worker.host, worker.device], 1)
        busy.add_metric([node], worker.current_unit is not None)
        memory.add_metric([node], worker.memory_bytes)
        if worker.cpu_percent is not None:
            processor.add_metric([node], worker.cpu_percent)
        for engine, revision in sorted(worker.engines.items()):
            models.add_metric([node, engine, revision], 1)
        if worker.gpu is not None:
            name = worker.gpu["name"]
            gpu_used.add_metric([node, name], worker.gpu["memory_used_bytes"])
            gpu_total.add_metric([node, name], worker.gpu["memory_total_bytes"])
            gpu_busy.add_metric([node, name], worker.gpu["utilization_percent"])
    yield from (up, busy, memory, processor, models, gpu_used, gpu_total, gpu_busy)


def _machine(figures: Figures) -> Iterator[Metric]:
    info = _gauge("build_info", "The version that answers.", "version")
    info.add_metric([figures.version], 1)
    disk_used = _gauge("disk_used_bytes", "Used bytes of the disk that holds VAR_DIR.")
    disk_used.add_metric([], figures.disk.used_bytes)
    disk_free = _gauge("disk_free_bytes", "Bytes of that disk that can still be used.")
    disk_free.add_metric([], figures.disk.available_bytes)
    memory = _gauge("memory_used_ratio", "The share of the machine's memory that is in use.")
    memory.add_metric([], figures.memory.used_percent / 100)
    yield from (info, disk_used, disk_free, memory)
