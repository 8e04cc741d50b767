"""The report of a GPU, on tiny models on the CPU."""

import json
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = ["ceilings", "unets", "decoders", "memory", "attention", "kernels"]
SMALL = ["--small", "--no-compile"]


@pytest.fixture(scope="module")
def gpu_report() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.chdir(ROOT)
        yield import_module("gpu_report")


@pytest.fixture(scope="module")
def setting(gpu_report: ModuleType) -> Any:
    return gpu_report.choose(gpu_report.parse(SMALL))


@pytest.fixture(scope="module")
def files(gpu_report: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The JSON and the page of a report."""
    folder = tmp_path_factory.mktemp("report")
    table, page = folder / "report.json", folder / "report.md"
    written = ["--json", str(table), "--page", str(page)]
    gpu_report.main([*SMALL, *written, "--only", *SECTIONS])
    return table, page


def test_every_section_that_ran_stands_on_the_page(files: tuple[Path, Path]) -> None:
    found: dict[str, Any] = json.loads(files[0].read_text())
    page = files[1].read_text()
    assert found["sections"].keys() == set(SECTIONS)
    assert not [each for each in found["sections"].values() if "failed" in each]
    for heading in ("U-Net calls", "Decoder calls", "Ways to compute attention", "Kernels"):
        assert f"## {heading}" in page
    assert "%)" in page  # of the matrix products
    assert "Not measured" not in page


def test_a_report_is_a_table_for_the_simulated_device(files: tuple[Path, Path]) -> None:
    read = import_module("simulated.step_times").StepTimes.read
    times = read(files[0], "small")
    assert times.cells == 8
    assert times.step_s(2) > 0
    assert times.decode_s(1) > 0
    with pytest.raises(ValueError, match="no times of SD 9"):
        read(files[0], "SD 9")


def test_what_there_is_no_time_for_is_named(gpu_report: ModuleType, setting: Any) -> None:
    *_, last = gpu_report.run(["ceilings", "unets"], setting, ends_at=0.0)
    assert last["sections"]["unets"]["left_out"] > 0
    assert "Left out, for want of time" in gpu_report.page_of(last)


def soon() -> float:
    return time.perf_counter() + 600


def fail(setting: object) -> Iterator[dict[str, object]]:
    yield {"unets": {}, "attention": {"small": {"one way": 0.5}}}
    raise RuntimeError("out of luck")


def hang(setting: object) -> Iterator[dict[str, object]]:
    yield {"attention": {}}
    Event().wait()


def test_a_section_that_fails_is_named_and_the_others_go_on(
    gpu_report: ModuleType, setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = gpu_report.Section(fail, 0.0)
    monkeypatch.setattr(gpu_report, "SECTIONS", {**gpu_report.SECTIONS, "unets": broken})
    *_, last = gpu_report.run(["unets", "ceilings"], setting, soon())
    assert "out of luck" in last["sections"]["unets"]["failed"]
    assert last["ceilings"]["matmul_tflops"] > 0
    assert "Failed: unets" in gpu_report.page_of(last)


def test_a_section_that_hangs_is_cut_short(
    gpu_report: ModuleType, setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_report, "SECTIONS", {"unets": gpu_report.Section(hang, 0.0)})
    *_, last = gpu_report.run(["unets"], setting, time.perf_counter() + 0.5)
    assert "was not done after" in last["sections"]["unets"]["failed"]
    assert last["attention"] == {}


def test_what_a_section_found_before_it_failed_stays(
    gpu_report: ModuleType, setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"attention": gpu_report.Section(fail, 10.0)}
    monkeypatch.setattr(gpu_report, "SECTIONS", broken)
    *_, last = gpu_report.run(["attention"], setting, soon())
    assert "| small | 500.0 |" in gpu_report.page_of(last)


def test_the_rest_is_what_failed_or_was_left_out(gpu_report: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("{}")
    words = ["--small", "--rest", "--json", str(file), "--only", "unets", "kernels", "ceilings"]
    options = gpu_report.parse(words)
    told = {"unets": {"seconds": 1.0}, "kernels": {"left_out": 10}, "ceilings": {"failed": ""}}
    assert gpu_report.wanted(options, {"sections": told}) == ["ceilings", "kernels"]


def test_every_part_of_a_report_has_its_chapter(gpu_report: ModuleType) -> None:
    """As it would come from a GPU, the compiled parts among it."""
    rate = {"pictures_per_s": 6.0, "rows": 32, "ms_per_step": 80.0, "step_share": 0.9}
    rate |= {"decode_share": 0.1, "peak_gb": 5.0}
    theirs = {"pictures_per_s": 4.0, "batch": 8}
    seen = {"pictures_per_s": 5.0, "total_p50_s": 3.0}
    result = {
        "machine": {"gpu": "a GPU", "cpu": "a CPU", "cores": 16, "torch": "2.11"},
        "families": ["SD 1.5"],
        "sections": {"policies": {"left_out": 85.0}},
        "ceilings": {"matmul_tflops": 700.0, "copy_tb_per_s": 3.0},
        "exactness": {"half_against_float32_db": 63.4},
        "pictures": {
            "SD 1.5": {
                "gigaflop_per_picture": 50_711.0,
                "engine": rate,
                "engine_compiled": rate | {"pictures_per_s": 8.0, "compiled_in_s": 120.0},
                "diffusers_compiled_batch": theirs,
            }
        },
        "service": {"compiled": {"pictures_per_s": 7.5, "as_seen": seen, "ready_s": 60.0}},
        "unets": {
            "SD 1.5": {
                "seconds": {"recorded": {2: 0.01, 8: 0.03}, "compiled_by_count": {8: 0.02}},
                "tflops": {"recorded": {2: 160.0, 8: 214.0}, "compiled_by_count": {8: 321.0}},
                "peak_gb": 4.1,
            }
        },
    }
    page = gpu_report.page_of(result)
    assert "| SD 1.5, pictures/s in one process | 8.00 | 7.8 | 10.9 | PASS |" in page
    assert "| SD 1.5, of the floor | 0.51 |" in page
    assert "over diffusers compiled, batches of 8 | 2.00 | 1.2 |  | PASS |" in page
    assert "| SD 1.5, pictures/s through the API | 7.50 | 7.8 | 10.9 | MISS |" in page
    assert "| 8 | 30.0 (214, 31%) | 20.0 (321, 46%) |" in page
    assert "policies, about 85 s" in page
