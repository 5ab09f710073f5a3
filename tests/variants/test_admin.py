"""Briefs, brands and pictures as people type and upload them."""

import hashlib
import io
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import ValidationError
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from tests.factories import make_brief, page
from variants.console.brief_form import BriefForm, FactsField, FormFieldsField, LinesField, field_name
from variants.console.page_form import PageForm, slots
from variants.console.pictures import MOST_BYTES, BadPicture, read_picture
from variants.content import PageContent
from variants.models import Brand, Brief, Image, Lesson


@pytest.fixture
def author(db: None) -> Client:
    user = User.objects.create_user("author", password="a-long-enough-password", is_staff=True)
    user.groups.add(Group.objects.get(name="Author"))
    client = Client()
    client.force_login(user)
    return client


def typed(brand: Brand, **changes: str) -> dict[str, str]:
    """Return a brief as a browser sends it."""
    return {
        "name": "Spring", "brand": str(brand.pk), "product": "A bicycle repair.", "audience": "Commuters.",
        "offer": "A free check.", "facts": "Repairs start at 29 euros. -- price list\n\nSince 2014.",
        "angles": "Ready tomorrow", "must_say": "", "never_say": "cheap\nbest", "tone": "calm", "language": "en",
        "call_to_action_label": "Book", "call_to_action_kind": "form", "call_to_action_url": "", "secondary_label": "",
        "secondary_url": "", "form_fields": "", "thank_you": "Thank you.", **changes,
    }  # fmt: skip


def save(client: Client, **changes: str) -> Any:
    return client.post(reverse("admin:variants_brief_add"), typed(Brand.objects.create(name="Wheels"), **changes))


# --- briefs ---------------------------------------------------------------------------------------------------------


def test_a_brief_is_written_without_any_notation(author: Client):
    save(author)
    spec = Brief.objects.get().spec()
    assert [(fact.text, fact.source) for fact in spec.facts] == [
        ("Repairs start at 29 euros.", "price list"),
        ("Since 2014.", "from the brief"),
    ]
    assert spec.never_say == ["cheap", "best"]
    assert [field.name for field in spec.form_fields] == ["email"]


