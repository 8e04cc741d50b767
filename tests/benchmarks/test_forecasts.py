"""The bar of the estimates in virtual time: the same for the same seeds, on any machine."""

import pytest
from forecasts import STARTER, demand, errors
from load_test.demand import Mix
from simulated.service import Service
from simulated.step_times import FAMILY, TABLE, StepTimes

H100 = StepTimes.read(TABLE, FAMILY)


@pytest.mark.parametrize("name", ["equal", "mixed", "short-long"])
@pytest.mark.parametrize(("times", "budget"), [(H100, 32), (STARTER, 16)], ids=["H100", "CPU"])
def test_at_most_a_fifth_off_in_the_median_at_most_of_capacity(
    times: StepTimes, budget: int, name: str
) -> None:
    mix = Mix.parse(name, {"sizes": "native"})
    found = errors(times, budget, 1, mix, load=0.8, seconds=150.0)
    assert found["forecast"][0] <= 0.2
    assert found["forecast"][0] < found["throughput"][0] / 2


def test_every_job_of_the_virtual_service_ends_after_it_was_accepted() -> None:
    jobs = demand(Mix.parse("mixed", {"sizes": "native"}), 1.0, 60.0, seed=5)
    Service(H100, workers=2, budget=32).run(jobs)
    for job in jobs:
        assert job.took_s > job.work.evaluations * H100.step_s(job.rows)
