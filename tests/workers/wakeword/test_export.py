"""Exported nets score as the trained ones do, in our runtime and in other people's."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import onnx
import torch

from workers.errors import BadInput
from workers.tts.onnx_session import open_session
from workers.wakeword import export, frontend_graph
from workers.wakeword.detector import Detector
from workers.wakeword.embedding_graph import packaged
from workers.wakeword.features import RATE_HZ, frontend
from workers.wakeword.nets import FRONTENDS, NetOptions, build

pytestmark = pytest.mark.slow

EVERYTHING = NetOptions(use_attention=True, use_se_block=True, use_tcn=True)


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of noise in a room that is never quite still."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    levels = random.choice([0.003, 0.02, 0.1, 0.3], count // 1600 + 1).repeat(1600)[:count]
    return np.clip(random.normal(0, 1, count) * levels, -1, 1).astype(np.float32)


def windows(model_type: str) -> torch.Tensor:
    front = frontend(FRONTENDS[model_type])
    frames = front.frames(speechlike(8))
    starts = range(0, len(frames) - front.window_frames, 8 if model_type != "embedding" else 1)
    return torch.from_numpy(np.stack([frames[start : start + front.window_frames] for start in starts]))


def trained(model_type: str, options: NetOptions) -> torch.nn.Module:
    """A net in training mode, whose normalisations have seen something and whose scores are spread over 0..1."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net, x = build(model_type, frontend(FRONTENDS[model_type]), options), windows(model_type)
    with torch.no_grad():
        for _ in range(30):
            net(x[torch.randperm(len(x))[:16]])
        logits = net.eval()(x)
        last = [module for module in net.modules() if isinstance(module, torch.nn.Linear)][-1]
        gain = 2 / logits.std()
        last.bias.copy_((last.bias - logits.mean()) * gain)
        last.weight.mul_(gain)
    return net.train()


@pytest.fixture(scope="module", params=["embedding", "embedding with everything", "tcresnet", "bcresnet"])
def exported(request: pytest.FixtureRequest) -> tuple[str, torch.nn.Module, bytes]:
    model_type = request.param.split()[0]
    net = trained(model_type, EVERYTHING if "everything" in request.param else NetOptions())
    return model_type, net, export.head_graph(net, frontend(FRONTENDS[model_type]))


