"""Experiments, goals and leads in the console, and its first page."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.formats import date_format
from django.utils.html import format_html_join
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.views import ChangeList as UnfoldChangeList

from experiments import digest, erasure, lag, lifecycle, standing
from experiments.console import (
    address,
    app_keys,
    beginning,
    breeding,
    costs,
    curating,
    held,
    history,
    imports,
    launching,
    notifications,
    overview,
    people,
    plans,
    running,
    winner,
)
from experiments.console import views as console
from experiments.console.forms import ExperimentForm, GoalForm, GoalFormSet, default_goal
from experiments.models import Experiment, Goal, Lead
from experiments.reporting import wording
from variants.admin import BriefAdmin
from variants.brief import EMAIL_FIELD
from variants.models import Brand, Brief, Nursery

admin.site.index_template = "console/home.html"
admin.site.index_title = "Home"
people.register(admin.site)

DRAFT = Experiment.Status.DRAFT
BEGINNINGS_SHOWN = 3
ONE_WAY_TO_SAVE = {"show_save_and_add_another": False, "show_save_and_continue": False}


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the console's first page shows; settings.py names this function."""
    may_see = request.user.has_perm("experiments.view_experiment")
    shown = _shown(request) if may_see and Experiment.objects.exists() else {}
    return context | {
        "title": "Home",
        "may_see": may_see,
        "unfinished": beginning.new_drafts(request)[:BEGINNINGS_SHOWN],
        "may_add": request.user.has_perm("experiments.add_experiment"),
        "has_brand": bool(shown) or Brand.objects.exists(),
        "first_brief": None if shown else Brief.objects.order_by("-pk").first(),
        **shown,
    }


def _shown(request: HttpRequest) -> dict[str, Any]:
    """Return what the first page shows once there are experiments, in a number of queries that does not grow."""
    page, rows = overview.page(request.GET)
    decisions, more_decisions = overview.decisions()
    faults, more_faults = overview.faults()
    gained = standing.gain(Experiment.objects.filter(standing__isnull=False).values_list("standing", flat=True))
    may_notify = request.user.has_perm(notifications.PERMISSION)
    return {
        "has_any": True,
        "tabs": overview.tabs(request.GET.get("status", "")),
        "status": request.GET.get("status", ""),
        "q": request.GET.get("q", ""),
        "page": page,
        "rows": rows,
        "decisions": decisions,
        "more_decisions": more_decisions,
        "faults": faults,
        "more_faults": more_faults,
        "dead": overview.dead_destinations() if may_notify else [],
        "gained": gained,
        "gained_words": digest.gain_words(gained),
        "delays": lag.measure().sentences(),
    }


# How a goal that cannot be changed any more is shown: methods of GoalInline.
GOAL_IN_WORDS = ("does", "counts_for", "worth", "stops", "decides")


