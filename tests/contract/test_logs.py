import json
import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from contract.errors import BadSetting
from contract.logs import HumanLines, JsonLines, LogSettings
from contract.settings import load_settings
from tests.service import ROOT


def record(message: str, *args: object, error: Exception | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("worker", logging.WARNING, "a.py", 1, message, args, exc_info)


def test_a_line_of_json_says_when_what_where_and_how_bad() -> None:
    made = record("job %s is gone", "a")
    line = json.loads(JsonLines().format(made))
    told = datetime.fromisoformat(line.pop("time"))
    assert told.tzinfo is UTC
    assert told.timestamp() == pytest.approx(made.created, abs=1e-5)
    assert line == {"level": "warning", "logger": "worker", "message": "job a is gone"}


def test_what_a_sentence_names_are_keys_and_none_of_them_hides_the_message() -> None:
    made = record("%(n)d jobs", {"n": 3, "time": "never", "odd": object, "text": "\n\ud800"})
    line = json.loads(JsonLines().format(made))
    assert line["message"] == "3 jobs"
    assert line["n"] == 3
    assert line["time"] != "never"
    assert line["text"] == "\n\ud800"


def test_a_traceback_is_part_of_its_line() -> None:
    text = JsonLines().format(record("no luck", error=ValueError("none")))
    assert "\n" not in text
    assert json.loads(text)["traceback"].endswith("ValueError: none")


def test_nothing_that_a_line_tells_of_begins_another_one() -> None:
    line = HumanLines().format(
        record("GET %s", "/\r\n2026-01-01 00:00:00 INFO forged\x1b[2J\x9b2J\x85\u2028\u2029")
    )
    assert line.splitlines() == [line]
    assert not {"\x1b", "\x9b"} & set(line)


def test_a_wrong_format_or_level_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_LOG_FORMAT", "xml")
    monkeypatch.setenv("DARKROOM_LOG_LEVEL", "INFO")
    with pytest.raises(BadSetting, match=r"^DARKROOM_LOG_FORMAT: .*'human' or 'json'"):
        load_settings(LogSettings)


def test_what_python_itself_would_write_is_json_as_well() -> None:
    code = (
        "import threading, warnings; from contract.logs import LogSettings, write_log; "
        "write_log(LogSettings(log_format='json')); warnings.warn('old'); "
        "thread = threading.Thread(target=lambda: 1 / 0, name='a'); thread.start(); "
        "thread.join(); end = type('End', (), {'__del__': lambda self: 1 / 0}); end(); "
        "raise KeyError('b')"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    warned, thread, ignored, process = (json.loads(line) for line in run.stderr.splitlines())
    assert "UserWarning: old" in warned["message"]
    assert thread["message"] == "the thread a has ended"
    assert thread["traceback"].endswith("ZeroDivisionError: division by zero")
    assert ignored["traceback"].endswith("ZeroDivisionError: division by zero")
    assert process["traceback"].endswith("KeyError: 'b'")


def test_no_prompt_is_in_the_log_of_a_picture_that_is_encoded_at_the_level_debug() -> None:
    """Pillow tells of each tag that it writes."""
    code = (
        "from PIL import Image; from contract.logs import LogSettings, write_log; "
        "write_log(LogSettings(log_level='debug')); exif = Image.Exif(); exif[0x010E] = 'a wish'; "
        "Image.new('RGB', (8, 8)).save('/dev/null', format='jpeg', exif=exif)"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "wish" not in run.stderr
