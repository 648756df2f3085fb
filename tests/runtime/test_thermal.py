"""Thermal management: reading a board's sysfs, entering and leaving bands, and the daemon's response."""

import itertools
import logging
import threading
from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet
from runtime.settings import ThermalConfig
from runtime.thermal import Band, ThermalWatch, next_band, read_facts
from tests.support.processes import listening, port_of, receive, started
from tests.support.tiny_bundle import write_config

CONFIG = ThermalConfig(warm_c=80.0, hot_c=90.0, hysteresis_c=5.0)


def put(sysfs: Path, **files: object) -> None:
    for name, content in files.items():
        file = sysfs / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")


def heat(sysfs: Path, degrees_c: float) -> None:
    put(sysfs, class__thermal__thermal_zone0__type="cpu-thermal")
    put(sysfs, class__thermal__thermal_zone0__temp=round(degrees_c * 1000))


def test_zones_alerts_trips_and_clocks_of_a_board_are_read(tmp_path: Path) -> None:
    heat(tmp_path, 63.625)
    zone = "class__thermal__thermal_zone1__"
    put(tmp_path, **{f"{zone}type": "gpu-thermal", f"{zone}temp": 71000})
    put(tmp_path, **{f"{zone}trip_point_0_type": "active", f"{zone}trip_point_0_temp": 50000})
    put(tmp_path, **{f"{zone}trip_point_1_type": "passive", f"{zone}trip_point_1_temp": 99000})
    put(tmp_path, **{f"{zone}trip_point_2_type": "passive", f"{zone}trip_point_2_temp": -274000})
    put(tmp_path, class__thermal__cooling_device3__type="gpu-throttle-alert")
    put(tmp_path, class__thermal__cooling_device3__cur_state=1)
    put(
        tmp_path,
        class__thermal__cooling_device4__type="pwm-fan",
        class__thermal__cooling_device4__cur_state=3,
    )
    put(tmp_path, class__hwmon__hwmon3__name="soctherm_oc", class__hwmon__hwmon3__oc3_event_cnt=37)
    policy = "devices__system__cpu__cpufreq__policy0__"
    put(tmp_path, **{f"{policy}scaling_cur_freq": 729600, f"{policy}cpuinfo_max_freq": 1510400})

    facts = read_facts(tmp_path, None)

    assert facts.temperatures_c == {"cpu-thermal": 63.625, "gpu-thermal": 71.0}
    assert facts.throttles_from_c == 99.0
    assert facts.throttling == {"gpu": True}
    assert facts.throttle_events == {"oc3": 37}
    assert facts.cpu_mhz == {"policy0": (729.6, 1510.4)}
    assert read_facts(tmp_path, ("gpu-thermal",)).temperatures_c == {"gpu-thermal": 71.0}


def test_unreadable_values_are_left_out(tmp_path: Path) -> None:
    heat(tmp_path, 50)
    put(tmp_path, class__thermal__thermal_zone1__type="gpu-thermal")
    (tmp_path / "class/thermal/thermal_zone1/temp").mkdir()  # reading it is an OSError, as of a sleeping sensor
    put(tmp_path, class__thermal__thermal_zone2__type="odd", class__thermal__thermal_zone2__temp="n/a")

    assert read_facts(tmp_path, None).temperatures_c == {"cpu-thermal": 50.0}
    assert read_facts(tmp_path / "nothing", None).temperatures_c == {}


@pytest.mark.parametrize(
    ("path_c", "bands"),
    [
        ((79.9, 80, 76, 75.1, 75), "COOL WARM WARM WARM COOL"),
        ((85, 90, 86, 85.1, 85, 79), "WARM HOT HOT HOT WARM WARM"),
        ((95, 60), "HOT COOL"),
        ((79.9, 75.1, 79.9), "COOL COOL COOL"),
    ],
)
def test_a_band_is_entered_at_its_threshold_and_left_below_the_hysteresis(
    path_c: tuple[float, ...], bands: str
) -> None:
    band, seen = Band.COOL, []
    for degrees_c in path_c:
        band = next_band(band, degrees_c, CONFIG)
        seen.append(band.name)

    assert " ".join(seen) == bands


def test_the_band_decides_which_frames_are_processed_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heard: list[Band] = []
    config = ThermalConfig(warm_c=80.0, hot_c=90.0, hysteresis_c=5.0, sysfs=tmp_path)
    watch = ThermalWatch(config, heard.append)
    passed = []
    for degrees_c in (50.0, 85.0, 86.0, 95.0, 50.0):
        heat(tmp_path, degrees_c)
        watch.read_once()
        passed.append(sum(watch.lets_through() for _ in range(40)))

    assert passed == [40, 20, 20, 10, 40]
    assert heard == [Band.WARM, Band.HOT, Band.COOL]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]
    assert "thermal=HOT was=WARM every_nth_frame=4 hottest_c=95.0" in caplog.text


def test_while_no_zone_can_be_read_the_band_stays(tmp_path: Path) -> None:
    watch = ThermalWatch(ThermalConfig(sysfs=tmp_path), lambda _: None)
    heat(tmp_path, 96)
    watch.read_once()

    (tmp_path / "class/thermal/thermal_zone0/temp").unlink()
    watch.read_once()

    assert watch.band is Band.HOT


def test_thresholds_above_the_boards_own_throttling_are_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heat(tmp_path, 40)
    put(tmp_path, class__thermal__thermal_zone0__trip_point_0_type="passive")
    put(tmp_path, class__thermal__thermal_zone0__trip_point_0_temp=85000)
    looks = threading.Semaphore(0)

    class Counted(ThermalWatch):
        def read_once(self) -> None:
            super().read_once()
            looks.release()

    with Counted(ThermalConfig(poll_interval_s=0.1, sysfs=tmp_path), lambda _: None):
        assert all(looks.acquire(timeout=30) for _ in range(3))

    assert caplog.text.count("throttles_from_c=85.0") == 1


def test_a_warm_daemon_processes_fewer_frames_and_reports_it_in_its_packets(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    sysfs = tmp_path / "sys"
    heat(sysfs, 92)
    with listening() as sink:
        config = write_config(tmp_path / "c.yaml", bundle.path, recording, port_of(sink))
        config.write_text(config.read_text() + f"thermal: {{poll_interval_s: 0.1, hot_c: 91, sysfs: {sysfs}}}\n")
        with started("run", "--config", config):
            hot: list[Packet] = []
            while len(hot) < 12:
                packet = receive(sink)
                if packet.message_type is MessageType.JOINTS and packet.state is DaemonState.DEGRADED:
                    hot.append(packet)
            heat(sysfs, 40)
            while receive(sink).state is not DaemonState.TRACKING:
                pass

    gaps = [after.frame_number - before.frame_number for before, after in itertools.pairwise(hot)]
    assert all(packet.hands for packet in hot)
    assert min(gaps) >= 4
