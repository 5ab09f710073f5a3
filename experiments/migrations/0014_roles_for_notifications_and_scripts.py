"""Lets Approvers set who is told of what, and makes a role of its own for pages that bring their own scripts.

Such scripts run on the address of visitors' pages, so who may bring them in is trusted with more than texts. Approvers do
not import pages at all: so it is a role that is added to somebody's others. Doing it twice changes nothing.
"""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

DESTINATION = [("experiments.destination", action) for action in ("view", "add", "change", "delete")]
IMPORTER = "Script importer"
ROLES = {"Approver": DESTINATION, IMPORTER: [("variants.importedpage", "import_scripts")]}
CODES = {"import_scripts": ("import_scripts", "Can import pages with their own scripts")}


def add_to_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    group_model = apps.get_model("auth", "Group")
    for role, wanted in ROLES.items():
        group, _ = group_model.objects.get_or_create(name=role)
        group.permissions.add(*(_permission(apps, model, action) for model, action in wanted))


def _permission(apps: Apps, model: str, action: str) -> Any:
    # Django creates permissions only after all migrations; it keeps those it finds.
    label, name = model.split(".")
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label=label, model=name)
    code, words = CODES.get(action, (f"{action}_{name}", f"Can {action} {name}"))
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename=code, defaults={"name": words}
    )
    return permission


def delete_role(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("auth", "Group").objects.filter(name=IMPORTER).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0013_evolution_and_controls"),
        ("variants", "0003_imported_pages"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(add_to_roles, delete_role)]