def test_the_author_is_kept(author: Client):
    save(author)
    assert Brief.objects.get().created_by == User.objects.get(username="author")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"call_to_action_kind": "link"}, "call_to_action_url", "“fill in the form on the page” under “Pressing it"),
        ({"call_to_action_kind": "link", "call_to_action_url": "shop.example"}, "call_to_action_url", "https://"),
        ({"secondary_label": "More"}, "secondary_url", "fill this in"),
        ({"secondary_url": "https://a.example"}, "secondary_label", "fill this in"),
        ({"language": "English"}, "language", "use one such as en or de-CH"),
        ({"facts": "Fine.\n" + "x" * 401}, "facts", "Line 2: This has 401 characters; the most is 400."),
        ({"angles": "x" * 121}, "angles", "Line 1: This has 121 characters"),
        ({"form_fields": "Team | wat"}, "form_fields", "“wat” is not a kind of field"),
        ({"form_fields": "Team | choice | optional"}, "form_fields", "needs at least one"),
        ({"form_fields": "Name\nName"}, "form_fields", "name of its own"),
        ({"product": ""}, "product", "required"),
        ({"never_say": "a\u202eb"}, "never_say", "hidden character"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(changes: dict[str, str], field: str, words: str, author: Client):
    form = save(author, **changes).context["adminform"].form
    assert not Brief.objects.exists()
    assert words in " ".join(form.errors[field])


def test_without_a_brand_the_brief_leads_to_one(author: Client):
    address = reverse("admin:variants_brief_add")
    link = f'<a href="{reverse("admin:variants_brand_add")}">Add a brand</a>'
    assert link in author.get(address).content.decode()
    Brand.objects.create(name="Wheels")
    assert link not in author.get(address).content.decode()


def test_the_form_of_a_brief_says_what_it_is(author: Client):
    body = author.get(reverse("admin:variants_brief_add")).content.decode()
    assert "<h2>New brief</h2>" in body
    assert ">Variants<" not in body


def test_what_was_saved_can_be_saved_again_unchanged(author: Client):
    save(author, form_fields="E-mail address | e-mail | required\nTeam size | choice | optional | 1–10, more")
    brief = Brief.objects.get()
    before = brief.spec()
    address = reverse("admin:variants_brief_change", args=[brief.pk])
    form = author.get(address).context["adminform"].form
    author.post(address, {name: form[name].value() or "" for name in form.fields})
    brief.refresh_from_db()
    assert brief.spec() == before


def test_a_field_keeps_the_name_its_leads_have(author: Client):
    brief = make_brief(form_fields=[{"name": "mail", "label": "Your e-mail", "kind": "email", "is_required": True}])
    changes = {"form_fields": "Your e-mail | e-mail | required\nCity"}
    author.post(reverse("admin:variants_brief_change", args=[brief.pk]), typed(brief.brand, **changes))
    brief.refresh_from_db()
    assert [field.name for field in brief.spec().form_fields] == ["mail", "city"]


def test_a_dash_inside_a_sentence_is_not_a_source():
    assert FactsField().clean("Open daily – also on Sundays") == [{"text": "Open daily – also on Sundays"}]


def test_only_the_last_dash_begins_the_source():
    assert FactsField().clean("One — two — the manual") == [{"text": "One — two", "source": "the manual"}]


@pytest.mark.parametrize(
    ("line", "kind", "required"),
    [
        ("Work e-mail", "email", "required"),
        ("Phone | phone | optional", "tel", "optional"),
        ("About you | long text", "textarea", "required"),
    ],
)
def test_a_form_field_is_one_line(line: str, kind: str, required: str):
    [field] = FormFieldsField().clean(line)
    assert (field["kind"], field["is_required"]) == (kind, required == "required")


def test_an_unknown_kind_names_the_kinds_there_are():
    with pytest.raises(ValidationError, match="e-mail, text, phone"):
        FormFieldsField().clean("Team | dropdown")


@pytest.mark.parametrize(
    ("label", "name"), [("Your company", "your_company"), ("2nd choice", "field_2nd_choice"), ("Größe?", "gr_e")]
)
def test_names_of_fields_follow_their_labels(label: str, name: str):
    assert field_name(label) == name


def test_lists_are_lines_without_the_empty_ones():
    assert LinesField().clean(" one \r\n\r\n two") == ["one", "two"]


# --- pictures -------------------------------------------------------------------------------------------------------


def encoded(kind: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    packed = io.BytesIO()
    Picture.new(mode, size, "red").save(packed, kind, **options)
    return packed.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_keeps_its_kind_and_size(kind: str):
    picture = read_picture(encoded(kind))
    assert (picture.content_type, picture.width, picture.height) == (f"image/{kind.lower()}", 40, 30)
    assert picture.sha256 == hashlib.sha256(picture.data).hexdigest()


def test_what_hides_in_a_picture_is_gone():
    secret = PngInfo()
    secret.add_text("Comment", "taken at home")
    exif = Picture.Exif()
    exif[0x010E] = "taken at home"
    for upload in (encoded("PNG", pnginfo=secret) + b"<script>", encoded("JPEG", exif=exif) + b"<script>"):
        picture = read_picture(upload)
        assert b"taken at home" not in picture.data
        assert b"<script>" not in picture.data


def test_a_photograph_stands_upright_without_its_exif():
    exif = Picture.Exif()
    exif[0x0112] = 6  # turned by 90 degrees (EXIF 2.32, table 4)
    picture = read_picture(encoded("JPEG", exif=exif))
    assert (picture.width, picture.height) == (30, 40)


def test_transparency_is_kept():
    packed = io.BytesIO()
    Picture.new("RGBA", (4, 4), (255, 0, 0, 0)).save(packed, "PNG")
    kept = Picture.open(io.BytesIO(read_picture(packed.getvalue()).data)).convert("RGBA")
    assert kept.getpixel((0, 0))[3] == 0  # type: ignore[index]  # RGBA pixels are tuples


@pytest.mark.parametrize(
    ("upload", "words"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "not a PNG, JPEG or WebP"),
        (encoded("GIF", mode="P"), "not a PNG, JPEG or WebP"),
        (encoded("PNG")[:60], "damaged"),
        (b"", "not a PNG, JPEG or WebP"),
        (b"\xff" * (MOST_BYTES + 1), "the most is 2 MB"),
        (encoded("PNG", size=(6000, 6000)), "too many"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_way_out(upload: bytes, words: str):
    with pytest.raises(BadPicture, match=words):
        read_picture(upload)


def with_picture(upload: bytes, name: str = "logo.png") -> dict[str, Any]:
    return {
        "name": "Wheels", "voice": "", "primary_colour": "#0b6e4f", "accent_colour": "#f2a541", "legal_footer": "",
        "privacy_url": "", "logo": "", "images-TOTAL_FORMS": "1", "images-INITIAL_FORMS": "0",
        "lessons-TOTAL_FORMS": "0", "lessons-INITIAL_FORMS": "0",
        "images-0-upload": SimpleUploadedFile(name, upload), "images-0-name": "logo", "images-0-alt": "A wheel",
    }  # fmt: skip


def test_a_brand_takes_its_pictures(author: Client):
    author.post(reverse("admin:variants_brand_add"), with_picture(encoded("PNG")))
    image = Image.objects.get()
    assert (image.brand.name, image.width, image.content_type) == ("Wheels", 40, "image/png")
    shown = author.get(reverse("admin:variants_brand_picture", args=[image.pk]))
    assert hashlib.sha256(shown.content).hexdigest() == image.sha256


def test_a_bad_picture_is_refused_beside_the_file(author: Client):
    answer = author.post(reverse("admin:variants_brand_add"), with_picture(b"MZ not a picture", name="logo.png.exe"))
    assert "This is not a PNG, JPEG or WebP picture." in answer.content.decode()
    assert not Brand.objects.exists()


def test_pictures_are_not_shown_to_strangers(client: Client, author: Client):
    author.post(reverse("admin:variants_brand_add"), with_picture(encoded("PNG")))
    address = reverse("admin:variants_brand_picture", args=[Image.objects.get().pk])
    assert client.get(address).status_code == 302
    client.force_login(User.objects.create_user("stranger", is_staff=True))
    assert client.get(address).status_code == 403


# --- the form of a page ---------------------------------------------------------------------------------------------


def whole_page() -> PageContent:
    """Return a page with every kind of section."""
    content = page()
    content["sections"] += [
        {"kind": "benefits", "title": "B", "items": [{"title": "One", "text": "1"}, {"title": "Two", "text": "2"}]},
        {"kind": "how_it_works", "title": "H", "steps": [{"title": "S", "text": "s"}, {"title": "T", "text": "t"}]},
        {"kind": "proof", "title": "P", "figures": [{"value": "9", "label": "lives"}]},
        {"kind": "pricing", "title": "C", "plans": [{"name": "A", "price": "1 €", "features": ["f", "g"]}]},
        {"kind": "faq", "title": "Q", "items": [{"question": "q", "answer": "a\nb"}]},
        {"kind": "call_to_action", "title": "Go", "call_to_action": "Go"},
    ]
    return PageContent.model_validate(content)


def sent(form: PageForm, **changes: str) -> dict[str, Any]:
    return {name: form[name].value() or "" for name in form.fields} | changes


def test_a_form_sent_back_untouched_is_the_same_page():
    content = whole_page()
    form = PageForm(content, [], sent(PageForm(content, [])))
    assert form.is_valid(), form.errors
    assert form.content == content


def test_every_text_has_its_limit_beside_it():
    form = PageForm(whole_page(), [])
    limits = {name: field.widget.attrs.get("data-limit") for name, field in form.fields.items()}
    assert limits["sections.0.headline"] == "90"
    assert limits["sections.6.items.0.answer"] == "600"


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        ("sections.2.items.1.title", "x" * 61, "sections.2.items.1.title"),
        ("sections.5.plans.0.features", "ok\n" + "x" * 91, "sections.5.plans.0.features"),
        ("sections.5.plans.0.features", "", "sections.5.plans.0.features"),
        ("meta.title", "", "meta.title"),
        ("theme.layout", "diagonal", "theme.layout"),
    ],
)
def test_each_fault_of_a_page_is_shown_at_its_field(place: str, value: str, field: str):
    content = whole_page()
    form = PageForm(content, [], sent(PageForm(content, []), **{place: value}))
    assert list(form.errors) == [field]


def test_an_optional_text_can_be_taken_away():
    content = whole_page()
    form = PageForm(content, [], sent(PageForm(content, []), **{"sections.0.note": " ", "sections.0.eyebrow": "New"}))
    assert form.is_valid()
    assert form.content is not None
    assert (form.content.hero.note, form.content.hero.eyebrow) == (None, "New")


def test_a_picture_is_chosen_from_those_of_the_brand():
    content = whole_page()
    form = PageForm(content, ["app"], sent(PageForm(content, ["app"]), **{"sections.0.image": "another"}))
    assert list(form.errors) == ["sections.0.image"]


def test_no_slot_is_left_out_of_the_form():
    places = [slot.place for slot in slots(whole_page())]
    assert len(places) == len(set(places))
    assert {"angle", "meta.description", "theme.typography", "sections.1.submit"} <= set(places)


# --- lessons --------------------------------------------------------------------------------------------------------


def test_what_experiments_taught_stands_on_the_brand_for_whoever_may_see_it(author: Client):
    brand = Brand.objects.create(name="Wheels")
    Lesson.objects.create(brand=brand, text="Proof first: +9% conversions, between +2% and +17%.", source="Spring")
    shown = author.get(reverse("admin:variants_brand_change", args=[brand.pk])).content.decode()
    assert "what the writer of new pages is told" in shown
    assert "Proof first: +9% conversions" in shown


def test_a_history_names_only_the_fields_of_a_brief_that_were_changed(author: Client):
    brief = make_brief(
        form_fields=[{"name": "email", "label": "E-mail", "kind": "email", "is_required": True, "max_length": 254}],
        must_say=["Free of charge"],
    )  # fmt: skip
    address = reverse("admin:variants_brief_change", args=[brief.pk])
    form = BriefForm(instance=brief)
    sent = {name: form[name].value() or "" for name in form.fields} | {"thank_you": "Until soon."}
    sent = {name: form.fields[name].prepare_value(value) for name, value in sent.items()}
    assert author.post(address, sent).status_code == 302
    brief.refresh_from_db()
    assert brief.thank_you == "Until soon."
    told = LogEntry.objects.get(object_id=str(brief.pk)).get_change_message()
    assert told == "Changed Thank-you text."