def test_the_head_scores_as_the_net_does(exported: tuple[str, torch.nn.Module, bytes]) -> None:
    model_type, net, head = exported
    x = windows(model_type)
    with torch.no_grad():
        assert np.ptp(torch.sigmoid(net.eval()(x)).numpy()) > 0.5
    assert export.difference(net, head, x.numpy()) <= export.TOLERANCE
    # And the check would see another net.
    last = [module for module in net.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias.add_(0.1)
    assert export.difference(net, head, x.numpy()) > 0.01
    with torch.no_grad():
        last.bias.sub_(0.1)


def test_sound_in_score_out_equals_the_stream(exported: tuple[str, torch.nn.Module, bytes]) -> None:
    model_type, _, head = exported
    front = frontend(FRONTENDS[model_type])
    session = open_session(export.self_contained(head, front), 1)
    (given,) = session.get_inputs()
    assert (given.name, given.shape) == ("samples", [1, frontend_graph.window_samples(front)])
    assert [(out.name, out.shape) for out in session.get_outputs()] == [("score", [1, 1])]
    samples = speechlike(4)
    for score in Detector(head).feed(samples)[-6:]:
        end = round(score.time_seconds * RATE_HZ)
        (alone,) = session.run(None, {"samples": samples[None, end - given.shape[1] : end]})
        assert alone[0, 0] == pytest.approx(score.score, abs=export.TOLERANCE)


def test_files_are_small_and_say_nothing_of_our_source(exported: tuple[str, torch.nn.Module, bytes]) -> None:
    model_type, _, head = exported
    whole = export.self_contained(head, frontend(FRONTENDS[model_type]))
    assert len(head) < 1_000_000
    # With the 1.3 MB of the speech embedding inside, or whole below a megabyte.
    assert len(whole) < (2_000_000 if model_type == "embedding" else 1_000_000)
    for file in (head, whole):
        assert b"wakeword" not in file
        assert b".py" not in file
        model = onnx.load_from_string(file)
        assert not model.metadata_props
        assert (model.ir_version, model.opset_import[0].version) == (8, 18)


def test_exporting_leaves_the_net_in_training() -> None:
    net = trained("embedding", NetOptions())
    export.head_graph(net, frontend("embedding"), batch=1)
    assert all(module.training for module in net.modules())


# --- Other people's runtimes -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def for_others(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    path = tmp_path_factory.mktemp("heads") / "word.onnx"
    path.write_bytes(export.head_graph(trained("embedding", EVERYTHING), frontend("embedding"), batch=1))
    return str(path), path.read_bytes()


def test_the_head_has_the_shape_that_openwakeword_loads(for_others: tuple[str, bytes]) -> None:
    session = open_session(for_others[1], 1)
    assert [given.shape for given in session.get_inputs()] == [[1, 16, 96]]
    assert [given.shape for given in session.get_outputs()] == [[1, 1]]
    assert len(Detector(for_others[1]).feed(speechlike(2))) == 25


def test_openwakeword_scores_every_step_as_we_do(for_others: tuple[str, bytes]) -> None:
    openwakeword = pytest.importorskip("openwakeword.model")
    embedding = packaged()
    model = openwakeword.Model(
        wakeword_models=[for_others[0]],
        inference_framework="onnx",
        melspec_model_path=str(embedding.with_name("melspectrogram.onnx")),
        embedding_model_path=str(embedding),
    )
    samples = np.rint(speechlike(6) * 32767).astype(np.int16)
    theirs = [float(model.predict(samples[at : at + 1280])["word"]) for at in range(0, len(samples), 1280)]
    ours = [score.score for score in Detector(for_others[1]).feed(samples / np.float32(32768))]
    assert np.ptp(ours) > 0.01
    # It starts with noise instead of silence in its memory of two seconds and a bit.
    np.testing.assert_allclose(theirs[27:], ours[27:], atol=1e-3)


def test_the_packaged_onnx_runtime_scores_as_we_do(for_others: tuple[str, bytes]) -> None:
    from livekit.wakeword import WakeWordModel

    model = WakeWordModel(models=[for_others[0]])
    samples = speechlike(6)
    scores = {round(score.time_seconds / 0.08): score.score for score in Detector(for_others[1]).feed(samples)}
    for chunk in range(27, 75, 4):
        end = chunk * 1280
        # 196 frames, the first four steps into a chunk; 16-bit numbers, as openWakeWord's heads are trained on.
        heard = np.rint(samples[end - 25 * 1280 - 480 + 640 : end] * 32768).astype(np.float32)
        assert model.predict(heard)["word"] == pytest.approx(scores[chunk], abs=1e-3)


def test_the_embeddings_of_the_tflite_package_are_ours() -> None:
    package = pytest.importorskip("pyopen_wakeword")
    samples = np.rint(speechlike(5) * 32767).astype(np.int16)
    features = package.OpenWakeWordFeatures.from_builtin()
    # It counts its windows from the start of its first eight seconds, of silence; this brings both into step.
    padded = np.pad(samples, (1120, 12_800))
    pieces = [padded[at : at + 1280].tobytes() for at in range(0, len(padded) - 1279, 1280)]
    theirs = np.stack([found.ravel() for piece in pieces for found in features.process_streaming(piece)])
    ours = frontend("embedding").frames(samples / np.float32(32768))
    np.testing.assert_allclose(theirs[101:][9 : len(ours)], ours[9:], atol=1e-3)


# --- Checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_gives_the_same_net() -> None:
    net = trained("embedding", EVERYTHING)
    file = export.saved(net, "embedding", frontend("embedding"), EVERYTHING, word="alexa", threshold=0.7)
    kept = export.opened(file)
    x = torch.randn(4, 16, 96)
    assert torch.equal(kept.net(x), net.eval()(x))
    assert not kept.net.training
    assert kept.extra == {"word": "alexa", "threshold": 0.7}
    assert kept.description["options"]["use_tcn"] is True


class _Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('the file was executed')",)


def _torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        _torch_file(_Hostile()),
        _torch_file({"weights": {}, "net": _Hostile(), "extra": {}}),
        pickle.dumps(_Hostile()),
        _torch_file({"weights": {}, "net": {}, "extra": {}}),
        _torch_file([1, 2]),
        b"RIFF....WAVE",
        b"",
        export.saved(
            build("embedding", frontend("embedding"), NetOptions()), "embedding", frontend("embedding"), NetOptions()
        )[:5000],
    ],
    ids=["runs code", "code inside", "pickle", "empty net", "a list", "a wave", "nothing", "half"],
)
def test_a_file_that_is_no_checkpoint_is_refused_and_not_executed(file: bytes) -> None:
    with pytest.raises(BadInput, match="no checkpoint"):
        export.opened(file)
