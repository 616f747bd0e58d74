"""What `make paper` and `make bench` call different: clear changes, and no last bits."""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image

from benchmarks.exhibits import DOCS, EXHIBITS, differences
from benchmarks.short import BENCHMARKS, COMMITTED, lost

TABLE = b"window,accuracy,requests\nwhole run,0.8,1000\nbefore,,10\n"


def picture(ink: int) -> bytes:
    """White but for the first `ink` of a hundred columns."""
    dots = np.full((50, 100), 255, dtype=np.uint8)
    dots[:, :ink] = 0
    content = io.BytesIO()
    Image.fromarray(dots).save(content, "png")
    return content.getvalue()


def test_a_table_differs_where_a_number_is_off_by_more_than_the_tolerance():
    assert differences(TABLE, TABLE, ".csv") == []
    assert differences(TABLE, TABLE.replace(b"0.8", b"0.805").replace(b"1000", b"1015"), ".csv") == []
    assert differences(TABLE, TABLE.replace(b"0.8", b"0.83"), ".csv") == [
        "whole run, accuracy: 0.8, now 0.83"
    ]
    assert differences(TABLE, TABLE.replace(b"before,,", b"before,0.5,"), ".csv") != []
    assert differences(TABLE, TABLE.replace(b"before", b"after"), ".csv") == ["has other rows or columns"]


def test_a_picture_differs_where_many_dots_do():
    assert differences(picture(50), picture(52), ".png") == []
    assert differences(picture(50), picture(54), ".png") == ["4.0% of its dots differ"]


def test_every_exhibit_is_committed_and_is_alike_to_itself():
    for exhibit in EXHIBITS:
        file = DOCS / exhibit.file
        assert differences(file.read_bytes(), file.read_bytes(), file.suffix) == []


def test_a_ratio_that_fell_by_more_than_a_fifth_is_told():
    assert lost({"a": 10.0, "b": 2.0, "gone": 1.0}, {"a": 7.9, "b": 1.7, "new": 0.1}) == [
        "a: 7.9, committed 10"
    ]
    committed = json.loads(COMMITTED.read_text())
    assert set(committed) == {ratio.what for ratios in BENCHMARKS.values() for ratio in ratios}
