"""Proof rounds are kept when they end; those that ran before are found by their allocations."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

BEGINS_A_ROUND = "proof round: "  # the reason of its allocation


def find_earlier(apps: Any, _schema_editor: Any) -> None:
    arms, rounds = (apps.get_model("experiments", name) for name in ("Arm", "ProofRound"))
    for allocation in apps.get_model("experiments", "Allocation").objects.filter(reason__startswith=BEGINS_A_ROUND):
        of = {"experiment": allocation.experiment_id, "key__in": list(allocation.shares), "variant__is_control": False}
        for arm in arms.objects.filter(**of):
            rounds.objects.create(experiment_id=allocation.experiment_id, arm=arm, epoch=allocation.epoch)


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0006_rewards_and_guardrails"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProofRound",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("epoch", models.PositiveIntegerField()),
                (
                    "arm",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="experiments.arm"
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="proof_rounds",
                        to="experiments.experiment",
                    ),
                ),
            ],
            options={
                "ordering": ["epoch"],
                "constraints": [
                    models.UniqueConstraint(fields=("experiment", "epoch"), name="proof_round_once_per_epoch")
                ],
            },
        ),
        migrations.RunPython(find_earlier, migrations.RunPython.noop),
    ]
