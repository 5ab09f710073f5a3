"""From what is published to what is served."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from experiments.splitter.archive import UNUSED_SECONDS, Archive
from experiments.splitter.refresher import Refresher
from experiments.splitter.stores import Blob, MemoryStore, StoreUnavailable
from experiments.splitter.tallies import Tallies
from tests.experiments.splitter.planting import document, planted, publish, put
from tests.experiments.splitter.serving import Clock


class AbsentStore(MemoryStore):
    """A store that cannot be reached."""

    def sequences(self) -> dict[str, int]:
        raise StoreUnavailable("nobody there")


def refresher_of(store: MemoryStore, directory: Path, clock: Clock | None = None) -> Refresher:
    return Refresher(store=store, archive=Archive(directory), tallies=Tallies(), monotonic_ms=clock or Clock())


def test_a_newer_snapshot_is_served_after_a_refresh(tmp_path: Path):
    store = planted()
    refresher = refresher_of(store, tmp_path)
    refresher.refresh()
    publish(store, document(store, sequence=2, status="finished"))
    refresher.refresh()
    assert refresher.experiments["paperless"].status == "finished"


def test_an_emptied_store_changes_nothing(tmp_path: Path):
    refresher = refresher_of(planted(), tmp_path)
    refresher.refresh()
    before = dict(refresher.experiments)
    refresher._store = MemoryStore()
    refresher.refresh()
    assert refresher.experiments == before


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "unheard of"},
        {"shares": {"control": 0.5}},
        {"shares": {"nobody": 1.0}},
        {"control": "nobody"},
        {"status": "promoted", "winner": None},
        {"arms": {}},
        {"arms": {"control": {"page": "0" * 64, "form": None, "thanks": "0" * 64}}},
        {"arms": None},
        {"arms": {"-": {}}},
        {"goals": [{"key": "x", "kind": "wish", "window_seconds": 1}]},
        {"links": {"cta": {"url": "javascript:alert(1)"}}},
        {"links": {"cta": {"url": "//evil.example"}}},
        {"form": {"goals": [], "fields": [{"name": "x", "kind": "password"}]}},
        {"sequence": "2"},
        {"slug": "../paperless"},
        {"salt": None, "epoch": None},
    ],
)
def test_a_snapshot_that_cannot_be_served_leaves_the_old_one(tmp_path: Path, changes: dict[str, Any]):
    store = planted()
    refresher = refresher_of(store, tmp_path)
    refresher.refresh()
    before = refresher.experiments["paperless"]
    broken = document(store, sequence=2) | changes
    store.publish("paperless", 2, json.dumps(broken))
    refresher.refresh()
    assert refresher.experiments["paperless"] is before
    assert refresher._tallies.totals()["snapshots_rejected"] == 1


@pytest.mark.parametrize("torn", ["", "{", "[]", "null", '{"slug": "paperless"}'])
def test_a_torn_snapshot_leaves_the_old_one(tmp_path: Path, torn: str):
    store = planted()
    refresher = refresher_of(store, tmp_path)
    refresher.refresh()
    store.publish("paperless", 2, torn)
    refresher.refresh()
    assert refresher.experiments["paperless"].sequence == 1


def test_a_blob_that_comes_late_completes_its_snapshot(tmp_path: Path):
    store, complete = MemoryStore(), MemoryStore()
    published = document(complete)
    publish(store, published)
    refresher = refresher_of(store, tmp_path)
    refresher.refresh()
    assert refresher.experiments == {}
    store._blobs = complete._blobs
    refresher.refresh()
    assert "paperless" in refresher.experiments


def test_one_broken_experiment_does_not_stop_another(tmp_path: Path):
    store = planted(slug="zebra")
    store.publish("apple", 1, "{")
    refresher = refresher_of(store, tmp_path)
    refresher.refresh()
    assert list(refresher.experiments) == ["zebra"]


def test_a_process_starts_from_disk_while_the_store_is_away(tmp_path: Path):
    first = refresher_of(planted(traffic_share=0.25), tmp_path)
    first.refresh()
    second = refresher_of(AbsentStore(), tmp_path)
    second.load_archive()
    second.refresh()
    assert second.experiments == first.experiments
    assert second.is_loaded


def test_what_is_gone_does_not_come_back_from_disk(tmp_path: Path):
    store = planted()
    refresher = refresher_of(store, tmp_path)
    refresher.refresh()
    publish(store, document(store, sequence=2, status="gone"))
    refresher.refresh()
    assert refresher.experiments == {}
    second = refresher_of(AbsentStore(), tmp_path)
    second.load_archive()
    assert second.experiments == {}


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json\n", b'{"crc32": 1, "lengths": [0, null, null]}\nx'])
def test_damaged_files_are_left_out(tmp_path: Path, damage: bytes):
    refresher_of(planted(), tmp_path).refresh()
    for path in (tmp_path / "blobs").iterdir():
        path.write_bytes(damage)
    second = refresher_of(AbsentStore(), tmp_path)
    second.load_archive()
    assert second.experiments == {}


def test_a_document_that_is_no_text_stops_nothing(tmp_path: Path):
    refresher_of(planted(), tmp_path).refresh()
    (tmp_path / "documents" / "paperless.json").write_bytes(b"\xff")
    second = refresher_of(AbsentStore(), tmp_path)
    second.load_archive()
    assert not second.is_loaded


def test_a_disk_that_cannot_be_written_does_not_stop_serving(tmp_path: Path):
    (tmp_path / "snapshot").write_text("in the way")
    refresher = refresher_of(planted(), tmp_path / "snapshot")
    refresher.refresh()
    assert "paperless" in refresher.experiments
    assert refresher._tallies.totals()["archive_failures"] == 1


def test_the_time_without_the_store_is_known(tmp_path: Path):
    clock = Clock()
    refresher = refresher_of(AbsentStore(), tmp_path, clock)
    refresher.refresh()
    clock.now_ms += 16_000
    refresher.refresh()
    assert refresher.unreachable_seconds == 16
    refresher._store = planted()
    refresher.refresh()
    assert refresher.unreachable_seconds == 0


def test_unused_blobs_are_swept_after_a_day(tmp_path: Path):
    archive = Archive(tmp_path)
    archive.keep("x", "{}", {sha: Blob(identity=b"x", content_type="text/html") for sha in ("used", "fresh", "old")})
    path = tmp_path / "blobs" / "old.blob"
    ago = path.stat().st_mtime - UNUSED_SECONDS - 60
    os.utime(path, (ago, ago))
    archive.sweep({"used"})
    assert sorted(each.stem for each in path.parent.iterdir()) == ["fresh", "used"]


def test_the_cookie_lives_as_long_as_the_longest_window_and_no_longer_than_thirteen_months(tmp_path: Path):
    day = 24 * 3600
    goal = {"key": "x", "kind": "event", "window_seconds": 30 * day, "primary": True}
    for cookie_days, expected_days in [(1, 30), (60, 60), (4000, 390)]:
        refresher = refresher_of(planted(cookie_seconds=cookie_days * day, goals=[goal]), tmp_path / str(cookie_days))
        refresher.refresh()
        attributes = refresher.experiments["paperless"].place.cookie_attributes
        assert attributes.startswith(f"; Max-Age={expected_days * day};")


def test_an_arm_that_no_cookie_can_carry_is_refused(tmp_path: Path):
    for key in ("V2", "-", "a b", "x" * 101):
        refresher = refresher_of(planted(keys=("control", key)), tmp_path)
        refresher.refresh()
        assert refresher.experiments == {}


def test_a_form_page_with_an_open_place_is_refused(tmp_path: Path):
    store = MemoryStore()
    published = document(store, keys=("control",))
    published["arms"]["control"]["form"] = put(store, b"<p>\0form_error")
    publish(store, published)
    refresher = refresher_of(store, tmp_path)
    refresher.refresh()
    assert refresher.experiments == {}
