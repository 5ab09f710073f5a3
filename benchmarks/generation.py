"""Growing variants beside the least time it can take: a model that answers in L seconds, C calls in flight, N variants.

A server that speaks the model's protocol runs in a process of its own, answers each call after L seconds with a page
unlike all others, and a plan at once. A generation runs as in production, in a worker process of its own, on
PostgreSQL (SQLite where it is not installed): every call is set aside and settled, every page is checked, compared and
saved. The peer is not a program but arithmetic: L × ⌈N / C⌉. ROUNDS (3) rounds, medians.

    generation.L1.C16.N100 …   seconds from the worker's start on the generation to its end (CASES="1:16:100,2:8:50")
    generation.memory          by how many MB the worker's memory grows at its peak, for 500 variants, 64 in flight; the
                               peer is the same with 8 in flight
    generation.live            seconds from a brief to LIVE pages (such as 100) that answer over the splitter, at L = 10
                               and C = 16; the peer is the ten minutes it may take. Only with LIVE: it takes a while

One JSON object a line.
"""

import asyncio
import json
import math
import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from tests.model_server import PLAN, completion, is_for_a_plan
from tests.servers import find_postgres, postgres_server
from tests.stack import START_SECONDS, stack

CASES = [case for case in os.environ.get("CASES", "1:16:100,2:8:50,3:32:100").split(",") if case]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
MEMORY = int(os.environ.get("MEMORY", "500"))
LIVE = int(os.environ.get("LIVE", "0"))
TEN_MINUTES = 600.0
FEWEST_MADE: Final = 0.95
MOST_CALLS: Final = 1.05  # per variant: words that mean nothing make a page like another now and then
VECTORS: Final = Path(__file__).parent.parent / "variants" / "data" / "word_vectors.npz"
BRIEF = {
    "name": "Archive", "product": "Paperwork turns scanned letters into a searchable archive.",
    "audience": "Households with too much paper.", "offer": "A free set-up guide.",
    "facts": ["It runs on your own computer.", "It is open source.", "Documents are saved as PDF/A."],
    "angles": ["Find any letter", "Calm"], "call_to_action": {"label": "Send me the guide", "kind": "form"},
}  # fmt: skip


# The model


@cache
def real_words() -> list[str]:
    """Return words that the comparison of pages knows and no gate minds."""
    words = np.load(VECTORS)["words"].tobytes().decode().split("\n")
    return [word for word in words[3000:15000] if word.isalpha() and word.endswith(("ing", "ment", "ness", "ity"))]


def made_up_words() -> list[str]:
    """Return words that mean nothing, so that no page repeats another and N variants take N calls."""
    chance = random.Random(1)  # noqa: S311 - always the same
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    return ["".join(chance.choices(syllables, k=4)) for _ in range(20_000)]


vocabulary: list[str] = []  # of this process


def some(chance: random.Random, count: int) -> str:
    return " ".join(chance.sample(vocabulary, count)).capitalize()


def unlike_all_others(chance: random.Random) -> dict[str, Any]:
    items = [{"icon": "spark", "title": some(chance, 2), "text": some(chance, 8)} for _ in range(4)]
    hero = {"kind": "hero", "headline": some(chance, 4), "subheadline": some(chance, 10)}
    return {
        "angle": "any",
        "meta": {"title": some(chance, 3), "description": some(chance, 6)},
        "theme": {"layout": "split", "palette": "ink", "typography": "serif"},
        "sections": [
            {**hero, "call_to_action": "Send me the guide"},
            {"kind": "benefits", "title": some(chance, 2), "items": items},
            {"kind": "form", "title": some(chance, 2), "submit": "Send me the guide"},
        ],
    }


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    asked = json.loads(await reader.readexactly(length))
    is_plan = is_for_a_plan(asked)
    await asyncio.sleep(0 if is_plan else latency)
    page = PLAN if is_plan else unlike_all_others(random.Random(time.monotonic_ns()))  # noqa: S311 - only different
    body = json.dumps(completion(json.dumps(page))).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


def serve(latency: float, in_real_words: bool, told: Connection) -> None:  # noqa: FBT001 - of a process
    vocabulary.extend(real_words() if in_real_words else made_up_words())

    async def forever() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: answer(reader, writer, latency), "127.0.0.1", 0, backlog=512
        )
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def model(latency: float, *, in_real_words: bool = False) -> Iterator[str]:
    """Run a model that answers after `latency` seconds; give its address."""
    mine, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(latency, in_real_words, its), daemon=True
    )
    process.start()
    try:
        yield f"http://127.0.0.1:{mine.recv()}/v1"
    finally:
        process.terminate()
        process.join(10)


# The worker