class GoalInline(TabularInline):  # type: ignore[misc]  # unfold publishes no types
    model = Goal
    form = GoalForm
    formset = GoalFormSet
    extra = 0
    verbose_name = "goal"
    verbose_name_plural = "Goals: what counts as a conversion"
    show_title = False  # it would repeat the name

    def get_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        is_form = self.has_change_permission(request, obj)
        return super().get_fields(request, obj) if is_form else ("key", *GOAL_IN_WORDS)

    def get_readonly_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        return () if self.has_change_permission(request, obj) else GOAL_IN_WORDS

    @admin.display(description="A visitor …")
    def does(self, goal: Goal) -> str:
        return goal.does

    @admin.display(description="Counts for")
    def counts_for(self, goal: Goal) -> str:
        return f"{wording.duration(goal.window)} after the first visit"

    @admin.display(description="Worth")
    def worth(self, goal: Goal) -> str:
        return f"{goal.weight:g} beside the other goals" if goal.weight else wording.UNKNOWN

    @admin.display(description="Stops a page if it")
    def stops(self, goal: Goal) -> str:
        return goal.get_guard_display() if goal.guard else "does not stop any"

    @admin.display(description="Decides")
    def decides(self, goal: Goal) -> str:
        return "yes" if goal.is_primary else "no, is counted beside it"

    def has_add_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        return _is_open(obj) and bool(super().has_add_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        return _is_open(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        # Those who may change goals may take one away again; deleting experiments is another matter.
        return self.has_change_permission(request, obj)


class NewGoalInline(GoalInline):
    verbose_name_plural = "Goals: leave this empty for the one that fits the brief"


def _is_open(experiment: Experiment | None) -> bool:
    """Tell whether what the counts stand on may still be changed."""
    return experiment is None or experiment.status == DRAFT


class WorkbenchList(UnfoldChangeList):  # type: ignore[misc]  # unfold publishes no types
    def url_for_result(self, result: Experiment) -> str:
        return overview.workbench_url(result.pk)


admin.site.unregister(Brief)


@admin.register(Brief)
class HeldBriefAdmin(BriefAdmin):
    """Briefs as variants know them; whoever changes one is told which experiments' pages are held against it."""

    def response_change(self, request: HttpRequest, obj: Brief) -> HttpResponse:
        if holding := held.told(obj):
            messages.info(request, holding)
        return super().response_change(request, obj)


@admin.register(Experiment)
class ExperimentAdmin(ModelAdmin):  # type: ignore[misc]  # unfold publishes no types
    form = ExperimentForm
    inlines = (GoalInline,)
    list_display = ("name", "state", "page", "visitors", "conversions", "rate", "set_up")
    list_filter = ("status", "policy")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    warn_unsaved_form = True
    list_disable_select_all = True
    actions = None
    change_form_outer_before_template = "console/settings.html"

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        ours = [*beginning.urls(guard), *console.urls(guard), *imports.urls(guard), *plans.urls(guard)]
        ours += [*notifications.urls(guard), *running.urls(guard), *winner.urls(guard), *breeding.urls(guard)]
        ours += [*curating.urls(guard), *launching.urls(guard), *costs.urls(guard)]
        ours += [*address.urls(guard), *app_keys.urls(guard)]
        return [*ours, *super().get_urls()]

    def get_inlines(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        return (GoalInline,) if obj else (NewGoalInline,)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if self.has_add_permission(request) and not Brief.objects.exists():
            messages.info(request, "An experiment grows from a brief. Write one first; it takes a few minutes.")
            return HttpResponseRedirect(reverse("admin:variants_brief_add"))
        return cast("HttpResponse", super().add_view(request, form_url, {**(extra_context or {}), **ONE_WAY_TO_SAVE}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), **ONE_WAY_TO_SAVE, "title": "Settings"}
        return cast("HttpResponse", super().change_view(request, object_id, form_url, context))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Lead to the history that also tells what the bandit did."""
        return HttpResponseRedirect(reverse("admin:experiments_experiment_timeline", args=[object_id]))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WorkbenchList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Experiment]:
        return overview.with_numbers(super().get_queryset(request))

    @display(  # type: ignore[untyped-decorator]  # unfold publishes no types
        description="Status",
        ordering="status",
        label={"Running": "success", "Paused": "warning", "Draft": "info", "Winner chosen": "primary"},
    )
    def state(self, experiment: Experiment) -> str:
        return overview.STATUS_WORDS[Experiment.Status(experiment.status)]

    @admin.display(description="Address")
    def page(self, experiment: Experiment) -> str:
        return f"/p/{experiment.slug}/"

    @admin.display(description="Visitors", ordering="visitors")
    def visitors(self, experiment: Any) -> str:
        return f"{experiment.visitors:,}"

    @admin.display(description="Conversions", ordering="reached")
    def conversions(self, experiment: Any) -> str:
        return f"{experiment.reached:,}"

    @admin.display(description="Rate")
    def rate(self, experiment: Any) -> str:
        return f"{experiment.reached / experiment.visitors:.1%}" if experiment.visitors else "–"

    @admin.display(description="Set up", ordering="created_at")
    def set_up(self, experiment: Experiment) -> str:
        return date_format(experiment.created_at, overview.DAY)

    def get_fieldsets(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        brief = () if obj else ("brief",)
        return (
            (None, {"fields": ("name", "slug", *brief)}),
            (
                "How visitors are shared out",
                {"fields": ("policy", "control_share", "traffic_share", "visitors_per_day", "planned_days")},
            ),
            (
                "More",
                {
                    "fields": ("has_arm_budget", "consent_required", "confirm_exposures", "currency"),
                    "classes": ("collapse",),
                },
            ),
        )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        if _is_open(obj):
            return ()
        fixed = ("slug", "consent_required", "confirm_exposures", "currency")
        # Sending visitors elsewhere is what starting and stopping is about: it takes the same permission.
        may_move = request.user.has_perm("experiments.start_experiment")
        return fixed if may_move else (*fixed, "policy", "control_share", "traffic_share")

    def get_form(self, request: HttpRequest, obj: Experiment | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if obj is not None:
            form.base_fields.pop("brief", None)
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        newest = Brief.objects.order_by("-pk").values_list("pk", flat=True).first()
        return {"brief": newest, **super().get_changeform_initial_data(request)}

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        return _is_open(obj) and bool(super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Experiment, form: ExperimentForm, change: bool) -> None:  # noqa: FBT001
        if not change:
            obj.nursery = Nursery.objects.create(brief=form.cleaned_data["brief"])
            obj.created_by = cast("User", request.user)  # admin_view lets no stranger in
        for name, value in lifecycle.authored(obj, cast("User", request.user)).items():
            setattr(obj, name, value)
        super().save_model(request, obj, form, change)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Say what was changed, before and after, instead of only where."""
        return "Set it up." if add else history.changed(form, formsets or ())

    def save_related(self, request: HttpRequest, form: ExperimentForm, formsets: Any, change: bool) -> None:  # noqa: FBT001
        super().save_related(request, form, formsets, change)
        experiment = form.instance
        if not change and not experiment.goals.exists():
            default_goal(experiment).save()
        if change and experiment.deployment_id and not lifecycle.publish_or_leave_to_timetable(experiment):
            messages.warning(request, console.LATER)

    def response_add(self, request: HttpRequest, obj: Experiment, post_url_continue: str | None = None) -> HttpResponse:
        goal = obj.goals.get(is_primary=True)
        messages.success(
            request, f"“{obj}” is set up: a visitor who {goal.get_kind_display()} counts. Now grow its variants."
        )
        return HttpResponseRedirect(overview.workbench_url(obj.pk))

    def response_change(self, request: HttpRequest, obj: Experiment) -> HttpResponse:
        messages.success(request, "The settings are saved.")
        return HttpResponseRedirect(overview.workbench_url(obj.pk))


def _labels(brief: Brief) -> dict[str, str]:
    """Return what the page's form calls each field that leads know by its name."""
    fields = brief.form_fields or [EMAIL_FIELD.model_dump()]
    return {field["name"]: field["label"] for field in fields}


@admin.register(Lead)
class LeadAdmin(ModelAdmin):  # type: ignore[misc]  # unfold publishes no types
    list_display = ("sent", "written", "experiment", "page")
    list_filter = ("experiment", "submitted_at")
    list_select_related = ("experiment__nursery__brief", "arm__variant")
    list_before_template = "console/leads.html"
    readonly_fields = ("sent", "experiment", "page", "written")
    fields = readonly_fields
    date_hierarchy = "submitted_at"
    search_fields = ("pk",)  # turns the box on; get_search_results looks at what people wrote
    search_help_text = "Find what somebody wrote, such as an e-mail address."
    actions = None
    change_form_before_template = "console/lead.html"
    delete_confirmation_template = "console/erase.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Lead], search_term: str
    ) -> tuple[QuerySet[Lead], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.annotate(text=Cast("values", TextField())).filter(text__icontains=search_term.strip()), False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Leave out Django's own button, which says "delete"; the template above the form has one in our words."""
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), "show_delete": False})

    def delete_model(self, request: HttpRequest, obj: Lead) -> None:
        erasure.erase_lead(obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        messages.success(request, "Erased: what this person wrote, and what was kept of their visit.")
        return HttpResponseRedirect(reverse("admin:experiments_lead_changelist"))

    @admin.display(description="Sent (UTC)", ordering="submitted_at")
    def sent(self, lead: Lead) -> str:
        return date_format(lead.submitted_at, overview.MINUTE)

    @admin.display(description="What they wrote")
    def written(self, lead: Lead) -> str:
        labels = _labels(lead.experiment.nursery.brief)
        told = [(labels.get(name, name), value) for name, value in lead.values.items()]
        return format_html_join("", '<div><span class="gh-quiet">{}</span> {}</div>', told)

    @admin.display(description="Page")
    def page(self, lead: Lead) -> str:
        return str(lead.arm.variant) if lead.arm else "–"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        with_leads = Experiment.objects.filter(leads__isnull=False).distinct().order_by("name")
        return cast(
            "HttpResponse", super().changelist_view(request, {**(extra_context or {}), "with_leads": with_leads})
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Lead | None = None) -> bool:
        return False
