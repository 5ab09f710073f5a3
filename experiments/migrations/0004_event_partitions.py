"""On PostgreSQL, makes the event tables partitioned by the time of exposure; elsewhere nothing."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone

from experiments import partitions

TABLES = ("experiments_exposure", "experiments_conversion")


def partition(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if not partitions.is_supported():
        return
    for table in TABLES:
        _rebuild(schema_editor, table, f"PARTITION BY RANGE (exposed_at); {_default(table)}")
        partitions.prepare(table, timezone.now())


def join_again(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if not partitions.is_supported():
        return
    for table in TABLES:
        _rebuild(schema_editor, table, "")


def _rebuild(schema_editor: BaseDatabaseSchemaEditor, table: str, how: str) -> None:
    # PostgreSQL cannot partition a table that is there already.
    schema_editor.execute(f"CREATE TABLE {table}_new (LIKE {table} INCLUDING ALL) {how}")
    schema_editor.execute(f"INSERT INTO {table}_new SELECT * FROM {table}")
    schema_editor.execute(f"DROP TABLE {table}")
    schema_editor.execute(f"ALTER TABLE {table}_new RENAME TO {table}")


def _default(table: str) -> str:
    return f"CREATE TABLE {partitions.default_of(table)} PARTITION OF {table}_new DEFAULT"


class Migration(migrations.Migration):
    dependencies = [("experiments", "0003_confirmed_and_forgotten")]

    operations = [migrations.RunPython(partition, join_again)]
