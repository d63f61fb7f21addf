"""The simulated HERMES as Swift devices: positions, settings, blanker, pace, and the stock simulator beside it."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from nion.instrumentation import Acquisition, DataChannel, scan_base, stem_controller
from nion.instrumentation.test import AcquisitionTestContext
from nion.swift import Facade
from nion.swift.test import TestContext
from nion.utils import Geometry, Registry

from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.simulation.camera import Camera
from eels_iontransport.simulation.microscope import SETTINGS, SimulatedMicroscope
from eels_iontransport.simulation.specimen import SURVEY_NM
from eels_iontransport.simulation.stability import STILL
from nionswift_plugin.iontransport_simulator.devices import Devices

TIME_SCALE = 100.0


class Session:
    """A document without a window on the simulated devices."""

    def __init__(self, devices: Devices, context: AcquisitionTestContext.AcquisitionTestContext) -> None:
        self.devices, self.context = devices, context
        self.microscope = devices.microscope
        self.stem = Registry.get_component("stem_controller")

    def pump(self, done, timeout_s: float = 30.0) -> None:
        end = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end, "the host did not get there in time"
            self.context.document_controller.periodic()
            time.sleep(0.005)

    def survey(self, fov_nm: float = SURVEY_NM, centre=(0.0, 0.0), rotation_rad: float = 0.0) -> np.ndarray:
        scan = self.stem.scan_controller
        parameters = scan.get_frame_parameters(0)
        parameters.fov_nm, parameters.pixel_size = fov_nm, (128, 128)
        parameters.center_nm, parameters.rotation_rad = centre, rotation_rad
        scan.set_current_frame_parameters(parameters)
        scan.start_playing(sync_timeout=10.0)
        data = scan.get_next_xdatas_to_finish(10.0)[0].data
        scan.stop_playing(sync_timeout=10.0)
        return data

    def sequence(self, exposure_s: float, frames: int) -> tuple[np.ndarray, tuple]:
        camera = self.stem.eels_camera
        parameters = camera.get_current_frame_parameters()
        parameters.exposure_ms, parameters.processing = 1000.0 * exposure_s, "sum_project"
        camera.set_current_frame_parameters(parameters)
        camera.acquire_sequence_prepare(frames)
        return camera.acquire_sequence(frames)[0]["data"], camera.get_camera_calibrations(parameters)

    def park(self, y: float, x: float) -> None:
        self.stem.set_probe_position(Geometry.FloatPoint(y, x))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    microscope = SimulatedMicroscope(
        seed=5, time_scale=TIME_SCALE, stability=STILL, camera=Camera(read_noise_counts=0.0)
    )
    yield from _session(Devices(microscope, str(tmp_path)))


class DevicesBesideStock(Devices):
    """Registered together with the devices of the stock simulator, before or after them."""

    stock_first = False

    def run(self) -> None:
        device_configuration = pytest.importorskip("nion.usim_device.DeviceConfiguration")
        self.stock = device_configuration.AcquisitionContextConfiguration(set_configuration_location=False)
        for run in (self.stock.run, super().run) if self.stock_first else (super().run, self.stock.run):
            run()

    def stop(self) -> None:
        super().stop()
        self.stock.stop()


@pytest.fixture(params=["stock first", "stock last"])
def session_beside_stock(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Session]:
    devices = DevicesBesideStock(SimulatedMicroscope(seed=5, time_scale=TIME_SCALE), str(tmp_path))
    devices.stock_first = request.param == "stock first"
    yield from _session(devices)


def _session(devices: Devices) -> Iterator[Session]:
    Facade.initialize()
    setup = TestContext.TestSetup()
    with AcquisitionTestContext.AcquisitionTestContext(devices, is_eels=True) as context:
        session = Session(devices, context)
        yield session
        context.document_controller.periodic()
    del setup, session, context
    gc.collect()


def _energy_of_maximum(counts: np.ndarray, calibration) -> float:
    return calibration.offset + calibration.scale * int(counts.argmax())


@pytest.mark.parametrize("setting", ["vibrational", "valence"])
def test_settings_change_the_axis_and_leave_the_zero_loss_peak_at_zero(session, setting):
    session.survey()
    session.park(0.5, 0.1)
    dispersion, offset = SETTINGS[setting]
    assert session.stem.SetVal("EELS_eVPerChannel", dispersion) and session.stem.SetVal("ZLPoffset", offset)
    data, calibrations = session.sequence(0.01, 2)
    assert data.shape == (2, 2048)
    assert calibrations[-1].units == "eV"
    assert calibrations[-1].scale == pytest.approx(dispersion) and calibrations[-1].offset == pytest.approx(offset)
    assert abs(_energy_of_maximum(data.sum(0), calibrations[-1])) <= 1.01 * dispersion


def test_counts_follow_from_current_exposure_and_gain(session):
    session.survey()
    session.park(0.5, 0.02)
    session.stem.SetVal("BeamCurrent", 10e-12)
    data, _ = session.sequence(0.05, 1)
    electrons = 10e-12 * 0.05 / 1.602176634e-19
    assert data.sum() == pytest.approx(electrons * session.microscope.camera.counts_per_electron, rel=0.02)


def test_all_devices_are_ours_beside_the_stock_simulator(session_beside_stock):
    session = session_beside_stock
    assert session.devices.is_in_use()
    assert len(Registry.get_components_by_type("stem_controller")) == 2
    image = session.survey()
    assert image[:, :40].mean() < 50 < image[:, 80:].mean()
    session.park(0.5, 0.1)
    data, _ = session.sequence(0.01, 1)
    assert data.shape == (1, 2048)


def test_another_microscope_goes_first(session):
    class Other(stem_controller.STEMController):
        instrument_id = "some_other_microscope"

    other = Other()
    Registry.register_component(other, {"stem_controller"})
    try:
        assert Registry.get_component("stem_controller") is other
        assert not session.devices.is_in_use()
    finally:
        Registry.unregister_component(other, {"stem_controller"})
        other.close()


def test_blanked_frames_are_dark(session):
    session.survey()
    session.park(0.5, 0.6)
    session.stem.SetVal("C_Blank", 1.0)
    data, _ = session.sequence(0.05, 1)
    assert np.all(data == 0)
    assert abs(session.survey().mean()) < 5


def test_frames_say_gain_saturation_and_settings(session):
    session.survey()
    session.park(0.5, 0.1)
    camera = session.stem.eels_camera
    camera.start_playing(sync_timeout=5.0)
    frame = camera.get_next_xdatas_to_finish(5.0)[-1]
    camera.stop_playing(sync_timeout=5.0)
    assert frame.data_shape == (2048,)
    assert frame.metadata["hardware_source"]["counts_per_electron"] == session.microscope.camera.counts_per_electron
    assert frame.metadata["hardware_source"]["exposure"] == pytest.approx(0.1)
    properties = frame.metadata["instrument"]
    assert properties["eels_saturation_counts"] == session.microscope.camera.saturation_level_counts
    assert properties["beam_current_pa"] == pytest.approx(20.0)


def test_exposures_pass_faster_than_the_wall_clock(session):
    session.survey()
    session.park(0.5, 0.1)
    before = session.microscope.clock.now_s
    started = time.perf_counter()
    session.sequence(0.5, 10)
    assert time.perf_counter() - started < 2.0
    assert session.microscope.clock.now_s - before >= 5.0


@pytest.mark.parametrize("value", [0.0, -0.4, math.nan])
def test_impossible_dispersions_are_refused(session, value):
    assert not session.stem.SetVal("EELS_eVPerChannel", value)
    assert session.stem.GetVal("EELS_eVPerChannel") == SETTINGS["vibrational"][0]


def test_unknown_controls_are_not_there(session):
    assert session.stem.TryGetVal("NoSuchControl") == (False, None)
    assert not session.stem.SetVal("NoSuchControl", 1.0)
    assert not session.stem.SetVal("EELS_SaturationLevel", 1.0)


@pytest.mark.parametrize("rotation", [0.0, 0.4])
def test_the_parked_probe_is_where_the_image_shows_it(session, rotation):
    image = session.survey(centre=(10.0, -20.0), rotation_rad=rotation)
    for y, x in ((0.3, 0.2), (0.5, 0.45), (0.6, 0.9)):
        session.park(y, x)
        seen = _visited(session, lambda: session.sequence(0.001, 1))[-1]
        inside = seen.x_nm > session.microscope.specimen.edge_x_nm
        assert (image[int(128 * y), int(128 * x)] > 300) == inside


@pytest.mark.parametrize(
    ("start", "end", "rotation"),
    [((0.5, 0.1), (0.5, 0.9), 0.0), ((0.2, 0.3), (0.7, 0.6), 0.0), ((0.3, 0.4), (0.6, 0.8), 0.3)],
)
def test_spectrum_i_of_a_synchronized_line_is_taken_at_pixel_i(session, start, end, rotation):
    pixels = 12
    session.survey(fov_nm=200.0, rotation_rad=rotation)
    scan, camera = session.stem.scan_controller, session.stem.eels_camera
    visited = _visited(session, lambda: _run_line(session, scan, camera, start, end, pixels))
    field = Field(200.0, 200.0, rotation_rad=rotation)
    for i, seen in enumerate(visited[-pixels:]):
        expected = field.point(tuple(a + i * (b - a) / pixels for a, b in zip(start, end)))
        assert math.hypot(seen.x_nm - expected.x_nm, seen.y_nm - expected.y_nm) < 1e-6 * 200


def _visited(session: Session, action) -> list[Point]:
    """Where frames were taken while `action` ran."""
    microscope, places = session.microscope, []
    frame = microscope.frame

    def noted(position: Point, exposure_s: float) -> np.ndarray:
        places.append(position)
        return frame(position, exposure_s)

    microscope.frame = noted
    try:
        action()
    finally:
        del microscope.frame
    return places


def _run_line(session, scan, camera, start, end, pixels) -> None:
    context = scan.scan_context
    scan_parameters = scan.get_frame_parameters(2)
    scan_parameters.pixel_size, scan_parameters.fov_nm = context.size, context.fov_nm
    scan_parameters.center_nm, scan_parameters.rotation_rad = context.center_nm, context.rotation_rad
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    scan_parameters.subscan_pixel_size = Geometry.IntSize(1, pixels)
    scan_parameters.subscan_fractional_size = Geometry.FloatSize(1 / context.size.height, length)
    scan_parameters.subscan_fractional_center = Geometry.midpoint(start, end)
    scan_parameters.subscan_rotation = -math.atan2(end[0] - start[0], end[1] - start[1])
    camera_parameters = camera.get_frame_parameters(0)
    camera_parameters.exposure_ms, camera_parameters.processing = 500.0, "sum_project"
    stream = scan_base.make_synchronized_scan_data_stream(
        scan_hardware_source=scan,
        scan_frame_parameters=scan_parameters,
        camera_hardware_source=camera,
        camera_frame_parameters=camera_parameters,
    )
    names = {
        Acquisition.Channel(camera.hardware_source_id): "EELS",
        Acquisition.Channel(scan.hardware_source_id, "0"): "HAADF",
    }
    channel = DataChannel.DataItemDataChannel(session.context.document_model, "Line", names)
    framer = Acquisition.Framer(channel)
    stream.attach_root_data_handler(Acquisition.FramedDataHandler(framer))
    acquisition = Acquisition.Acquisition(stream, framer)
    done = []
    Acquisition.session_manager.begin_acquisition(session.context.document_model)
    acquisition.acquire_async(
        event_loop=session.context.document_controller.event_loop,
        on_completion=lambda: done.append(True),
        error_handler=lambda error: done.append(error),
    )
    session.pump(lambda: bool(done))
    assert done == [True]
