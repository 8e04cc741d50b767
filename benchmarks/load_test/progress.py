"""How a run gets on, while it does: one line that is written anew, or now and then a line where
that is not a terminal's."""

import asyncio
import sys

from percentiles import rank

from load_test.run import Plan, Run

REFRESH_S = 0.25
PLAIN_S = 10.0


async def show(run: Run, plan: Plan) -> None:
    """Until it is cancelled."""
    is_terminal = sys.stderr.isatty()
    try:
        while True:
            await asyncio.sleep(REFRESH_S if is_terminal else PLAIN_S)
            text = line(run, plan)
            sys.stderr.write(f"\r{text}\x1b[K" if is_terminal else f"{text}\n")
            sys.stderr.flush()
    finally:
        if is_terminal:
            sys.stderr.write("\r\x1b[K")


def line(run: Run, plan: Plan) -> str:
    done = run.done.total()
    failed = done - run.done[""]
    now = run.now
    phase = "warm-up" if now < plan.warm_up_s else "counting"
    if plan.seconds is not None and now > plan.end_s:
        phase = "the last ones"
    recent = list(run.recent)
    median, p95 = rank(recent, 50), rank(recent, 95)
    times = f"  median {median:.2f} s, p95 {p95:.2f} s" if median and p95 else ""
    errors = f"  {failed} failed" if failed else ""
    return f"{now:5.0f} s  {phase}  {run.under_way} under way  {done} done{errors}{times}"
