"""A spectrogram transformer from a folder, tried on a tiny random one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

# transformers imports torchaudio, so this comes first.
from workers import plain_torchaudio  # noqa: F401  # isort: skip
from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

from workers.errors import BadInput
from workers.wakeword import export
from workers.wakeword.detector import Detector
from workers.wakeword.nets import NetOptions, build, parameters
from workers.wakeword.spectrogram_transformer import SAMPLES, SpectrogramTransformer, Whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("ast")
    tiny = ASTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    model = ASTModel(tiny)
    torch.nn.init.normal_(model.embeddings.position_embeddings)
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def transformer(folder: Path) -> SpectrogramTransformer:
    return SpectrogramTransformer(folder)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_it_sees_the_spectrum_that_transformers_makes(transformer: SpectrogramTransformer) -> None:
    samples = noise(SAMPLES)
    theirs = ASTFeatureExtractor(max_length=198)(samples, sampling_rate=16_000, return_tensors="pt")["input_values"]
    ours = transformer.spectrum(torch.from_numpy(samples)[None])
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_two_seconds_are_a_sequence_whose_order_is_that_of_time(transformer: SpectrogramTransformer) -> None:
    samples = noise(SAMPLES) * 0.01
    with_burst = samples.copy()
    with_burst[12_000:13_000] += noise(1000, 1) * 5
    frames = transformer.frames(with_burst)
    assert frames.shape == (19, 32)
    changed = np.abs(frames - transformer.frames(samples)).max(axis=1)
    # 12,500 samples are 0.78 s in; a patch is 0.16 s every 0.1 s.
    assert np.argmax(changed) in (6, 7, 8)


def test_the_middle_of_the_learned_places_is_kept(folder: Path, transformer: SpectrogramTransformer) -> None:
    places = ASTModel.from_pretrained(folder).embeddings.position_embeddings[0, 2:].reshape(12, 101, 32)
    kept = transformer.net.embeddings.position_embeddings[0, 2:].reshape(12, 19, 32)
    assert torch.equal(kept, places[:, 41:60])


def test_clips_together_give_what_each_gives_alone(transformer: SpectrogramTransformer) -> None:
    clips = [noise(SAMPLES, 1), noise(100), noise(SAMPLES * 3 + 500, 2)]
    together = transformer.batch(clips)
    assert [len(frames) for frames in together] == [19, 0, 57]
    np.testing.assert_allclose(together[2][19:38], transformer.frames(clips[2][SAMPLES : SAMPLES * 2]), atol=1e-5)


def test_only_the_head_learns_and_the_whole_becomes_one_file(transformer: SpectrogramTransformer) -> None:
    head = build("ast", transformer, NetOptions(use_tcn=True, use_attention=True)).eval()
    assert parameters(transformer) == 0
    assert parameters(head) > 0
    detector = Detector(export.whole_graph(Whole(transformer, head), SAMPLES))
    samples = noise(SAMPLES * 2)
    last = detector.feed(samples)[-1]
    with torch.no_grad():
        expected = torch.sigmoid(head(transformer(torch.from_numpy(samples[None, -SAMPLES:]))))
    # The detector hears 16-bit sound.
    assert last.score == pytest.approx(expected.item(), abs=1e-3)


def test_without_weights_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no spectrogram transformer in .*no config.json") as refused:
        SpectrogramTransformer(tmp_path)
    assert refused.value.code == "no_ast_weights"
    ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="cannot be loaded"):
        SpectrogramTransformer(tmp_path)
