"""Deploy an experiment again and again until killed: python -m tests.faults.deployer SLUG

Each time the pages differ by their footer, and every third time the deployment before is brought back. A line is
printed after each.
"""

import itertools
import sys
from uuid import uuid4

import django

django.setup()

from experiments import deployment, surroundings  # noqa: E402 - Django first
from experiments.models import Experiment  # noqa: E402
from variants.models import Brand  # noqa: E402

BACK_EVERY = 3


def main(slug: str) -> None:
    for turn in itertools.count(1):
        experiment = Experiment.objects.get(slug=slug)
        if turn % BACK_EVERY:
            brand = experiment.nursery.brief.brand
            Brand.objects.filter(pk=brand.pk).update(legal_footer=f"Edition {uuid4().hex}")
            surroundings.agree(experiment)
            done = deployment.deploy(experiment, reason="another footer")
        else:
            done = deployment.roll_back(experiment)
        sys.stdout.write(f"deployed {done.number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
