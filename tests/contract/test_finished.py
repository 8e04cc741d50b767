from contract.finished import key_of
from tests.contract.samples import FINGERPRINT, job_request

OF_VERSION_1 = "darkroom:finished:65bcd0e91c42da6e24528cc0b06d9a59a3aa2b75dcfc6be1e205e00de226933e:"
"""Where a release of version 1 of the contract kept what came of the sample request."""


def test_what_an_older_release_has_finished_answers_the_same_request() -> None:
    assert key_of("", job_request(), FINGERPRINT) == OF_VERSION_1
    assert key_of("", job_request(guidance_stop=1.0), FINGERPRINT) == OF_VERSION_1


def test_a_guidance_interval_makes_it_another_request() -> None:
    intervals = ({}, {"guidance_stop": 0.6}, {"guidance_stop": 0.8}, {"guidance_start": 0.2})
    assert len({key_of("", job_request(**each), FINGERPRINT) for each in intervals}) == 4
