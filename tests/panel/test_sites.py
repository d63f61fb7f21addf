"""Which site file the panel takes, and what it says where none fits."""

from __future__ import annotations

from importlib import resources

import pytest

pytest.importorskip("nion.swift")

from nionswift_plugin.iontransport.panel.sites import SITE_VARIABLE, chosen_site, mismatch

TEMPLATE = (resources.files("eels_iontransport") / "sites" / "hermes_template.toml").read_text("utf-8")
SIMULATOR = "HERMES (simulated)"


@pytest.fixture(autouse=True)
def no_own_site(monkeypatch):
    monkeypatch.delenv(SITE_VARIABLE, raising=False)


def test_the_simulator_without_a_file():
    site, problem = chosen_site()
    assert (site.name, problem) == (SIMULATOR, "")
    assert mismatch(site, SIMULATOR) == ""


def test_the_simulator_is_not_taken_for_another_microscope():
    sentence = mismatch(chosen_site()[0], "HERMES 100")
    assert sentence.startswith("There is no site file for HERMES 100: copy hermes_template.toml")


def test_the_laboratory_s_own_file(tmp_path, monkeypatch):
    path = tmp_path / "our_hermes.toml"
    path.write_text(TEMPLATE, "utf-8")
    monkeypatch.setenv(SITE_VARIABLE, str(path))
    site, problem = chosen_site()
    assert site.name.startswith("HERMES (CHANGE") and problem == ""
    assert mismatch(site, "HERMES 100") == ""


@pytest.mark.parametrize("content, part", [(None, "cannot be read"), ("name = ", "is not valid TOML")])
def test_a_file_that_cannot_be_used_is_said(tmp_path, monkeypatch, content, part):
    path = tmp_path / "our_hermes.toml"
    if content is not None:
        path.write_text(content, "utf-8")
    monkeypatch.setenv(SITE_VARIABLE, str(path))
    assert part in chosen_site()[1]
