import random
import time

from contract.job import Timings
from contract.timeline import MOMENTS, PHASES, Timeline


def test_the_phases_add_up_to_the_total_to_the_last_bit() -> None:
    source = random.Random(7)
    for _ in range(100):
        times = [time.time()]
        for _ in MOMENTS[1:]:
            times.append(times[-1] + source.expovariate(1.0) * source.choice([1e-4, 1.0, 300.0]))
        timeline = Timeline.of(times)
        assert sum(span.seconds for span in timeline.spans) == timeline.total_s
        assert tuple(span.phase for span in timeline.spans) == PHASES


def test_a_time_is_never_before_the_one_that_it_follows() -> None:
    assert Timeline.of([5.0, 4.0, 6.0, 5.5, 7.0]).times == (5.0, 5.0, 6.0, 6.0, 7.0)
    assert Timeline((3.0,)).then(1.0).times == (3.0, 3.0)


def test_a_result_of_an_earlier_version_can_be_read() -> None:
    """Finished jobs outlive the upgrade."""
    kept = {
        "queue_s": 0.5,
        "join_s": 0.25,
        "denoise_s": 1.0,
        "decode_s": 0.125,
        "encode_s": 0.125,
        "total_s": 2.0,
    }
    phases = Timings.model_validate(kept).model_dump()
    assert phases["admission_s"] == 0.25
    assert phases.pop("total_s") == sum(phases.values())
