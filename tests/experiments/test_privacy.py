"""What people write and who they are stands in the lead alone: planted canaries are looked for everywhere else."""

from pathlib import Path

import pytest
from django.apps import apps

from experiments import counting, erasure
from experiments.models import Experiment, Lead
from experiments.splitter.stores import Chunk, MemoryStore
from tests.experiments.splitter.planting import document, publish
from tests.experiments.splitter.serving import CHROME, Site, serving
from tests.factories import make_running

pytestmark = pytest.mark.django_db

ADDRESS = "203.0.113.77"
EMAIL = "jane@canary.example"
SECRETS = ["canary-query", "canary-path", "canary-agent", "canary-fragment", "canary-event", "canary-cookie"]


def visit(site: Site) -> None:
    """Come by an ad, look around, fill in the form, report nonsense."""
    browser = site.browser(
        X_Forwarded_For=ADDRESS,
        User_Agent=f"{CHROME} canary-agent",
        Referer="https://news.example/canary-path?q=canary-query",
        Cookie="session=canary-cookie",
    )
    page = "/p/paperless/"
    browser.get(f"{page}?utm_source=mail&email={EMAIL}&token=canary-query")
    browser.headers["Referer"] = f"http://127.0.0.1:{site.port}{page}?utm_source=mail&token=canary-query"
    browser.form(page + "form", b"email=nonsense+canary-event&size=S")
    browser.form(page + "form", f"email={EMAIL}&size=S&x=canary-event".encode())
    browser.post(page + "event", b'{"goal": "canary-event"}')
    browser.post(page + "event", b"canary-event")
    browser.get(page + "go/cta?x=canary-query")
    browser.get(page + "go/canary-path")
    browser.post(page + "seen?referrer=news.example/canary-path", b"")


@pytest.fixture
def counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> tuple[Experiment, str, str]:
    """Return the experiment, what stands in journals, and what /metrics, /readyz, logs and the terminal say."""
    caplog.set_level("DEBUG")
    experiment = make_running()
    store = MemoryStore()
    publish(store, document(store, experiment=experiment.pk, slug="paperless"))
    with serving(tmp_path, store, trusted_proxy_count=1) as site:
        visit(site)
        site.splitter.tend()
        journals = b"".join(path.read_bytes() for path in (tmp_path / "journal").glob("*.journal"))
        said = site.browser().get("/metrics").body + site.browser().get("/readyz").body
    shipped = MemoryStore()
    shipped.ship(Chunk(journal="a" * 32, start=0, end=len(journals), data=journals))
    counting.count(shipped)
    return experiment, journals.decode(), said.decode() + caplog.text + "".join(capfd.readouterr())


def tables() -> str:
    """Return every row of our own tables as text."""
    models = apps.get_app_config("experiments").get_models()
    return "\n".join(str(row) for model in models for row in model._default_manager.values())


def test_no_journal_holds_more_than_the_lead_and_the_campaign(counted: tuple[Experiment, str, str]):
    _, journals, _ = counted
    assert [canary for canary in [ADDRESS, *SECRETS] if canary in journals] == []
    assert journals.count(EMAIL) == 1
    assert '"utm_source":"mail"' in journals
    assert '"referrer":"news.example"' in journals


def test_the_database_holds_them_in_the_lead_alone(counted: tuple[Experiment, str, str]):
    everything = tables()
    assert [canary for canary in [ADDRESS, *SECRETS] if canary in everything] == []
    assert everything.count(EMAIL) == 1
    assert Lead.objects.get().values["email"] == EMAIL


def test_metrics_and_logs_hold_nothing_of_anybody(counted: tuple[Experiment, str, str]):
    _, _, said = counted
    assert "greenhouse_visitor_total" in said
    assert "was refused" in said  # the event of a goal that the database does not know
    assert [canary for canary in [ADDRESS, EMAIL, *SECRETS] if canary in said] == []


def test_after_an_erasure_nothing_is_left(counted: tuple[Experiment, str, str]):
    lead = Lead.objects.get()
    erasure.erase_lead(lead)
    everything = tables()
    assert EMAIL not in everything
    assert lead.visitor
    assert lead.visitor not in everything
