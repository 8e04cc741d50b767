"""What a person does with the page."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Request, expect
from redis import Redis

from app.settings import AppSettings
from contract.keys import KeyLimits, NewKey, add_key
from tests.page.conftest import PHONE, Api, Visit, serving
from tests.waiting import until

STEPS = 4
LONG = 150


def fill(page: Page, prompt: str, **fields: int) -> None:
    page.locator("#shapes input").first.wait_for()  # the models are there
    page.fill("#prompt", prompt)
    for name, value in fields.items():
        page.fill(f"#{name}", str(value))


def develop(page: Page, prompt: str, **fields: int) -> Locator:
    """The card of a new job."""
    fill(page, prompt, **fields)
    with page.expect_response("**/generate") as answered:
        page.keyboard.press("Control+Enter")
    job_id = answered.value.json()["id"]
    return page.locator(f'.card[data-id="{job_id}"]')


def finished(card: Locator) -> Locator:
    """Once all its pictures are there. (`expect` would look once a second.)"""
    until(lambda: card.locator("img.fixed").count() == card.locator(".cell").count() > 0, 20.0)
    return card


def press_until(page: Page, key: str, is_there: Callable[[], bool]) -> None:
    for _ in range(60):
        if is_there():
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} never leads there")


def focused(page: Page, selector: str) -> Callable[[], bool]:
    return lambda: bool(page.evaluate("s => document.activeElement.matches(s)", selector))


def step(card: Locator) -> int:
    """The step that a running job's card tells, or 0."""
    words = card.locator(".line").inner_text().replace(",", "").split()
    return int(words[words.index("step") + 1]) if "step" in words else 0


def test_a_picture_is_made_opened_and_deleted_by_keyboard_alone(api: Api, visit: Visit) -> None:
    page = visit(api)
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("red apple")
    press_until(page, "Tab", focused(page, "#steps"))
    page.keyboard.press("Control+A")
    page.keyboard.type(str(STEPS))
    page.keyboard.press("Enter")
    card = page.locator('.card[data-state="succeeded"]', has_text="red apple")
    finished(card)

    press_until(page, "Tab", focused(page, ".print"))
    expect(card.locator(".print")).to_be_focused()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    expect(viewer.get_by_role("heading", name="red apple")).to_be_visible()
    assert str(STEPS) in viewer.locator("dt", has_text="Steps").locator("+ dd").inner_text()
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(card.locator(".print")).to_be_focused()

    page.keyboard.press("Delete")
    expect(viewer.get_by_role("button", name="Delete for good")).to_be_focused()
    page.keyboard.press("Enter")
    expect(card).to_have_count(0)
    expect(viewer).to_be_hidden()

    page.locator("#help").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()
    page.keyboard.press("Enter")  # on what closes it
    expect(page.locator("#keys")).to_be_hidden()


def test_previews_change_until_the_picture_is_there(api: Api, visit: Visit) -> None:
    page = visit(api, PHONE)
    page.click("#settings summary")
    card = develop(page, "penguin", steps=12)
    shown: list[str] = []

    def watch() -> bool:
        source = card.locator("img.latent").first.get_attribute("src")
        if source and source not in shown:
            shown.append(source)
        return len(shown) >= 3

    until(watch, 20.0)
    finished(card)
    assert card.locator("img.fixed").get_attribute("src") not in shown
    seed = card.locator(".line").inner_text().split()[-1]
    expect(page.locator("#seed")).to_have_value(seed)  # to be kept, if the picture is liked


def test_a_reload_in_mid_job_goes_on_and_the_job_can_be_cancelled_and_retried(
    api: Api, visit: Visit
) -> None:
    page = visit(api)
    card = develop(page, "sailboat", steps=LONG)
    until(lambda: step(card) > 2)
    before = step(card)
    page.reload()
    expect(page.locator("#prompt")).to_have_value("sailboat")
    expect(page.locator("#steps")).to_have_value(str(LONG))
    until(lambda: step(card) > before)
    until(card.locator("img.latent").is_visible)

    card.get_by_role("button", name="Cancel").click()
    expect(card).to_have_attribute("data-state", "cancelled")
    expect(page.locator("#toast")).to_have_text("Cancelled.")
    with page.expect_response("**/retry") as answered:
        card.get_by_role("button", name="Retry").click()
    again = page.locator(f'.card[data-id="{answered.value.json()["id"]}"]')
    expect(again).to_have_attribute("data-state", "running")
    again.locator(".print").focus()
    page.keyboard.press("Delete")
    expect(again).to_have_attribute("data-state", "cancelled")


def test_an_api_that_is_down_is_shown_and_the_page_recovers_by_itself(
    api: Api, visit: Visit
) -> None:
    page = visit(api)
    card = develop(page, "sunflower", steps=12)
    until(lambda: step(card) > 0)
    api.stop()
    try:
        expect(page.locator("#outage")).to_contain_text("cannot be reached")
        expect(page.locator("#state-text")).to_have_text("Not reachable")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#fault")).to_contain_text("Nothing is lost")
    finally:
        api.start()
    expect(page.locator("#outage")).to_be_hidden()
    finished(card)
    expect(page.locator("#state-text")).to_contain_text("1 worker")


