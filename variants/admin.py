"""Brands, their pictures, and briefs in the console."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.widgets import (
    UnfoldAdminColorInputWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
)

from variants.console.brief_form import WAITS, BriefForm
from variants.console.pictures import MOST_BYTES, BadPicture, Picture, read_picture
from variants.models import Brand, Brief, Image, Lesson


class ImageForm(forms.ModelForm[Image]):
    upload = forms.FileField(
        required=False,
        label="File",
        widget=UnfoldAdminFileFieldWidget({"accept": "image/png,image/jpeg,image/webp"}),
        help_text="PNG, JPEG or WebP, at most 2 MB. Places and names hidden in the file are removed.",
    )

    class Meta:
        model = Image
        fields = ("name", "alt")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        upload: UploadedFile[bytes] | None = values.get("upload")
        if upload is None and self.instance.pk is None and "upload" not in self.errors:
            self.add_error("upload", "Choose a file.")
        if upload is not None:
            values["picture"] = self._read(upload)
        return values

    def _read(self, upload: UploadedFile[bytes]) -> Picture | None:
        try:
            # One byte more than allowed is enough to know that a file is too large.
            return read_picture(upload.read(MOST_BYTES + 1))
        except BadPicture as error:
            self.add_error("upload", str(error))
            return None

    def save(self, commit: bool = True) -> Image:  # noqa: FBT001, FBT002 - Django's signature
        picture: Picture | None = self.cleaned_data.get("picture")
        if picture is not None:
            for name in ("data", "content_type", "width", "height", "sha256"):
                setattr(self.instance, name, getattr(picture, name))
        return super().save(commit)


class ImageInline(StackedInline):  # type: ignore[misc]  # unfold publishes no types
    model = Image
    form = ImageForm
    extra = 0
    fields = ("upload", "name", "alt", "shown")
    readonly_fields = ("shown",)
    verbose_name = "picture"
    verbose_name_plural = "Pictures"

    @admin.display(description="Now")
    def shown(self, image: Image) -> str:
        if not image.pk:
            return "Nothing uploaded yet"
        url = reverse("admin:variants_brand_picture", args=[image.pk])
        return format_html(
            '<img class="gh-picture" src="{}" alt="{}"> {} × {} pixels', url, image.alt, image.width, image.height
        )


class LessonInline(TabularInline):  # type: ignore[misc]  # unfold publishes no types
    """What experiments taught: the writer of the brand's next pages is told of it."""

    model = Lesson
    extra = 0
    fields = ("text", "source", "is_used")
    readonly_fields = ("source",)
    verbose_name = "lesson"
    verbose_name_plural = "Lessons: what the writer of new pages is told"

    # Who may change a brand may change what its writer is told.
    def has_view_permission(self, request: HttpRequest, obj: Brand | None = None) -> bool:
        return request.user.has_perm("variants.view_brand")

    def has_add_permission(self, request: HttpRequest, obj: Brand | None = None) -> bool:
        return request.user.has_perm("variants.change_brand")

    has_change_permission = has_add_permission
    has_delete_permission = has_add_permission


