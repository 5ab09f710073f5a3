"""Turn what is published into what is served, once a second, and keep serving the last good thing when it cannot.

A snapshot that does not parse, or whose blobs are missing, leaves the one before it in place; so does an empty or
absent Redis. What was last served is on disk (archive.py) for a process that starts while Redis is away.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter

from experiments.splitter.archive import Archive
from experiments.splitter.clock import Milliseconds
from experiments.splitter.snapshot import (
    BadSnapshot,
    Experiment,
    Status,
    blobs_of,
    compile_experiment,
    identity_of,
    parse,
)
from experiments.splitter.stores import Blob, Store, StoreUnavailable
from experiments.splitter.tallies import Tallies

logger = logging.getLogger(__name__)


class Refresher:
    """Keeps `experiments` current. One thread calls refresh; any thread reads `experiments`."""

    def __init__(self, *, store: Store, archive: Archive, tallies: Tallies, monotonic_ms: Milliseconds) -> None:
        self.experiments: dict[str, Experiment] = {}  # by slug
        self.addressed: dict[str, list[Experiment]] = {}  # by host: those with an address there, longest path first
        self.is_loaded = False  # something was learnt, be it that there is nothing to serve
        self._store = store
        self._archive = archive
        self._tallies = tallies
        self._monotonic_ms = monotonic_ms
        self._reached_ms = monotonic_ms()
        self._is_reachable = True
        self._sequences: dict[str, int] = {}  # the newest we looked at, also of experiments that are gone
        self._blobs: dict[str, Blob] = {}  # of the experiments served
        self._rejected: dict[str, int] = {}

    @property
    def unreachable_seconds(self) -> float:
        """For how long the store has not answered; 0 when it did the last time."""
        return 0.0 if self._is_reachable else (self._monotonic_ms() - self._reached_ms) / 1000

    def load_archive(self) -> None:
        """Start from what this host served last."""
        try:
            documents = self._archive.documents()
        except (OSError, ValueError) as error:
            logger.warning("the archived snapshots cannot be read: %s", error)
            return
        for document in documents:
            try:
                self._install(document, self._archive.blob)
            except BadSnapshot as error:
                logger.warning("an archived snapshot cannot be served: %s", error)
            else:
                self.is_loaded = True

    def refresh(self) -> None:
        """Look for newer snapshots and serve them."""
        try:
            sequences = self._store.sequences()
            newer = [slug for slug, sequence in sequences.items() if sequence > self._sequences.get(slug, -1)]
            for slug in newer:
                self._refresh_one(slug, sequences[slug])
        except StoreUnavailable as error:
            self._note_unreachable(error)
            return
        self._note_reachable()
        self.is_loaded = True
        if newer:
            self._drop_unused_blobs()

    def _refresh_one(self, slug: str, sequence: int) -> None:
        document = self._store.snapshot(slug) or ""
        try:
            # A sequence without a document reads as an empty one, which is refused like any other that is not JSON.
            installed = self._install(document, self._store.blob)
        except BadSnapshot as error:
            self._note_rejected(slug, sequence, error)
            return
        self._rejected.pop(slug, None)
        self._archive_one(slug, document, installed)

    def _install(self, document: str, fetch: Callable[[str], Blob | None]) -> dict[str, Blob]:
        """Serve a document from now on, and give the blobs it needs; or raise BadSnapshot and change nothing."""
        parsed = parse(document)
        slug, sequence = identity_of(parsed)
        if parsed.get("status") == Status.GONE:
            self.experiments.pop(slug, None)
            self.addressed = _addressed(self.experiments.values())
            self._sequences[slug] = sequence
            return {}
        blobs = self._fetched(blobs_of(parsed), fetch)
        experiment = compile_experiment(parsed, blobs)
        self._blobs |= blobs
        self.experiments[slug] = experiment  # one assignment: requests see the old one or the new one
        self.addressed = _addressed(self.experiments.values())
        self._sequences[slug] = sequence
        return blobs

    def _fetched(self, shas: set[str], fetch: Callable[[str], Blob | None]) -> dict[str, Blob]:
        found = {sha: self._blobs.get(sha) or fetch(sha) for sha in sorted(shas)}
        missing = [sha for sha, blob in found.items() if blob is None]
        if missing:
            raise BadSnapshot(f"blobs are missing: {', '.join(missing)}")
        return {sha: blob for sha, blob in found.items() if blob is not None}

    def _archive_one(self, slug: str, document: str, blobs: Mapping[str, Blob]) -> None:
        try:
            if slug in self.experiments:
                self._archive.keep(slug, document, blobs)
            else:
                self._archive.forget(slug)
        except OSError as error:
            self._tallies.count("archive_failures")
            logger.warning("the snapshot of %s cannot be kept on disk: %s", slug, error)

    def _drop_unused_blobs(self) -> None:
        used = set[str]()
        for experiment in self.experiments.values():
            used |= experiment.blobs
        self._blobs = {sha: blob for sha, blob in self._blobs.items() if sha in used}
        try:
            self._archive.sweep(used)
        except OSError as error:
            logger.warning("old archived blobs cannot be removed: %s", error)

    def _note_rejected(self, slug: str, sequence: int, error: BadSnapshot) -> None:
        self._tallies.count("snapshots_rejected")
        if self._rejected.get(slug) != sequence:
            self._rejected[slug] = sequence
            logger.error("snapshot %d of %s is not served: %s", sequence, slug, error)

    def _note_unreachable(self, error: StoreUnavailable) -> None:
        self._tallies.count("store_failures")
        if self._is_reachable:
            self._is_reachable = False
            logger.warning("snapshots are not refreshed: %s", error)

    def _note_reachable(self) -> None:
        self._reached_ms = self._monotonic_ms()
        if not self._is_reachable:
            self._is_reachable = True
            logger.info("snapshots are refreshed again")


def _addressed(experiments: Iterable[Experiment]) -> dict[str, list[Experiment]]:
    found: dict[str, list[tuple[tuple[int, int], Experiment]]] = {}
    for experiment in experiments:
        if own := experiment.own_place:
            # The longest path first; of two at the same place the older, in whatever order they were read.
            found.setdefault(own.host, []).append(((-len(own.base), experiment.number), experiment))
    return {host: [experiment for _, experiment in sorted(each, key=itemgetter(0))] for host, each in found.items()}
