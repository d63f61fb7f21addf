from __future__ import annotations

import csv
import json
import stat
from contextlib import nullcontext

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.files import export

NAN = float("nan")


@pytest.mark.parametrize(
    "content, expected",
    [
        ({"a": NAN, "b": [1.5, float("inf"), -float("inf")]}, {"a": None, "b": [1.5, None, None]}),
        ({"a": np.array([1.0, NAN]), "b": np.array([[1, 2]])}, {"a": [1.0, None], "b": [[1, 2]]}),
        ({"a": np.float64(NAN), "b": np.int64(3), "c": np.bool_(True)}, {"a": None, "b": 3, "c": True}),
        ({"a": (1, 2), "b": {"c": ((NAN,),)}}, {"a": [1, 2], "b": {"c": [[None]]}}),
        ({1: "µm ± 1", "n": None, "t": True}, {"1": "µm ± 1", "n": None, "t": True}),
    ],
)
def test_json_holds_null_where_a_number_is_not_finite(tmp_path, content, expected):
    path = tmp_path / "new" / "out.json"
    export.write_json(path, content)
    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail) == expected


def test_what_cannot_be_written_leaves_the_file_before_untouched(tmp_path):
    path = tmp_path / "out.json"
    export.write_json(path, {"run": 1})
    with pytest.raises(TypeError):
        export.write_json(path, {"run": object()})
    with pytest.raises(RuntimeError), export.whole_file(path) as part:
        part.write_text("half of")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"run": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_others_may_read_what_was_written(tmp_path):
    export.write_json(tmp_path / "out.json", {})
    (tmp_path / "plain").write_text("")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out.json", "plain")}
    assert len(modes) == 1


@pytest.mark.parametrize("place", ["file/out.json", "folder"])
def test_a_place_that_cannot_be_written_to(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(UnusableInput, match=f"{place}' cannot be written"):
        export.write_json(tmp_path / place, {})
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "inside"]


@pytest.mark.parametrize("place, fine", [("new/folder/out.json", True), ("file/out.json", False), ("folder", False)])
def test_a_place_is_tried_before_anybody_waits(tmp_path, place, fine):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with nullcontext() if fine else pytest.raises(UnusableInput, match="cannot be written"):
        export.require_place(tmp_path / place)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_profiles_become_columns(tmp_path):
    profiles = {"position_nm": [0.0, 0.5], "ldo_centre_mev": np.array([50.1, NAN]), "comment": "not a profile"}
    export.write_profiles(tmp_path / "out.csv", profiles)
    with open(tmp_path / "out.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"position_nm": "0.0", "ldo_centre_mev": "50.1"},
            {"position_nm": "0.5", "ldo_centre_mev": ""},
        ]
