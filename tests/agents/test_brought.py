"""Samples that users bring: what is read of each kind of file, and one line for what cannot be."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brought_files import eurosat, features, pictures
from PIL import Image
from small_fleets import group, model, scenario

from agents.data.datasets import load
from agents.models.vision import torchvision
from agents.plan import make_plan
from sim.errors import BadInput
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.scenario.text.content import content_digest


def asked(kind: str, file: Path, *groups: dict[str, Any], **data: Any) -> Scenario:
    return scenario(*groups, data={"set": kind, "file": str(file)} | data)


def test_a_table_of_features_is_read_as_it_stands(tmp_path: Path) -> None:
    data = load(asked("features", features(tmp_path / "a.csv")))
    again = load(asked("features", features(tmp_path / "a.parquet")))
    assert data.image_shape == (1, 1, 2)
    assert data.classes == 3
    assert np.array_equal(data.images, again.images)
    assert np.array_equal(data.labels, again.labels)


def test_archives_and_folders_hold_the_same_pictures(tmp_path: Path) -> None:
    shown = pictures(tmp_path / "a.npz", tmp_path / "a")
    archive = load(asked("npz", tmp_path / "a.npz"))
    folder = load(asked("image_folder", tmp_path / "a"))
    assert archive.image_shape == folder.image_shape == (1, 12, 12)
    assert np.array_equal(archive.pixels[:, 0], shown)
    assert folder.labels.tolist() == sorted(archive.labels.tolist())
    for one in range(3):
        assert np.array_equal(folder.pixels[folder.labels == one], archive.pixels[archive.labels == one])
    assert archive.images.max() <= 1.0


def test_channels_may_stand_last_and_floats_stay_what_they_are(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shown, labels = draw.normal(size=(20, 6, 5, 3)), np.arange(20) % 2
    np.savez(tmp_path / "a.npz", images=shown, labels=labels)
    np.savez(tmp_path / "b.npz", features=shown.reshape(20, -1), labels=labels)
    assert np.array_equal(
        load(asked("npz", tmp_path / "a.npz")).images, shown.transpose(0, 3, 1, 2).astype("f4")
    )
    assert load(asked("npz", tmp_path / "b.npz")).image_shape == (1, 1, 90)


def test_any_set_of_torchvision_is_read_from_its_files(tmp_path: Path) -> None:
    eurosat(tmp_path)
    data = load(asked("torchvision", tmp_path, name="EuroSAT", image_size=4))
    assert data.image_shape == (3, 4, 4)
    assert (data.size, data.classes) == (240, 10)


@pytest.mark.parametrize(
    ("default", "names", "read"),
    [
        ("train", ("train", "test"), ("train", "test")),
        ("trainval", ("trainval", "test"), ("test", "trainval")),
        ("trainval", ("train", "val", "trainval", "test"), ("train", "val", "test")),
        ("train-standard", ("train-standard", "val"), ("val", "train-standard")),
    ],
)
def test_a_set_without_a_part_train_gives_its_default_part(
    default: str,
    names: tuple[str, ...],
    read: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As OxfordIIITPet, FGVCAircraft and Places365 have theirs; none is read twice."""
    module = torchvision("datasets")

    class Parted:
        def __init__(self, split: str = default) -> None:
            if split not in names:
                raise ValueError(f"no split {split}")
            self.shade = names.index(split)

        def __len__(self) -> int:
            return 2

        def __getitem__(self, place: int) -> tuple[Image.Image, int]:
            return Image.new("L", (3, 3), self.shade), place

    monkeypatch.setattr(module, "EuroSAT", Parted)
    data = load(asked("torchvision", tmp_path, name="EuroSAT"))
    assert [names[shade] for shade in data.pixels[::2, 0, 0, 0]] == list(read)


def test_partitions_by_their_samples(tmp_path: Path) -> None:
    """Each variant trains on its own samples of the client pool; its clients meet its classes."""
    features(tmp_path / "a.csv")
    labels = load(asked("features", tmp_path / "a.csv")).labels
    lists = [np.flatnonzero(labels == 0).tolist(), np.flatnonzero(labels > 0).tolist()]
    (tmp_path / "p.json").write_text(json.dumps(lists))
    rows = "\n".join(f"{number},{one}" for number, ids in enumerate(lists) for one in ids)
    (tmp_path / "p.csv").write_text(f"partition,sample\n{rows}\n")
    plans = []
    for name in ("p.json", "p.csv"):
        cut = {"kind": "ids", "file": str(tmp_path / name)}
        mine = group(clients=4, partition=cut, model=model(variants=2), traffic={"mix": "own"})
        plans.append(make_plan(asked("features", tmp_path / "a.csv", mine)))
    plan = plans[0]
    for variant, ids in enumerate(plan.trains_on[0]):
        assert set(ids.tolist()) <= set(lists[variant]) & set(plan.pools.client.tolist())
        assert np.array_equal(ids, plans[1].trains_on[0][variant])
    met = np.diff(plan.phases[0][0].upto, axis=1, prepend=0.0)
    assert met[0].tolist() == [1.0, 0.0, 0.0]
    assert met[1][0] == 0.0