def test_a_kept_seed_and_the_settings_of_a_picture_make_it_again(api: Api, visit: Visit) -> None:
    page = visit(api)
    fill(page, "octopus", steps=STEPS)
    page.click("#dice")
    seed = page.locator("#seed").input_value()
    first = develop(page, "octopus", steps=STEPS)
    finished(first)
    page.click("#lock")  # a new one each time
    other = develop(page, "octopus", steps=STEPS)
    finished(other)
    assert page.locator("#seed").input_value() != seed

    first.locator(".print").click()
    page.keyboard.press("ArrowLeft")  # the newer one
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Use these settings").click()
    expect(page.locator("#seed")).to_have_value(seed)
    expect(page.locator("#prompt")).to_be_focused()
    again = develop(page, "octopus")
    expect(again).to_have_attribute("data-state", "succeeded")
    again.locator(".print").click()
    expect(page.locator("#viewer dl")).to_contain_text("an equal job had made it already")


def test_what_is_copied_makes_the_very_picture(api: Api, visit: Visit, tmp_path: Path) -> None:
    page = visit(api, permissions=["clipboard-read", "clipboard-write"])
    card = develop(page, 'a "red" camera, it\'s \\ fine', steps=2, images=2)
    finished(card)
    job = page.request.get(f"{api.url}/jobs/{card.get_attribute('data-id')}").json()
    second = job["images"][1]
    picture = pixels(page.request.get(f"{api.url}{second['url']}").body())
    card.locator(".print").click()
    page.keyboard.press("ArrowRight")
    for what, program in (("curl", ["bash", "-c"]), ("Python", [sys.executable, "-c"])):
        page.get_by_role("button", name=f"Copy as {what}").click()
        expect(page.locator("#toast")).to_contain_text("is copied")
        code = page.evaluate("navigator.clipboard.readText()")
        folder = tmp_path / what
        folder.mkdir()
        subprocess.run([*program, code], cwd=folder, check=True)
        (file,) = folder.iterdir()
        assert str(second["seed"]) in file.name
        # Alone and in company it is the same to 1 of 255, as everywhere.
        assert np.abs(pixels(file.read_bytes()) - picture).max() <= 1


def test_what_cannot_be_done_is_said_at_its_field(
    locked_api: Api, redis: Redis, visit: Visit
) -> None:
    page = visit(locked_api, refusals=[403])
    enter(page, new_key(redis, max_steps=20))
    page.locator("#shapes input").first.wait_for()
    page.keyboard.press("Enter")
    expect(page.locator("#prompt-fault")).to_have_text("Write what to draw: a word or two will do.")
    fill(page, "red apple", steps=21)
    page.keyboard.press("Enter")
    expect(page.locator("#steps-fault")).to_contain_text("20")
    expect(page.locator("#steps")).to_be_focused()
    page.get_by_label("Custom").check()
    page.fill("#width", "33")
    page.keyboard.press("Enter")
    expect(page.locator("#width-fault")).to_be_visible()
    expect(page.locator("#width")).to_have_attribute("aria-invalid", "true")


def test_a_key_opens_the_page_and_another_one_sees_nothing(
    locked_api: Api, redis: Redis, visit: Visit
) -> None:
    page = visit(locked_api, refusals=[401])
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    owner, other = new_key(redis), new_key(redis)
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#room")).to_be_hidden()
    enter(page, owner, text=owner.text[:-1])
    expect(page.locator("#key-fault")).to_contain_text("There is no such key")
    enter(page, owner)
    expect(page.get_by_role("button", name="camera")).to_be_visible()  # a prompt to begin with
    card = develop(page, "tulip", steps=STEPS)
    finished(card)
    page.reload()
    finished(card)

    page.get_by_role("button", name="Forget key").click()
    expect(page.locator("#door")).to_be_visible()
    assert page.locator(".card").count() == 0
    enter(page, other)
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#prompt")).to_have_value("")
    assert page.locator(".card").count() == 0

    of_jobs = [each for each in requests if "/jobs/" in each.url]
    assert {each.url.split("/")[5] for each in of_jobs} == {"events", "images"}
    assert {each.headers["authorization"] for each in of_jobs} == {f"Bearer {owner.text}"}
    assert not any(owner.text in each.url or other.text in each.url for each in requests)


@pytest.mark.usefixtures("connection")
def test_without_a_worker_the_page_says_what_to_do(redis_url: str, visit: Visit) -> None:
    settings = AppSettings(redis_url=redis_url)
    with serving(settings) as alone:
        page = visit(alone, refusals=[503])
        expect(page.locator("#state-text")).to_have_text("No worker")
        expect(page.locator("#empty-text")).to_contain_text("No worker has told of a model yet")
        page.click("#state")
        expect(page.locator("#workers")).to_contain_text("darkroom worker")
        page.fill("#prompt", "red apple")
        page.press("#prompt", "Enter")
        expect(page.locator("#fault")).to_contain_text("Try again in")
        page.close()


def new_key(redis: Redis, **limits: int) -> NewKey:
    name = f"page-{redis.incr('names')}"
    return add_key(redis, name, KeyLimits.model_validate(limits))


def enter(page: Page, key: NewKey, text: str | None = None) -> None:
    page.fill("#key", text or key.text)
    page.keyboard.press("Enter")


def pixels(content: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)
