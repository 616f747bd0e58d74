"""Models that users bring, by file or as objects: what they answer, untrained, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from brought_files import linear_onnx
from safetensors.torch import save_file
from small_fleets import group, learn, model, scenario
from torch import Tensor

from agents.brought_names import libraries_of
from agents.checks import validate
from agents.fleet import open_fleet
from agents.models import frozen, library_models, model_files, own_models
from agents.models.families import new_model
from agents.models.vision import torchvision
from agents.plan import make_plan
from agents.server.model import ServerModel
from commands import one_run
from commands.progress import Quiet
from sim.errors import BadInput
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings

SHAPE, CLASSES = (1, 8, 8), 10


def weights(family: str = "linear", seed: int = 3) -> dict[str, Tensor]:
    return {
        name: one.clone().contiguous()
        for name, one in new_model(family, SHAPE, CLASSES, seed).state_dict().items()
    }


def asked(client: str | None = None, server: str | None = None, **changes: Any) -> Scenario:
    plan = scenario(group(model=model(file=client, **changes.pop("model", {})), **changes))
    served = plan.server.model.model_copy(update={"file": server, "family": "linear"})
    return plan.model_copy(update={"server": plan.server.model_copy(update={"model": served})})


def labels_of(state: dict[str, Tensor], images: np.ndarray) -> list[int]:
    flat = torch.from_numpy(images).flatten(start_dim=1)
    return (flat @ state["head.weight"].T + state["head.bias"]).argmax(dim=1).tolist()


@pytest.fixture
def nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_given: Any, **_named: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(frozen, "train", never)
    monkeypatch.setattr(ServerModel, "_step", never)


@pytest.mark.usefixtures("nothing_trains")
def test_every_kind_of_file_gives_the_same_answers(tmp_path: Path, cache: Path) -> None:
    client, server = weights(seed=3), weights(seed=4)
    save_file(client, tmp_path / "a.safetensors")
    torch.save(client, tmp_path / "a.pt")
    torch.save({"epoch": 3, "state_dict": client}, tmp_path / "a.pth")
    linear_onnx(tmp_path / "a.onnx", client)
    linear_onnx(tmp_path / "b.onnx", client, flat=False)
    save_file(server, tmp_path / "server.safetensors")
    for name in ("a.safetensors", "a.pt", "a.pth", "a.onnx", "b.onnx"):
        plan = asked(str(tmp_path / name), str(tmp_path / "server.safetensors"))
        validate(plan)
        learned = learn(plan, cache)
        images = make_plan(plan).images[learned.samples.sample_id]
        assert learned.tables.groups[0].client_label[0].tolist() == labels_of(client, images), name
        assert learned.tables.server_label.tolist() == labels_of(server, images)
        assert set(learned.learning["stage"]) == {"rejector"}
        assert learned.partitions["group"] == []


def test_a_trained_server_and_clients_of_ones_own_go_together(tmp_path: Path, cache: Path) -> None:
    save_file(weights(), tmp_path / "a.safetensors")
    learned = learn(asked(str(tmp_path / "a.safetensors")), cache)
    assert set(learned.learning["stage"]) == {"server", "rejector"}


def test_a_checkpoint_of_torchvision_is_read_by_its_own_names(tmp_path: Path) -> None:
    network = torchvision("models").get_model("resnet18", weights=None, num_classes=CLASSES)
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    scaling = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
    changes = {"family": "torchvision:resnet18", "image_size": 32, "scaling": scaling}
    plan = make_plan(asked(str(tmp_path / "resnet18.pth"), model=changes))
    ask = model_files.read_model(plan, "fleet.sensors", str(tmp_path / "resnet18.pth"), "path")
    images = plan.images[np.arange(3)]
    logits, features = ask(images)
    seen = (torch.from_numpy(images) - torch.tensor(scaling["mean"])[:, None, None]) / torch.tensor(
        scaling["std"]
    )[:, None, None]
    seen = torch.nn.functional.interpolate(seen, (32, 32), mode="bilinear", antialias=True)
    with torch.no_grad():
        told = network.eval()(seen)
    torch.testing.assert_close(logits, told)
    assert features.shape == (3, 512)


def test_a_checkpoint_of_timm_is_read_by_its_own_names(tmp_path: Path) -> None:
    torchvision("models")
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet10t", pretrained=False, num_classes=CLASSES)
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    plan = make_plan(
        asked(str(tmp_path / "a.safetensors"), model={"family": "timm:resnet10t", "image_size": 32})
    )
    ask = model_files.read_model(plan, "fleet.sensors", str(tmp_path / "a.safetensors"), "path")
    images = plan.images[np.arange(3)]
    seen = torch.nn.functional.interpolate(
        torch.from_numpy(images).expand(-1, 3, -1, -1), (32, 32), mode="bilinear", antialias=True
    )
    with torch.no_grad():
        told = network.eval()(seen)
    torch.testing.assert_close(ask(images)[0], told)


def test_a_library_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_models, "find_spec", lambda _name: None)
    with pytest.raises(BadInput, match="needs timm: pip install timm"):
        validate(asked(None, model={"family": "timm:resnet10t"}))


class Half:
    """Knows three of the classes, as a classifier of scikit-learn that met no others."""

    classes_ = np.array([1, 4, 7])

    def predict_proba(self, numbers: np.ndarray) -> np.ndarray:
        assert numbers.shape[1] == 64
        sure = 1 / (1 + np.exp(-numbers[:, 20]))
        return np.stack([sure, 1 - sure, np.zeros(len(numbers))], axis=1)


@pytest.mark.usefixtures("nothing_trains")
def test_objects_of_python_answer_in_their_place(cache: Path) -> None:
    state = weights(seed=4)

    def server(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = images.reshape(len(images), -1)
        return flat @ state["head.weight"].numpy().T + state["head.bias"].numpy(), flat

    with open_fleet(
        asked(), workers=0, cache=cache, models={"fleet.sensors": Half(), "server": server}
    ) as fleet:
        fleet.build()
        fleet.learn()
        learned = fleet.decide()
        assert set(learned.tables.groups[0].client_label[0]) <= {1, 4}
        images = make_plan(asked()).images[learned.samples.sample_id]
        assert learned.tables.server_label.tolist() == labels_of(state, images)
        assert fleet.client_hashes() == learned.client_hashes
        (hosted,) = fleet._backend._shard._models.values()
        hosted.weights["logits"] = hosted.weights["logits"] + 1
        assert fleet.client_hashes() != learned.client_hashes


def test_whole_runs_know_what_objects_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another object is learned from anew, and does not resume what the first began."""
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))

    def play(answer: int, resume: bool = False) -> float:
        def always(images: np.ndarray) -> np.ndarray:
            return np.eye(CLASSES)[np.full(len(images), answer)]

        given = {"models": {"fleet.sensors": always}, "pictures": False, "resume": resume}
        one_run.execute(asked(), "", tmp_path / "run", True, 0, None, Quiet(), **given)
        rows = pd.concat(map(pd.read_parquet, (tmp_path / "run/requests").glob("*.parquet")))
        assert set(rows["client_label"]) <= {answer, -1}
        return json.loads((tmp_path / "run/summary.json").read_text())["accuracy"]["held_out"][
            "client_accuracy"
        ]

    assert play(3) != play(5)
    with pytest.raises(BadInput):
        play(6, resume=True)


