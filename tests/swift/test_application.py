"""Starting the host on a folder of its own: what cannot be used is said, and the user's settings are left alone."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("nion.swift")

from eels_iontransport.data.errors import UnusableInput
from nionswift_plugin.iontransport.host.application import _FolderSettings, open_profile


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "results"
    path.write_text("occupied")
    with pytest.raises(UnusableInput, match="results cannot be used for a project"):
        open_profile(path, "Ion Transport", None)


def test_settings_of_the_window_lie_in_the_folder(tmp_path):
    settings = _FolderSettings(tmp_path / "results")
    assert settings.get_string("3/Geometry") == (False, "")
    settings.set_string("3/Geometry", "00ff")
    assert _FolderSettings(tmp_path / "results").get_string("3/Geometry") == (True, "00ff")
    assert settings.remove_key("3/Geometry") and not settings.remove_key("3/Geometry")
    assert json.loads((tmp_path / "results" / "window.json").read_text()) == {}


@pytest.mark.parametrize("content", ["", "not json", "[]"])
def test_settings_that_cannot_be_read_are_forgotten(tmp_path, content):
    (tmp_path / "window.json").write_text(content)
    assert _FolderSettings(tmp_path).get_string("3/Geometry") == (False, "")
