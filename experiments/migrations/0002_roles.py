"""Creates the three roles. What they may do can be changed in the console afterwards."""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

WRITTEN = ("variants.brand", "variants.brief", "variants.image", "variants.variant", "experiments.experiment",
           "experiments.goal")  # fmt: skip
SEEN = (*WRITTEN, "variants.nursery", "variants.generation", "experiments.arm", "experiments.allocation",
        "experiments.deployment", "experiments.tally")  # fmt: skip

VIEW = [(model, "view") for model in SEEN]
LEADS = [("experiments.lead", "view")]
ERASE = [("experiments.lead", "delete")]
SHARE = [("experiments.sharelink", "add"), ("experiments.sharelink", "view")]
AUTHOR = [
    *[(model, action) for model in WRITTEN for action in ("add", "change")],
    ("variants.generation", "add"),
    # A picture or a goal may be taken away again; brands, briefs, experiments and pages stay for the record.
    ("variants.image", "delete"),
    ("experiments.goal", "delete"),
]
ROLES = {
    "Author": [*VIEW, *LEADS, *SHARE, *AUTHOR],
    "Approver": [*VIEW, *LEADS, *ERASE, *SHARE, ("variants.variant", "approve"), ("experiments.experiment", "start")],
    "Viewer": VIEW,
}
NAMES = {"approve": "Can approve or reject variants", "start": "Can start, pause, stop and promote experiments"}


def create_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    group_model = apps.get_model("auth", "Group")
    for role, wanted in ROLES.items():
        group, _ = group_model.objects.get_or_create(name=role)
        group.permissions.add(*(_permission(apps, model, action) for model, action in wanted))


def _permission(apps: Apps, model: str, action: str) -> Any:
    # Django creates permissions only after all migrations; it keeps those it finds.
    label, name = model.split(".")
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label=label, model=name)
    verbose_name = apps.get_model(label, name)._meta.verbose_name
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type,
        codename=f"{action}_{name}",
        defaults={"name": NAMES.get(action, f"Can {action} {verbose_name}")},
    )
    return permission


def delete_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0001_initial"),
        ("variants", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(create_roles, delete_roles)]