def test_flowers_partitioners_give_such_lists(tmp_path: Path) -> None:
    """Of the real package, where it is installed beside."""
    partitioners = pytest.importorskip("flwr_datasets.partitioner")
    datasets = pytest.importorskip("datasets")
    features(tmp_path / "a.csv")
    labels = load(asked("features", tmp_path / "a.csv")).labels.tolist()
    for partitioner in (
        partitioners.IidPartitioner(num_partitions=3),
        partitioners.DirichletPartitioner(
            num_partitions=3, partition_by="label", alpha=0.5, min_partition_size=5
        ),
        partitioners.PathologicalPartitioner(
            num_partitions=3, partition_by="label", num_classes_per_partition=2
        ),
        partitioners.ShardPartitioner(num_partitions=3, partition_by="label", num_shards_per_partition=2),
    ):
        partitioner.dataset = datasets.Dataset.from_dict(
            {"label": labels, "sample": list(range(len(labels)))}
        )
        lists = [list(partitioner.load_partition(number)["sample"]) for number in range(3)]
        (tmp_path / "p.json").write_text(json.dumps(lists))
        cut = {"kind": "ids", "file": str(tmp_path / "p.json")}
        asks = asked("features", tmp_path / "a.csv", group(partition=cut, model=model(variants=3)))
        assert list(findings(asks)) == []
        plan = make_plan(asks)
        for variant, ids in enumerate(plan.trains_on[0]):
            assert len(ids)
            assert set(ids.tolist()) <= set(lists[variant])


def test_a_changed_picture_is_another_scenario(tmp_path: Path) -> None:
    pictures(tmp_path / "a.npz", tmp_path / "a")
    plan = asked("image_folder", tmp_path / "a")
    before = content_digest(plan, {})
    Image.new("L", (12, 12)).save(tmp_path / "a/top/002.png")
    assert content_digest(plan, {}) != before


def test_a_folder_that_is_a_link_is_refused_by_reader_and_digest(tmp_path: Path) -> None:
    """What lies behind it could change and the digest would not."""
    pictures(tmp_path / "a.npz", tmp_path / "a")
    (tmp_path / "a/top").rename(tmp_path / "elsewhere")
    (tmp_path / "a/top").symlink_to(tmp_path / "elsewhere")
    plan = asked("image_folder", tmp_path / "a")
    for ask in (load, lambda plan: content_digest(plan, {})):
        with pytest.raises(BadInput, match='its folder "top" is a link'):
            ask(plan)


def test_an_empty_folder_changes_nothing(tmp_path: Path) -> None:
    """It is in no digest, so it must number no class either."""
    pictures(tmp_path / "a.npz", tmp_path / "a")
    before = load(asked("image_folder", tmp_path / "a"))
    (tmp_path / "a/aaa").mkdir()
    after = load(asked("image_folder", tmp_path / "a"))
    assert after.labels.tolist() == before.labels.tolist()
    (tmp_path / "b").mkdir()
    (tmp_path / "a").rename(tmp_path / "b/train")
    (tmp_path / "b/none").mkdir()
    assert load(asked("image_folder", tmp_path / "b")).labels.tolist() == before.labels.tolist()


def test_grey_of_sixteen_bits_is_scaled_to_bytes(tmp_path: Path) -> None:
    for one, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        shades = np.array([[0, 257, 128 * 257, 65535 - 257 * one]], dtype=np.uint16)
        Image.fromarray(shades).save(tmp_path / name / "x.png")
    data = load(asked("image_folder", tmp_path))
    assert data.image_shape == (1, 1, 4)
    assert data.pixels[:, 0, 0].tolist() == [[0, 1, 128, 255], [0, 1, 128, 254]]
    Image.fromarray(np.ones((1, 4), dtype=np.float32)).save(tmp_path / "a/x.tiff")
    with pytest.raises(BadInput, match="has a picture of mode F: must be grey of 8 or 16 bits"):
        load(asked("image_folder", tmp_path))