def work(environ: Mapping[str, str], count: int, told: Connection) -> None:
    """Grow `count` variants in a process that has done nothing before; tell how long it took and what it took."""
    os.environ.update(environ)
    import django  # noqa: PLC0415 - settings are read on import

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    from variants import generation  # noqa: PLC0415
    from variants.brief import BriefSpec  # noqa: PLC0415
    from variants.meaning import vector_of  # noqa: PLC0415
    from variants.models import Brand, Brief, Generation, Nursery  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    brief = Brief(brand=Brand.objects.create(name="Paperwork"))
    brief.take(BriefSpec.model_validate(BRIEF))
    brief.save()
    asked = Generation.objects.create(nursery=Nursery.objects.create(brief=brief), requested=count)
    vector_of("warm")  # a worker reads its table once in its life
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    generation.run(asked.pk)
    seconds = time.monotonic() - began
    asked.refresh_from_db()
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    told.send((seconds, memory, asked.accepted + asked.blocked, asked.calls.count(), asked.message))


def grown(
    latency: float, in_flight: int, count: int, folder: str, database: str, *, is_timed: bool = True
) -> tuple[float, float]:
    """Return seconds and megabytes of growing `count` variants."""
    with model(latency) as address:
        environ = {
            "DJANGO_SETTINGS_MODULE": "greenhouse.settings", "SECRET_KEY": "only-for-a-benchmark-" * 4,
            "STATE_DIR": folder, "DATABASE_URL": database, "OPENAI_BASE_URL": address, "OPENAI_MODEL": "benchmark",
            "MODEL_IN_FLIGHT": str(in_flight),
        }  # fmt: skip
        mine, its = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=work, args=(environ, count, its), daemon=True)
        process.start()
        if not mine.poll(900):
            raise SystemExit("the generation is never over")
        seconds, memory, made, calls, message = mine.recv()
        process.join(30)
    if made < count * FEWEST_MADE or (is_timed and (made != count or calls > count * MOST_CALLS + 1)):
        raise SystemExit(f"{made} of {count} variants in {calls} calls: {message}")
    return seconds, memory


def report(name: str, ours: float, peer: float, peer_name: str, unit: str) -> None:
    print(
        json.dumps(
            {"bench": name, "ours": round(ours, 2), "peer": round(peer, 2), "peer_name": peer_name,
             "ratio": round(ours / peer, 3), "unit": unit}
        ),
        flush=True,
    )  # fmt: skip


def measure(folder: str, database: str) -> None:
    for case in CASES:
        latency, in_flight, count = float(case.split(":")[0]), int(case.split(":")[1]), int(case.split(":")[2])
        seconds = median(grown(latency, in_flight, count, folder, database)[0] for _ in range(ROUNDS))
        ideal = latency * math.ceil(count / in_flight)
        report(f"generation.L{latency:g}.C{in_flight}.N{count}", seconds, ideal, "ideal", "s")
    if MEMORY:
        many, few = (grown(0.5, in_flight, MEMORY, folder, database, is_timed=False)[1] for in_flight in (64, 8))
        report("generation.memory", many, few, "8 in flight", "MB")


# From a brief to live pages


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=60) as page:  # noqa: S310 - our own address
            return bool(page.status == HTTPStatus.OK)
    except HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        return False


def live(count: int) -> float:
    """Return the seconds from posting a brief until `count` variants are live and the page answers."""
    with (
        model(10.0) as address,
        stack("up", OPENAI_BASE_URL=address, OPENAI_MODEL="b", MODEL_IN_FLIGHT="16") as running,
    ):
        ready = running.announced("READY", seconds=START_SECONDS)

        def call(method: str, path: str, body: object = None) -> Any:
            headers = {"Authorization": f"Bearer {ready['token']}", "Content-Type": "application/json"}
            data = None if body is None else json.dumps(body).encode()
            asked = Request(f"{ready['url']}/api/v1{path}", data=data, headers=headers, method=method)  # noqa: S310
            with urlopen(asked, timeout=60) as answered:  # noqa: S310 - our own address
                return json.loads(answered.read())

        began = time.monotonic()
        brief = call("POST", "/briefs", BRIEF)["id"]
        goals = [{"key": "guide", "kind": "form", "primary": True}]
        made = {"name": "Archive", "slug": "archive", "brief_id": brief, "goals": goals, "has_arm_budget": False}
        experiment = f"/experiments/{call('POST', '/experiments', made)['id']}"
        asked = call("POST", f"{experiment}/generate", {"count": count})["generation_id"]
        while call("GET", f"/generations/{asked}")["status"] in {"queued", "running"}:
            time.sleep(0.5)
        written = call("GET", f"{experiment}/variants?limit=500")["items"]
        for variant in written:
            call("POST", f"/variants/{variant['id']}/approve")
        call("POST", f"{experiment}/start")
        while not answers(f"{ready['url']}/p/archive/"):
            time.sleep(0.2)
        seconds = time.monotonic() - began
        arms = call("GET", experiment)["arms"]
        assert sum(arm["status"] == "live" for arm in arms) == len(written) >= count, len(arms)
        return seconds


def main() -> None:
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        database = "" if find_postgres() is None else opened.enter_context(postgres_server(is_durable=True)).url
        measure(folder, database)
    if LIVE:
        report("generation.live", live(LIVE), TEN_MINUTES, "ten minutes", "s")


if __name__ == "__main__":
    main()
