import pytest

from variants.models import Brand, Brief, Nursery


@pytest.fixture
def nursery(db):
    brief = Brief.objects.create(
        brand=Brand.objects.create(name="Paperless"),
        name="Spring page",
        product="Paperless-ngx turns paper into a searchable archive.",
        audience="Small offices that drown in letters.",
        offer="Download it and run it on your own server.",
        facts=["It recognises more than 100 languages.", "It is open source.", "Documents are saved as PDF/A."],
        angles=["Find any letter", "Peace of mind"],
        call_to_action_label="Get the guide",
    )
    return Nursery.objects.create(brief=brief)