@admin.register(Brand)
class BrandAdmin(ModelAdmin):  # type: ignore[misc]  # unfold publishes no types
    list_display = ("name", "voice", "colours")
    actions = None
    search_fields = ("name",)
    inlines = (ImageInline, LessonInline)
    fieldsets = (
        (None, {"fields": ("name", "voice")}),
        ("Look", {"fields": ("primary_colour", "accent_colour", "logo")}),
        ("Small print", {"fields": ("legal_footer", "privacy_url")}),
        ("Approval", {"fields": ("four_eyes",)}),
    )
    warn_unsaved_form = True

    def get_readonly_fields(self, request: HttpRequest, obj: Brand | None = None) -> Any:
        # Whoever is held by it must not take it off.
        return () if request.user.is_superuser else ("four_eyes",)

    @admin.display(description="Colours")
    def colours(self, brand: Brand) -> str:
        # SVG, because its fill is an attribute: a style attribute would need a laxer policy for styles.
        return format_html(
            '<svg class="gh-swatch" viewBox="0 0 2 1" aria-hidden="true"><rect width="1" height="1" fill="{}"/>'
            '<rect x="1" width="1" height="1" fill="{}"/></svg>',
            brand.primary_colour,
            brand.accent_colour,
        )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in {"primary_colour", "accent_colour"}:
            kwargs["widget"] = UnfoldAdminColorInputWidget
        if db_field.name == "legal_footer":
            kwargs["widget"] = UnfoldAdminTextareaWidget({"rows": 2})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: Brand | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if "logo" in form.base_fields:
            logo = form.base_fields["logo"]
            logo.queryset = Image.objects.filter(brand=obj).defer("data")
            logo.help_text = "One of the pictures below. Add it there first, save, then choose it here."
            for part in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
                setattr(logo.widget, part, False)
        return form

    def response_change(self, request: HttpRequest, obj: Brand) -> HttpResponse:
        messages.info(request, WAITS)
        return cast("HttpResponse", super().response_change(request, obj))

    def get_urls(self) -> list[URLPattern]:
        shown = path("pictures/<int:pk>/", self.admin_site.admin_view(self.picture), name="variants_brand_picture")
        return [shown, *super().get_urls()]

    def picture(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show an uploaded picture to people who may see the brand."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        image = get_object_or_404(Image, pk=pk)
        return HttpResponse(bytes(image.data), content_type=image.content_type)


@admin.register(Brief)
class BriefAdmin(ModelAdmin):  # type: ignore[misc]  # unfold publishes no types
    form = BriefForm
    list_display = ("name", "brand", "asks_for", "written")
    actions = None
    list_filter = ("brand",)
    list_select_related = ("brand",)
    search_fields = ("name", "product")
    warn_unsaved_form = True
    change_form_outer_before_template = "console/brief.html"
    conditional_fields = {
        "call_to_action_url": "call_to_action_kind == 'link'",
        "form_fields": "call_to_action_kind == 'form'",
        "thank_you": "call_to_action_kind == 'form'",
    }
    fieldsets = (
        (None, {"fields": ("name", "brand")}),
        ("What you offer", {"fields": ("product", "audience", "offer")}),
        ("What pages may say", {"fields": ("facts", "angles", "must_say", "never_say", "tone", "language")}),
        (
            "What visitors are asked to do",
            {
                "fields": (
                    "call_to_action_label", "call_to_action_kind", "call_to_action_url", "form_fields", "thank_you",
                    ("secondary_label", "secondary_url"),
                )
            },
        ),
    )  # fmt: skip

    @admin.display(description="Asks visitors to")
    def asks_for(self, brief: Brief) -> str:
        return f"{brief.get_call_to_action_kind_display()} (“{brief.call_to_action_label}”)"

    @admin.display(description="Written", ordering="created_at")
    def written(self, brief: Brief) -> str:
        return date_format(brief.created_at, "j M Y")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in {"product", "audience", "offer", "thank_you"}:
            kwargs["widget"] = UnfoldAdminTextareaWidget({"rows": 3})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def response_change(self, request: HttpRequest, obj: Brief) -> HttpResponse:
        messages.info(request, WAITS)
        return cast("HttpResponse", super().response_change(request, obj))

    def save_model(self, request: HttpRequest, obj: Brief, form: BriefForm, change: bool) -> None:  # noqa: FBT001
        if form.spec is not None:
            obj.take(form.spec)
        if not change:
            obj.created_by = cast("User", request.user)
        super().save_model(request, obj, form, change)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        one_way_to_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        context = {**(extra_context or {}), **one_way_to_save}
        return cast("HttpResponse", super().changeform_view(request, object_id, form_url, context))

    def response_add(self, request: HttpRequest, obj: Brief, post_url_continue: str | None = None) -> HttpResponse:
        if "_popup" in request.POST:
            return cast("HttpResponse", super().response_add(request, obj, post_url_continue))
        messages.success(request, f"The brief “{obj}” is saved. Next: an experiment that grows from it.")
        return HttpResponseRedirect(reverse("admin:index"))
