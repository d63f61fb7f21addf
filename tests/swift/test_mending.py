"""What is mended in the host."""

from __future__ import annotations

import asyncio
import threading

import pytest

pytest.importorskip("nion.swift")

from nion.swift import Application, DataPanel

from nionswift_plugin.iontransport.host import mending
from nionswift_plugin.iontransport.host.mending import mend_data_panel, update_on_main_thread


class Canvas:
    def __init__(self) -> None:
        self.updated_in: list[threading.Thread] = []

    def update(self) -> None:
        self.updated_in.append(threading.current_thread())


def in_a_thread(action) -> None:
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


@pytest.mark.parametrize("closed", [False, True])
def test_a_thread_leaves_the_update_to_the_main_thread(closed):
    loop = asyncio.new_event_loop()

    class Cell(Canvas):
        pass

    update_on_main_thread(Cell, lambda: loop)
    update_on_main_thread(Cell, lambda: loop)
    cell = Cell()
    if closed:
        loop.close()
    in_a_thread(cell.update)
    assert cell.updated_in == []
    if not closed:
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        assert cell.updated_in == [threading.main_thread()]
    cell.update()
    assert cell.updated_in[-1] is threading.main_thread()


def test_without_an_application_it_is_done_where_it_is_asked():
    class Cell(Canvas):
        pass

    update_on_main_thread(Cell, lambda: None)
    cell = Cell()
    in_a_thread(cell.update)
    assert len(cell.updated_in) == 1


def test_an_application_that_has_no_loop_any_more_is_none(monkeypatch):
    class Closed:
        @property
        def event_loop(self) -> None:
            raise AssertionError

    for app in (None, Closed()):
        monkeypatch.setattr(Application, "app", app)
        assert mending._event_loop() is None


def test_the_cells_of_the_data_panel_are_mended():
    mend_data_panel()
    assert "update" in vars(DataPanel.DataPanelItemBaseCanvasItem)
