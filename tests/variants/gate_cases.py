"""The labelled sentences of tests/data/gates, and how often the gates agree with the labels.

`python -m tests.variants.gate_cases` prints the table of docs/gates.md.
"""

import gettext
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import django

from tests.model_server import page
from variants.brief import BriefSpec
from variants.content import PageContent
from variants.gates import Finding, examine

DATA = Path(__file__).parents[1] / "data" / "gates"
PLAIN_BRIEF = {
    "name": "Archive", "product": "Paperless keeps letters. Help: help@paperless.example", "audience": "Offices",
    "offer": "An archive.", "facts": ["It costs 1.200 of them.", "From 8.30 to 17.00.", "12-14, 2026-03-01, 2.0, 5"],
    "call_to_action": {"label": "Get the guide"},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    brief: BriefSpec
    text: str
    is_wrong: bool  # and must be blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    blocked_rightly: int
    blocked_wrongly: int
    missed: int
    passed: int

    @property
    def precision(self) -> float:
        return self.blocked_rightly / max(1, self.blocked_rightly + self.blocked_wrongly)

    @property
    def recall(self) -> float:
        return self.blocked_rightly / max(1, self.blocked_rightly + self.missed)


def page_saying(text: str) -> PageContent:
    """Return a page whose only words besides one-word titles are the text."""
    content = page()
    content["sections"][0] |= {"headline": "Letters", "eyebrow": None, "subheadline": text, "note": None}
    form = next(section for section in content["sections"] if section["kind"] == "form")
    form |= {"title": "Letters", "text": None, "note": None, "submit": "Letters"}
    content["sections"] = [content["sections"][0], form]
    content["meta"] = {"title": "Letters", "description": "Letters"}
    return PageContent.model_validate(content)


@lru_cache
def claim_cases(part: str) -> tuple[Case, ...]:
    data = json.loads((DATA / "claims.json").read_text(encoding="utf-8"))
    briefs = {name: BriefSpec.model_validate(brief) for name, brief in data["briefs"].items()}
    return tuple(
        Case(brief=briefs[name], text=text, is_wrong=label == "block")
        for name, cases in data[part].items() for label in ("pass", "block") for text in cases[label]
    )  # fmt: skip


@lru_cache
def word_cases(gate: str) -> tuple[Case, ...]:
    data = json.loads((DATA / "words.json").read_text(encoding="utf-8"))[gate]
    brief = BriefSpec.model_validate(PLAIN_BRIEF)
    return tuple(
        Case(brief=brief, text=text, is_wrong=label == "block") for label in ("pass", "block") for text in data[label]
    )


def found(case: Case, gate: str) -> list[Finding]:
    return [one for one in examine(page_saying(case.text), case.brief) if one.gate == gate and one.blocks]


def disagreements(cases: tuple[Case, ...], gate: str) -> Iterator[Case]:
    return (case for case in cases if bool(found(case, gate)) != case.is_wrong)


def score(cases: tuple[Case, ...], gate: str) -> Score:
    wrong = list(disagreements(cases, gate))
    missed, false = sum(case.is_wrong for case in wrong), sum(not case.is_wrong for case in wrong)
    bad = sum(case.is_wrong for case in cases)
    return Score(
        blocked_rightly=bad - missed, blocked_wrongly=false, missed=missed, passed=len(cases) - bad - false
    )  # fmt: skip


# Languages: real sentences that nobody here wrote, in the translations that Django ships.

LOCALES = Path(django.__file__).parent
LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "sv", "fi", "pl", "cs", "ro", "hu", "tr", "ru", "el", "ar",
"ja", "ko")  # fmt: skip
FILLED_IN = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|<[^>]*>|\s+|\x04")


@lru_cache
def sentences_in(language: str) -> tuple[str, ...]:
    files = LOCALES.glob(f"**/locale/{'de' if language == 'en' else language}/LC_MESSAGES/django.mo")
    texts: set[str] = set()
    for file in files:
        with file.open("rb") as opened:
            catalogue = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]  # not in the stubs
        texts |= {
            " ".join(FILLED_IN.sub(" ", said).split())
            for asked, said in catalogue.items()
            for said in ((asked if isinstance(asked, str) else asked[0]) if language == "en" else said,)
            if isinstance(said, str) and asked  # the first entry is the file's own description
        }
    return tuple(sorted(text for text in texts if text))


def passages(language: str, words: int, count: int) -> list[str]:
    """Return texts of about so many words; a language without spaces counts four signs as one."""
    rng, pool = random.Random(f"{language} {words}"), sentences_in(language)
    made = []
    for _ in range(count):
        text = rng.choice(pool)
        while (len(text) // 4 if language == "ja" else len(text.split())) < words:
            text = f"{text} {rng.choice(pool)}"
        made.append(text)
    return made


def language_table(judge: Callable[[str, str], str | None], count: int = 40) -> Iterator[tuple[int, float, float]]:
    """Yield, by length in words: the share of pages wrongly refused, and of pages in another language caught."""
    for words in (1, 4, 8, 15, 40, 120):
        right = [(text, code) for code in LANGUAGES for text in passages(code, words, count)]
        wrong = [(text, asked) for text, code in right for asked in LANGUAGES if asked != code]
        refused = sum(judge(text, code) is not None for text, code in right) / len(right)
        caught = sum(judge(text, asked) is not None for text, asked in wrong) / len(wrong)
        yield words, refused, caught


def _print_table() -> None:
    from variants.languages import other_language  # noqa: PLC0415 (only the command needs it)

    sets = [
        ("claims, tuned on", "claims", claim_cases("tuned")),
        ("claims, held out", "claims", claim_cases("held_out")),
        ("deadlines, tuned on", "claims", claim_cases("deadlines")),
        ("deadlines, held out", "claims", claim_cases("deadlines_held_out")),
    ]
    sets += [(gate, gate, word_cases(gate)) for gate in ("aside", "foreign", "disguise")]
    print("| set | sentences | precision | recall | false alarms | missed |\n| --- | --- | --- | --- | --- | --- |")  # noqa: T201
    for name, gate, cases in sets:
        one = score(cases, gate)
        row = f"{len(cases)} | {one.precision:.3f} | {one.recall:.3f} | {one.blocked_wrongly} | {one.missed}"
        print(f"| {name} | {row} |")  # noqa: T201
    print("\n| words | wrongly refused | other languages caught |\n| --- | --- | --- |")  # noqa: T201
    for words, refused, caught in language_table(other_language):
        print(f"| {words} | {refused:.2%} | {caught:.1%} |")  # noqa: T201


if __name__ == "__main__":
    _print_table()
