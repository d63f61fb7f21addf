"""A specimen that drifts and a zero-loss peak that wanders are followed between rows, or the run ends in a sentence."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire.drift import DriftSettings
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending, State
from eels_iontransport.acquire.plan import Engine, Plan, Step, Watching
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.site import Range
from eels_iontransport.acquire.zero_follow import zero_position
from eels_iontransport.data.record import Role

from .fake import START, FakeMicroscope, line, plan, site
from .test_pauses import Seen
from .test_runner import at

DRIFT = DriftSettings(every_s=5.0, area_nm=32.0, pixels=96, rate_limit_nm_per_min=100.0)
AREA = line(20)


def line_plan(engine: Engine = Engine.PARKED, passes: int = 3, **changes) -> Plan:
    step = Step(Role.VIBRATIONAL, "vibrational", 1.0, 1, passes, engine)
    return plan(**{"steps": (step,), "line": AREA, "drift": DRIFT, **changes})


def run(microscope: FakeMicroscope, the_plan: Plan, on_progress=None, the_site=None):
    recorder = MemoryRecorder()
    runner = Runner(microscope, recorder, the_site or site(), clock=microscope.clock)
    return runner.run(the_plan, on_progress), recorder, runner


def off_nm(recorder: MemoryRecorder, sink: int = 0) -> np.ndarray:
    """Where each row was taken on the specimen less where it belongs, along x."""
    taken = recorder.sinks[sink]._counts[:, 0] / 100.0
    return taken - np.array([note.place.x_nm for note in recorder.sinks[sink].notes])


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("drift", [(0.0, 0.05), (-0.03, -0.08)])
def test_the_line_is_followed_while_the_specimen_drifts(engine, drift):
    microscope = FakeMicroscope(drift_nm_per_s=drift)
    outcome, recorder, _ = run(microscope, line_plan(engine))
    assert outcome.ending is Ending.COMPLETE, outcome.reason
    error = off_nm(recorder)
    assert np.sqrt(np.mean(error**2)) < 0.15 and np.abs(error).max() < 0.5
    unfollowed = FakeMicroscope(drift_nm_per_s=drift)
    _, recorder, _ = run(unfollowed, line_plan(engine, drift=None))
    assert np.abs(off_nm(recorder)).max() > 2.5


def test_the_drift_is_in_the_notes_the_progress_and_the_outcome():
    microscope = FakeMicroscope(drift_nm_per_s=(0.0, 0.05))
    seen = Seen()
    outcome, recorder, _ = run(microscope, line_plan(), seen)
    summary = outcome.drift
    truth = 0.05 * 60 * 1.0  # a little more: images and the wait take time too
    assert summary.moved_nm == pytest.approx(truth, rel=0.1) and summary.off_nm < 0.3 and 0 < summary.sigma_nm < 0.2
    assert summary.sentence() in outcome.sentence() and summary.sentence().startswith("Line moved 3.")
    assert len(summary.log) == microscope.count("image") - 1 and all(entry.used for entry in summary.log)
    last = recorder.sinks[0].notes[-1].drift_nm
    assert last[1] == pytest.approx(summary.moved_nm, abs=0.3) and abs(last[0]) < 0.2
    assert seen[-1].drift_nm_per_min == pytest.approx(3.0, abs=0.3)


def test_without_a_drift_lock_no_image_is_taken():
    microscope = FakeMicroscope()
    outcome, recorder, _ = run(microscope, line_plan(drift=None))
    assert microscope.count("image") == 0 and outcome.drift is None
    assert all(note.drift_nm is None for note in recorder.sinks[0].notes)


IMAGES = {
    "by time": (replace(DRIFT, every_s=4.5), Engine.PARKED, 5),
    "by rows": (replace(DRIFT, every_rows=2, every_s=0.0), Engine.PARKED, 2),
    "a scan by rows": (replace(DRIFT, every_rows=2, every_s=0.0), Engine.SYNCHRONIZED, 2),
    "a scan by time": (replace(DRIFT, every_s=4.5), Engine.SYNCHRONIZED, 6),  # rows come in twos
}


@pytest.mark.parametrize("case", IMAGES)
def test_images_are_taken_when_they_are_due_also_inside_a_line(case):
    settings, engine, rows = IMAGES[case]
    microscope = FakeMicroscope()
    run(microscope, line_plan(engine, drift=settings))
    between, counts = 0, []
    for event in microscope.events[microscope.events.index("image") :]:
        if event in ("frames 1", "rows"):
            between += 2 if event == "rows" else 1
        elif event == "image":
            counts.append(between)
            between = 0
    inside = [count for count in counts[1:-1] if count]
    assert len(inside) >= 9 and max(inside) <= rows


@pytest.mark.parametrize("drift", [DRIFT, replace(DRIFT, every_s=0.0, every_rows=1000)])
def test_the_same_line_is_found_again_for_the_next_setting(drift):
    settings = {name: replace(entry, settle_s=60.0) for name, entry in site().settings.items()}
    microscope = FakeMicroscope(drift_nm_per_s=(0.02, 0.02))
    steps = tuple(replace(step, exposure_s=0.1) for step in plan().steps)
    outcome, recorder, _ = run(microscope, line_plan(steps=steps, drift=drift), the_site=site(settings=settings))
    assert outcome.ending is Ending.COMPLETE
    for sink in (2, 3, 4):
        frames = recorder.sinks[sink].record.frames
        taken = recorder.sinks[sink]._counts[:, 0] / frames / 100.0
        np.testing.assert_allclose(taken, [p.x_nm for p in AREA.points()], atol=0.3)
    assert microscope.moved_nm()[1] > 3.0


def test_no_image_is_taken_in_the_vacuum():
    microscope = FakeMicroscope()
    zlp = Step(Role.ZLP, "vibrational", 1.0, 30)
    run(microscope, line_plan(steps=(zlp,)))
    assert microscope.count("image") == 0
    microscope = FakeMicroscope()
    run(microscope, line_plan(steps=(zlp, Step(Role.VALENCE, "valence", 0.01))))
    assert microscope.count("image") > 0
    first = next(i for i, event in enumerate(microscope.events) if event.startswith("frames"))
    last = microscope.events.index("set dispersion 0.05")
    assert "image" not in microscope.events[first:last]


def falling(start_nm_per_min: float, halves_in_s: float):
    """A place that drifts fast at first and comes to rest."""

    class Falling(FakeMicroscope):
        def moved_nm(self) -> tuple[float, float]:
            decay = halves_in_s / math.log(2)
            return 0.0, start_nm_per_min / 60 * decay * (1 - math.exp(-self.clock.now_s / decay))

    return Falling()


SLOW = replace(DRIFT, rate_limit_nm_per_min=0.5)


def test_the_run_waits_for_the_drift_to_fall():
    microscope = falling(5.0, 60.0)
    seen = Seen()
    outcome, _, _ = run(microscope, line_plan(drift=SLOW), seen)
    waiting = [progress for progress in seen if progress.state is State.WAITING]
    assert outcome.ending is Ending.COMPLETE and 100.0 < outcome.paused_s < 400.0  # 0.5 nm/min is reached after 200 s
    assert any(p.reason.startswith("Waiting: drift ") and p.reason.endswith("nm/min (limit 0.5)") for p in waiting)
    started = next(progress for progress in seen if progress.state is State.SETTING)
    assert started.drift_nm_per_min < 0.5


def test_without_a_limit_it_starts_at_any_drift():
    microscope, seen = FakeMicroscope(drift_nm_per_s=(0.0, 0.05)), Seen()
    outcome, _, _ = run(microscope, line_plan(drift=replace(DRIFT, rate_limit_nm_per_min=0.0)), seen)
    assert outcome.ending is Ending.COMPLETE
    assert all(progress.state is not State.WAITING for progress in seen)


def test_the_operator_may_start_anyway_or_abort():
    microscope, recorder = FakeMicroscope(drift_nm_per_s=(0.0, 0.05)), MemoryRecorder()
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)
    seen = Seen(lambda p: runner.proceed() if p.state is State.WAITING else None)
    assert runner.run(line_plan(drift=SLOW), seen).ending is Ending.COMPLETE
    microscope = FakeMicroscope(drift_nm_per_s=(0.0, 0.05))
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)
    outcome = runner.run(line_plan(drift=SLOW), Seen(lambda p: runner.abort() if p.state is State.WAITING else None))
    assert outcome.ending is Ending.ABORTED and microscope.is_home()


def featureless(microscope: FakeMicroscope) -> None:
    microscope.dots = ()


def far(microscope: FakeMicroscope) -> None:
    microscope.moved_nm = lambda: (0.0, 30.0)


@pytest.mark.parametrize("change, words", [(featureless, "nothing to see|featureless|does not show|edge"), (far, "")])
@pytest.mark.parametrize("nth", [1, 2, 6])
def test_drift_that_cannot_be_followed_ends_the_run_and_keeps_the_rows(change, words, nth):
    microscope = FakeMicroscope()
    microscope.hook = at("image", nth, lambda event, m: change(m))
    outcome, recorder, runner = run(microscope, line_plan())
    if change is far and nth == 1:
        return  # a specimen that is elsewhere from the start is where it is
    assert outcome.ending is Ending.FAULT and microscope.is_home()
    assert outcome.reason.startswith("The drift could not be followed any further: ")
    rows = sum(step.rows_valid for step in outcome.steps)
    assert rows == (recorder.sinks[0].record.rows_valid if recorder.sinks else 0) and (rows > 0) == (nth == 6)
    fresh = FakeMicroscope()
    microscope.dots, microscope.moved_nm = fresh.dots, lambda: (0.0, 0.0)
    assert runner.run(line_plan()).ending is Ending.COMPLETE


def test_a_beam_that_is_lost_when_an_image_is_taken_is_waited_for():
    microscope = FakeMicroscope(drift_nm_per_s=(0.0, 0.02))
    dots, back_s = microscope.dots, []

    def lose(event, m):
        if event == "image" and m.count("image") == 8:
            back_s.append(m.clock.now_s + 30.0)
        lost = bool(back_s) and m.clock.now_s < back_s[0]
        m.dark, m.dots = (lambda time_s: lost), (() if lost else dots)

    microscope.hook = lose
    outcome, recorder, _ = run(microscope, line_plan())
    assert outcome.ending is Ending.COMPLETE, outcome.reason
    assert outcome.paused_s > 30.0 and np.abs(off_nm(recorder)).max() < 0.3


def test_an_aborted_run_tells_of_its_drift_without_another_image():
    microscope, recorder = FakeMicroscope(drift_nm_per_s=(0.0, 0.02)), MemoryRecorder()
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)
    microscope.hook = at("frames", 40, lambda event, microscope: runner.abort())
    outcome = runner.run(line_plan())
    assert outcome.ending is Ending.ABORTED and len(outcome.drift.log) == microscope.count("image") - 1
    assert outcome.drift.moved_nm == pytest.approx(0.9, abs=0.3) and math.isnan(outcome.drift.off_nm)


def jumps(microscope: FakeMicroscope, to_nm: tuple[float, float]) -> None:
    microscope.moved_nm = lambda: to_nm


def test_a_jump_between_two_runs_is_made_up_for_and_is_no_drift():
    microscope, seen = FakeMicroscope(), Seen()
    first, _, runner = run(microscope, line_plan())
    jumps(microscope, (2.0, -4.0))
    recorder = MemoryRecorder()
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)
    again = runner.run(line_plan(drift=SLOW), seen, reference=first.reference)
    assert again.ending is Ending.COMPLETE and np.abs(off_nm(recorder)).max() < 0.3
    assert again.reference.moved_nm == pytest.approx((2.0, -4.0), abs=0.2)
    assert again.drift.since_first_run and again.drift.moved_nm == pytest.approx(math.hypot(2.0, 4.0), abs=0.2)
    assert max(p.drift_nm_per_min for p in seen if p.state is State.SETTING) < 0.5
    assert recorder.sinks[0].notes[0].drift_nm == pytest.approx((2.0, -4.0), abs=0.2)


def test_runs_that_follow_no_drift_hand_the_reference_on():
    microscope = FakeMicroscope()
    first, _, runner = run(microscope, line_plan())
    zlp = Step(Role.ZLP, "vibrational", 1.0, 3)
    refused = runner.run(line_plan(line=None), reference=first.reference)
    assert refused.ending is Ending.REFUSED and refused.reference is first.reference
    images = microscope.count("image")
    again = runner.run(line_plan(steps=(zlp,)), reference=first.reference)
    assert again.reference is first.reference and again.drift is None and microscope.count("image") == images
    assert runner.run(line_plan(drift=None)).reference is None


def lattice(microscope: FakeMicroscope) -> None:
    """Its period is more than the specimen can drift between two images, and less than the limit."""
    places = np.arange(-56.0, 57.0, 8.0)
    microscope.dots = tuple((float(y), float(x)) for y in places for x in places)


@pytest.mark.parametrize(
    "before, after, words",
    [
        (lambda m: None, featureless, "there is nothing to see in the drift image that its reference shows too"),
        (lattice, lambda m: jumps(m, (0.0, 1.0)), "the drift image fits in several places, as a lattice does"),
        (
            lambda m: None,
            lambda m: jumps(m, (0.0, 11.0)),
            "the specimen has moved 11.0 nm, more than the limit of 10.0 nm",
        ),
    ],
)
def test_a_line_that_cannot_be_found_again_is_not_taken(before, after, words):
    microscope = FakeMicroscope()
    before(microscope)
    first, _, runner = run(microscope, line_plan())
    assert first.ending is Ending.COMPLETE, first.reason
    after(microscope)
    again = runner.run(line_plan(), reference=first.reference)
    assert again.ending is Ending.FAULT and microscope.is_home() and again.steps[0].status is None
    assert again.reason == (
        f"The place of the first run was not found again: {words}; take a new survey and place the line anew."
    )
    assert again.sentence() == f"{again.reason} 0 of 60 rows kept, 0 of 1 steps complete."


def test_a_beam_that_is_lost_while_the_line_is_looked_for_is_waited_for():
    microscope = FakeMicroscope()
    first, _, runner = run(microscope, line_plan())
    dots, back_s, taken = microscope.dots, [], microscope.count("image")

    def lose(event, m):
        if event == "image" and m.count("image") == taken + 1:
            back_s.append(m.clock.now_s + 30.0)
        lost = bool(back_s) and m.clock.now_s < back_s[0]
        m.dark, m.dots = (lambda time_s: lost), (() if lost else dots)

    microscope.hook = lose
    again = runner.run(line_plan(), reference=first.reference)
    assert again.ending is Ending.COMPLETE and again.paused_s > 29.0, again.reason


def test_one_image_that_cannot_be_used_is_taken_again():
    microscope = FakeMicroscope()
    dots = microscope.dots
    microscope.hook = lambda event, m: setattr(m, "dots", () if m.count("image") == 6 and event == "image" else dots)
    outcome, _, _ = run(microscope, line_plan())
    assert outcome.ending is Ending.COMPLETE
    assert [entry.used for entry in outcome.drift.log].count(False) == 1


def test_a_camera_that_fails_at_the_last_look_does_not_hold_the_way_home():
    microscope = FakeMicroscope()

    def broken(event, m):
        if event == "image" and m.count("rows") + m.count("frames") == 60:
            raise MicroscopeFault("No scan.")

    microscope.hook = broken
    outcome, _, _ = run(microscope, line_plan())
    assert outcome.ending is Ending.COMPLETE and microscope.is_home()
    assert "is not known: No scan." in outcome.drift.sentence() and math.isnan(outcome.drift.off_nm)


# ---- the zero-loss peak

WINDOW = (-0.003, 0.003)  # eV; the detector of the fake has 32 channels of 0.4 meV from -5 meV


def zero_site(**changes):
    settings = dict(site().settings)
    settings["vibrational"] = replace(settings["vibrational"], zero_window_ev=WINDOW)
    return site(**{"settings": settings, "energy_offset_control": "offset", **changes})


def zero_plan(engine: Engine = Engine.PARKED, **changes) -> Plan:
    return line_plan(engine, passes=2, drift=None, **changes)


def zeros_ev(recorder: MemoryRecorder) -> np.ndarray:
    sink = recorder.sinks[0]
    rows = sink._counts[: sink.record.rows_valid] - sink._counts[: sink.record.rows_valid, -1:]
    return np.array([zero_position(row, sink._energy) for row in rows])


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_drifting_zero_loss_peak_stays_in_its_window(engine, sign):
    microscope = FakeMicroscope(zero_ev=lambda time_s: sign * 2e-4 * time_s)  # 8 meV in the run
    outcome, recorder, _ = run(microscope, zero_plan(engine), the_site=zero_site())
    assert outcome.ending is Ending.COMPLETE, outcome.reason
    assert (np.abs(zeros_ev(recorder)) < 3e-3).all()
    assert sum(event.startswith("set offset") for event in microscope.events) >= 4
    assert microscope.is_home() and microscope.controls["offset"] == START["offset"]
    sink = recorder.sinks[0]
    assert sink._energy.offset_ev == pytest.approx(-0.005)
    moved = [note.zero_moved_ev for note in sink.notes]
    assert moved[0] == 0.0 and sign * moved[-1] == pytest.approx(8e-3, abs=3e-3)


def test_the_same_peak_leaves_its_window_when_it_is_not_followed():
    microscope = FakeMicroscope(zero_ev=lambda time_s: 1e-4 * time_s)
    the_plan = zero_plan(watching=Watching(follow_zero=False))
    outcome, recorder, _ = run(microscope, the_plan, the_site=zero_site())
    assert outcome.ending is Ending.COMPLETE and zeros_ev(recorder).max() > 3.5e-3
    assert sum(event.startswith("set offset") for event in microscope.events) == 2  # set, and brought home


def test_a_calibration_that_does_not_follow_the_control_is_the_same():
    class Fixed(FakeMicroscope):
        def _frames(self, counts):
            frames = super()._frames(counts)
            return replace(frames, energy=replace(frames.energy, offset_ev=-0.005))

    microscope = Fixed(zero_ev=lambda time_s: 2e-4 * time_s)
    outcome, recorder, _ = run(microscope, zero_plan(), the_site=zero_site())
    assert outcome.ending is Ending.COMPLETE and (np.abs(zeros_ev(recorder)) < 3e-3).all()


def test_a_peak_that_is_gone_ends_the_run_and_no_row_without_it_is_kept():
    microscope = FakeMicroscope(zero_ev=lambda time_s: 0.0 if time_s < 10.5 else 1.0)
    outcome, recorder, runner = run(microscope, zero_plan(), the_site=zero_site())
    assert outcome.ending is Ending.FAULT and "no zero-loss peak on the detector" in outcome.reason
    assert outcome.steps[0].rows_valid == 11 and outcome.retaken == 2 and microscope.is_home()
    microscope.zero_ev = lambda time_s: 0.0
    assert runner.run(zero_plan()).ending is Ending.COMPLETE


FAULTS = {
    "a control that works the other way round": ({}, "-", "when control 'offset' was changed to bring it back"),
    "a control that does not obey": ({}, "stuck", "reads -0.005 after it was set to"),
    "a control at the end of its range": ({"ranges": {"offset": Range(-10.0, -0.0049)}}, "", "may be set between"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_peak_that_cannot_be_brought_back_ends_the_run(case):
    changes, fault, words = FAULTS[case]

    class Broken(FakeMicroscope):
        def set_control(self, name, value):
            if name == "offset" and value not in (-0.005, START["offset"]) and fault == "stuck":
                return
            super().set_control(name, value)

        def _counts(self, place, exposure_s):
            if fault != "-":
                return super()._counts(place, exposure_s)
            before = self.controls["offset"]
            self.controls["offset"] = -0.010 - before if before > -1 else before
            try:
                return super()._counts(place, exposure_s)
            finally:
                self.controls["offset"] = before

    microscope = Broken(zero_ev=lambda time_s: 2e-4 * time_s)
    outcome, recorder, _ = run(microscope, zero_plan(), the_site=zero_site(**changes))
    assert outcome.ending is Ending.FAULT and words in outcome.reason, outcome.reason
    assert microscope.is_home() and 5 < outcome.steps[0].rows_valid < 20