class Bomb:
    def __reduce__(self) -> Any:
        return (open, ("/tmp/l2h-fleet-unpickled", "w"))


def damaged(folder: Path) -> dict[str, tuple[Scenario, str]]:
    """What is wrong, and what is said of it."""
    pictures(folder / "a.npz", folder / "a")
    (folder / "a/top/002.png").write_bytes(b"no picture")
    np.savez(folder / "objects.npz", images=np.zeros((4, 2, 2)), labels=np.array([Bomb()] * 4, dtype=object))
    np.savez(folder / "alone.npz", images=np.zeros((4, 2, 2)))
    np.savez(folder / "nan.npz", features=np.array([[1.0], [np.nan]]), labels=np.array([0, 1]))
    np.savez(folder / "minus.npz", features=np.ones((2, 1)), labels=np.array([0, -1]))
    for size in (3, 4):
        (folder / "sizes" / str(size)).mkdir(parents=True)
        Image.new("L", (size, size)).save(folder / "sizes" / str(size) / "a.png")
    (folder / "b.csv").write_text("label,a\n0,1\n1,x\n")
    (folder / "c.csv").write_text("label,a\n0,1\n1\n")
    return {
        "a broken picture": (asked("image_folder", folder / "a"), "002.png is no picture that can be read"),
        "a pickle": (asked("npz", folder / "objects.npz"), "labels holds Python objects"),
        "no labels": (asked("npz", folder / "alone.npz"), "has images and no labels"),
        "NaN": (asked("npz", folder / "nan.npz"), "row 2: holds what is not a finite number"),
        "a class": (asked("npz", folder / "minus.npz"), "row 2: label is -1: must be a class"),
        "sizes": (
            asked("image_folder", folder / "sizes"),
            "has pictures of 3x3 and 4x4: data.image_size sets",
        ),
        "a word": (asked("features", folder / "b.csv"), 'line 3: a is "x": must be a number'),
        "a short row": (asked("features", folder / "c.csv"), "line 3: Expected 2 columns, got 1"),
        "no folder": (asked("image_folder", folder / "none"), "is no folder"),
        "no set": (asked("torchvision", folder, name="EuroSat"), "did you mean 'EuroSAT'?"),
        "not there": (asked("torchvision", folder, name="EuroSAT"), "not found"),
        "unpickles": (asked("torchvision", folder, name="CIFAR10"), "use set: cifar10"),
    }


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    for what, (plan, told) in damaged(tmp_path).items():
        with pytest.raises(BadInput) as caught:
            load(plan)
        assert told in str(caught.value), what
        assert "\n" not in str(caught.value)
    assert not Path("/tmp/l2h-fleet-unpickled").exists()


def test_torchvision_unpickles_nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eurosat(tmp_path)
    kind = torchvision("datasets").EuroSAT
    monkeypatch.setattr(kind, "__len__", lambda _self: pickle.loads(pickle.dumps(3)))
    with pytest.raises(BadInput, match="is a pickle, which could run anything"):
        load(asked("torchvision", tmp_path, name="EuroSAT", image_size=4))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[[0, 1], [2, 2]]", "partition 1 has sample 2 twice"),
        ("[[0, 1.5]]", "holds what is no number of a sample"),
        ('{"0": [1], "2": [3]}', "numbered 0, 1, 2, without a gap"),
        ('[["a"]]', "holds what is no number of a sample"),
        ("{", "cannot be read"),
        ("[[true, 0]]", "holds what is no number of a sample"),
        ('[["1", 0]]', "holds what is no number of a sample"),
        (f"[[1{'0' * 400}]]", "holds what is no number of a sample"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_wrong_list_of_samples_is_one_line(content: str, told: str, tmp_path: Path) -> None:
    features(tmp_path / "a.csv")
    (tmp_path / "p.json").write_text(content)
    cut = {"kind": "ids", "file": str(tmp_path / "p.json")}
    said = [str(one) for one in findings(asked("features", tmp_path / "a.csv", group(partition=cut)))]
    assert any(told in one for one in said), said


def test_a_sample_beyond_the_set_is_one_line(tmp_path: Path) -> None:
    features(tmp_path / "a.csv")
    (tmp_path / "p.json").write_text("[[0, 5000]]")
    cut = {"kind": "ids", "file": str(tmp_path / "p.json")}
    with pytest.raises(BadInput, match="partition 0 has sample 5000, and features has 300"):
        make_plan(asked("features", tmp_path / "a.csv", group(partition=cut)))