@pytest.mark.usefixtures("nothing_trains")
def test_weights_of_any_floats_are_read_and_others_are_one_line(tmp_path: Path) -> None:
    state, answers = weights(), []
    plan = make_plan(asked(str(tmp_path / "a.pt")))
    for kind in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        torch.save({name: one.to(kind) for name, one in state.items()}, tmp_path / "a.pt")
        ask = model_files.read_model(plan, "fleet.sensors", str(tmp_path / "a.pt"), "path")
        answers.append(ask(plan.images[:5])[0])
        assert answers[-1].dtype == torch.float32
    assert torch.equal(answers[0], answers[1])
    for wrong in (torch.int64, torch.complex64, torch.bool):
        torch.save(state | {"head.bias": torch.zeros(CLASSES, dtype=wrong)}, tmp_path / "a.pt")
        told = str(wrong).removeprefix("torch.")
        with pytest.raises(BadInput, match=rf"^path: 'head\.bias' holds {told}, and linear needs floats$"):
            model_files.read_model(plan, "fleet.sensors", str(tmp_path / "a.pt"), "path")


def test_probabilities_or_logits_is_decided_over_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of a chunk that look like probabilities by chance stay what they are."""
    monkeypatch.setattr(own_models, "CHUNK", 4)
    plan, asked_for = make_plan(asked(), {"server": None}), []

    def say(images: np.ndarray) -> np.ndarray:
        asked_for.append(len(images))
        row = np.eye(CLASSES)[1] if len(asked_for) == 1 else 3.0 * np.eye(CLASSES)[2]
        return np.tile(row, (len(images), 1))

    said = own_models.answers_of(plan, {"server": say})["server"]["logits"]
    assert len(asked_for) > 1
    assert said[0].tolist() == np.eye(CLASSES)[1].tolist()
    assert said.min() == 0.0


@pytest.mark.parametrize("features", [np.float64(1e300), "text"])
def test_what_32_bits_do_not_hold_is_one_line(features: Any) -> None:
    plan = make_plan(asked(), {"server": None})

    def say(images: np.ndarray) -> Any:
        return np.zeros((len(images), CLASSES)), np.full((len(images), 2), features)

    with pytest.raises(BadInput, match=r"^models: server: its features must be finite numbers"):
        own_models.require_own(plan, {"server": say})
    with pytest.raises(BadInput, match=r"^models: server: an answer is not a finite number"):
        own_models.require_own(plan, {"server": lambda images: np.full((len(images), CLASSES), 1e300)})


class Bomb:
    def __reduce__(self) -> Any:
        return (open, ("/tmp/l2h-fleet-unpickled", "w"))


def test_what_is_no_such_model_is_one_line(tmp_path: Path) -> None:
    state = weights()
    torch.save(Bomb(), tmp_path / "bomb.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    save_file({**state, "more": torch.zeros(1)}, tmp_path / "more.safetensors")
    save_file({"head.weight": state["head.weight"]}, tmp_path / "less.safetensors")
    save_file({**state, "head.bias": torch.zeros(3)}, tmp_path / "shape.safetensors")
    save_file({**state, "head.bias": torch.full((10,), torch.nan)}, tmp_path / "nan.safetensors")
    linear_onnx(tmp_path / "three.onnx", {"head.weight": torch.zeros(3, 64), "head.bias": torch.zeros(3)})
    for name, told in {
        "bomb.pt": "only unpickling could read it",
        "module.pt": "only unpickling could read it",
        "none.pt": "cannot be read: no such file",
        "broken.safetensors": "cannot be read",
        "broken.onnx": "cannot be read",
        "more.safetensors": "'more' is no weight of linear",
        "less.safetensors": "has no 'head.bias', which linear needs",
        "shape.safetensors": "'head.bias' is (3,), and linear for these data needs (10,)",
        "nan.safetensors": "'head.bias' has a weight that is not a finite number",
        "three.onnx": "none is (samples, 10)",
    }.items():
        with pytest.raises(BadInput) as caught:
            validate(asked(str(tmp_path / name)))
        assert told in str(caught.value), name
        assert "\n" not in str(caught.value)
    assert not Path("/tmp/l2h-fleet-unpickled").exists()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (lambda n: np.zeros((n, 3)), "must be numbers, (1, 10)"),
        (lambda n: np.full((n, 10), np.nan), "an answer is not a finite number"),
        (lambda n: (np.zeros((n, 10)), np.zeros(n)), "its features must be finite numbers"),
    ],
)
def test_an_object_that_answers_nonsense_is_one_line(said: Any, told: str) -> None:
    with (
        pytest.raises(BadInput, match=r"^models: fleet\.sensors: ") as caught,
        open_fleet(asked(), workers=0, models={"fleet.sensors": lambda images: said(len(images))}),
    ):
        pass
    assert told in str(caught.value)


def test_probabilities_that_do_not_sum_to_one_are_refused() -> None:
    wrong = type("Wrong", (), {"predict_proba": lambda _self, x: np.full((len(x), 10), 0.3)})()
    for models, told in (
        ({"server": wrong}, "do not sum to one"),
        ({"fleet.nobody": wrong}, "is neither of"),
    ):
        with pytest.raises(BadInput, match=told), open_fleet(asked(), workers=0, models=models):
            pass


def test_a_model_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(weights(), tmp_path / "a.safetensors")
    monkeypatch.setattr(model_files, "installed_bytes", lambda: 1000)
    monkeypatch.setattr(model_files, "load_file", None)
    with pytest.raises(BadInput, match="of memory: this machine has"):
        validate(asked(str(tmp_path / "a.safetensors")))


def test_the_libraries_of_brought_models_are_known_by_their_versions() -> None:
    assert libraries_of(asked()) == {}
    assert libraries_of(asked("a.onnx")) == {"onnxruntime": onnxruntime.__version__}


def test_rules_of_own_models() -> None:
    for plan, told in (
        (asked("a.bin"), "must end in .safetensors, .pt, .pth, .onnx"),
        (asked("a.pt", clients=3, model={"variants": 2}), "a file is one model: must be 1"),
        (asked(None, model={"scaling": {"mean": (0.5,), "std": (0.5,)}}), "needs file"),
    ):
        said = [str(one) for one in findings(plan)]
        assert any(told in one for one in said), said


@pytest.mark.slow
@pytest.mark.ray
def test_the_law_of_workers_holds_for_own_models(tmp_path: Path, cache: Path) -> None:
    save_file(weights(), tmp_path / "a.safetensors")
    linear_onnx(tmp_path / "server.onnx", weights(seed=4))
    plan, made = asked(str(tmp_path / "a.safetensors"), str(tmp_path / "server.onnx")), []
    for workers in (0, 2):
        with open_fleet(plan, workers=workers, cache=cache) as fleet:
            fleet.build()
            fleet.learn()
            learned = fleet.decide()
            made.append(
                (learned.tables.groups[0].score.tobytes(), fleet.client_hashes(), repr(learned.study))
            )
    assert made[0] == made[1]
