"""The API's part about what reaches outside: links to the report, an address of the marketer's, apps with a key."""

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router, Schema
from ninja.pagination import paginate
from pydantic import AwareDatetime, ConfigDict, Field

from experiments import addresses, deeds, deployment
from experiments.console.app_keys import AppForm
from experiments.models import AppKey, Experiment, ShareLink
from experiments.reporting import share
from variants.problems import Conflict, Invalid, Paged, require
from variants.text import OptionalLine

router = Router(tags=["outside"])

SHARE = "experiments.add_sharelink"
NUL_FREE = r"^[^\x00]*$"  # PostgreSQL keeps no NUL


class LinkIn(Schema):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[OptionalLine, Field(max_length=80)] = ""  # who it is for


class LinkOut(Schema):
    id: int
    name: str
    url: str  # opens the report without a login
    card_url: str  # opens its card, for an <iframe>
    created_at: AwareDatetime
    last_used_at: AwareDatetime | None

    @staticmethod
    def resolve_url(link: ShareLink) -> str:
        return share.url_of(link)

    @staticmethod
    def resolve_card_url(link: ShareLink) -> str:
        return share.card_url_of(link)


@router.get("/experiments/{experiment_id}/links", response=list[LinkOut])
@paginate(Paged)
def links(request: HttpRequest, experiment_id: int) -> Any:
    """List the links that open an experiment's report, newest first."""
    require(request, SHARE)
    return share.good_links(get_object_or_404(Experiment, pk=experiment_id)).order_by("-pk")


@router.post("/experiments/{experiment_id}/links", response={HTTPStatus.CREATED: LinkOut})
def make_link(request: HttpRequest, experiment_id: int, payload: LinkIn) -> ShareLink:
    """Make a link to the report that can be taken back by itself."""
    user = require(request, SHARE)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    made = share.make_link(experiment, by=user, name=payload.name.strip())
    deeds.record(experiment, user, share.made_words(made))
    return made


@router.delete("/experiments/{experiment_id}/links/{link_id}", response={HTTPStatus.NO_CONTENT: None})
def revoke_link(request: HttpRequest, experiment_id: int, link_id: int) -> None:
    """Take one link back, at once. Taking it back twice changes nothing."""
    user = require(request, SHARE)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    link = get_object_or_404(ShareLink, pk=link_id, experiment=experiment)
    if share.revoke(experiment, link.pk):
        deeds.record(experiment, user, share.revoked_words(link))


class AddressIn(Schema):
    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, Field(max_length=200, pattern=NUL_FREE)]  # "" for /p/…/ here


class AddressOut(Schema):
    address: str  # where visitors find the page
    is_own: bool  # on a site of the marketer's
    look: dict[str, Any] | None  # what the last look there found: verdict, sentence, findings, technical


@router.get("/experiments/{experiment_id}/address", response=AddressOut)
def read_address(request: HttpRequest, experiment_id: int) -> AddressOut:
    """Return where visitors find the page, and what a look there found."""
    require(request, "experiments.view_experiment")
    return _address_of(get_object_or_404(Experiment, pk=experiment_id))


@router.put("/experiments/{experiment_id}/address", response=AddressOut)
def give_address(request: HttpRequest, experiment_id: int, payload: AddressIn) -> AddressOut:
    """Show the page at an address of the marketer's, or take that away."""
    user = require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    try:
        address = addresses.normal(payload.address)
        if address != experiment.address:
            addresses.give(experiment, address, by=user)
            deeds.record(experiment, user, addresses.given_words(address))
    except addresses.WrongAddress as error:
        raise Invalid([{"field": "address", "reason": str(error)}]) from error
    return _address_of(experiment)


@router.post("/experiments/{experiment_id}/address/look", response=AddressOut)
def look(request: HttpRequest, experiment_id: int) -> AddressOut:
    """Visit the page there as new visitors do, uncounted, and say whether each of them gets a page of their own."""
    require(request, "experiments.change_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if experiment.deployment_id is None:
        raise Conflict("Nothing is live yet. Start the experiment first.")
    addresses.look(experiment, now=timezone.now(), guard=addresses.guard())
    experiment.refresh_from_db()
    return _address_of(experiment)


def _address_of(experiment: Experiment) -> AddressOut:
    address, kept = deployment.page_address(experiment), experiment.address_check
    return AddressOut(
        address=address, is_own=bool(experiment.address), look=kept if kept and kept["address"] == address else None
    )


class AppIn(Schema):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[OptionalLine, Field(max_length=80)]
    origins: list[str] = []  # sites from which a browser may use the key, such as https://shop.example


class AppOut(Schema):
    id: int
    name: str
    key: str  # publishable: it opens nothing but the experiments it names
    origins: list[str]
    created_at: AwareDatetime

    @staticmethod
    def resolve_origins(app: AppKey) -> list[str]:
        return app.origins.split()


@router.get("/experiments/{experiment_id}/apps", response=list[AppOut])
@paginate(Paged)
def apps(request: HttpRequest, experiment_id: int) -> Any:
    """List the apps that may ask for this experiment's arms."""
    require(request, "experiments.change_experiment")
    return get_object_or_404(Experiment, pk=experiment_id).app_keys.filter(revoked_at=None).order_by("pk")


@router.post("/experiments/{experiment_id}/apps", response={HTTPStatus.CREATED: AppOut})
def make_app(request: HttpRequest, experiment_id: int, payload: AppIn) -> AppKey:
    """Make a key by which an app may ask for this experiment's arms."""
    user = require(request, "experiments.change_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    form = AppForm({"name": payload.name, "origins": "\n".join(payload.origins)})
    if not form.is_valid():
        faults = form.errors.get_json_data()
        raise Invalid([{"field": field, "reason": told["message"]} for field in faults for told in faults[field]])
    made = AppKey.objects.create(**form.cleaned_data, created_by=user)
    made.experiments.add(experiment)
    deeds.record(experiment, user, f"The app “{made}” may ask for this page.")
    return made


@router.delete("/experiments/{experiment_id}/apps/{app_id}", response={HTTPStatus.NO_CONTENT: None})
def keep_app_out(request: HttpRequest, experiment_id: int, app_id: int) -> None:
    """Keep an app out of this experiment; its key still opens the others that it names."""
    user = require(request, "experiments.change_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    app = get_object_or_404(experiment.app_keys, pk=app_id)
    app.experiments.remove(experiment)
    deeds.record(experiment, user, f"The app “{app}” may not ask for this page any more.")
