"""The report of a run as one HTML file that fetches nothing: it is read as well in ten years, and
on a machine without a network."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from load_test.charts import charts

STYLE = Path(__file__).with_name("page.css")
SECONDS_LIMITS = ((0.0995, 1000.0, ".1f", "ms"), (0.9995, 1000.0, ".0f", "ms"))
COLUMNS = ("p50", "p90", "p95", "p99", "p99.9", "max", "mean")
NONE = "—"
Figures = Mapping[str, Any]


def page(found: Figures) -> str:
    """
    Args:
        found: what `load_report.figures` returns: every number of the page is one of them.
    """
    about = found["about"]
    title = f"Load on {about['url']}"
    parts = (
        f"<header><p class=kicker>darkroom load report</p><h1>{escape(title)}</h1>"
        f"<p class=plan>{escape(about['plan'])}</p><p class=when>{escape(about['began'])}"
        f" · model {escape(about['model'])}</p></header>",
        verdict(found),
        tiles(found),
        section("How long it took", times(found), "wide"),
        *charts(found),
        *(section(f"By {part}", by_table(part, g), "") for part, g in found["by"].items()),
        section("Where a job's time went", phases(found), "wide"),
        section("Errors by code", errors(found), ""),
        section("Promises", promises(found), ""),
        section("What the workers did", workers(found), ""),
        section("Whether the client kept up", client(found), ""),
        section("What was asked for", demand(found), "wide"),
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<meta name=color-scheme content="light dark">'
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
        "style-src 'unsafe-inline'; img-src data:\">"
        '<link rel=icon href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"<main>{''.join(parts)}</main></html>\n"
    )


def seconds(value: float) -> str:
    """In milliseconds below a second."""
    size = abs(value)
    for limit, factor, form, unit in SECONDS_LIMITS:
        if size < limit:
            return f"{value * factor:{form}} {unit}"
    return f"{value:.2f} s" if size < 100 else f"{value:.0f} s"


def number(value: float) -> str:
    """A count, or a rate with two digits behind the point."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}"


def count(value: float) -> str:
    return f"{value:,.0f}"


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def shown(value: float | None, write: Any = seconds) -> str:
    """The figure itself stands in the element, for programs."""
    return NONE if value is None else f'<data value="{value!r}">{write(value)}</data>'


def section(title: str, content: str, style: str) -> str:
    return f'<section class="{style}"><h2>{escape(title)}</h2>{content}</section>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], first: str = "") -> str:
    """
    Args:
        rows: cells of HTML; the first of each is its name.
        first: the head of these.
    """
    heads = "".join(f"<th scope=col>{each}</th>" for each in (first, *head))
    body = "".join(
        f"<tr><th scope=row>{row[0]}</th>" + "".join(f"<td>{c}</td>" for c in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f"<div class=scroll><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in rows) + "</dl>"


def note(text: str) -> str:
    return f"<p class=note>{text}</p>"


def verdict(found: Figures) -> str:
    said = found["warnings"]
    if said:
        items = "".join(f"<li>{escape(each)}</li>" for each in said)
        return f'<div class="verdict doubt" role=alert><b>Read with care</b><ul>{items}</ul></div>'
    late = found["client"]["send_late_s"]["p99"]
    return (
        "<div class=verdict><b>The client kept up.</b> 99 in 100 requests left within "
        f"{shown(late)} of their time.</div>"
    )


def tiles(found: Figures) -> str:
    asked, response, rates = found["requests"], found["response_s"], found["throughput"]
    goal = found["objective"]
    share = asked["succeeded"] / asked["counted"] if asked["counted"] else None
    each = [
        ("median response", shown(response["p50"]), "from when it was meant to be sent"),
        ("95 in 100 within", shown(response["p95"]), f"99 in 100: {shown(response['p99'])}"),
        (
            "pictures a second",
            shown(rates["pictures_per_s"], number),
            f"{shown(rates['jobs_per_s'], number)} jobs; asked for: "
            f"{shown(rates['offered_per_s'], number)}",
        ),
        (
            "succeeded",
            shown(asked["succeeded"], number),
            f"of {shown(asked['counted'], number)}" + (f", {percent(share)}" if share else ""),
        ),
        (
            f"within {seconds(goal['response_s'])}",
            shown(goal["share"], percent),
            f"goodput: {shown(goal['met'], number)} requests",
        ),
    ]
    workers_ = found["server"]["workers"]
    if workers_:
        rows = workers_["rows_per_step"]
        each.append(
            (
                "batch occupancy",
                shown(workers_["occupancy"], percent),
                f"{shown(rows, number)} rows a U-Net call",
            )
        )
    return (
        "<div class=tiles>"
        + "".join(
            f"<div><span>{name}</span><strong>{value}</strong><small>{aside}</small></div>"
            for name, value, aside in each
        )
        + "</div>"
    )


def spread(values: Figures) -> list[str]:
    return [shown(values[column]) for column in COLUMNS]


def times(found: Figures) -> str:
    rows = [
        [name, shown(found[key]["count"], number), *spread(found[key])]
        for name, key in (
            ("response", "response_s"),
            ("service", "service_s"),
            ("acceptance", "accept_s"),
        )
    ]
    told = note(
        "<i>Response</i> counts from when a request was meant to be sent, <i>service</i> from when "
        "it was sent, to the end of its job as seen from here; <i>acceptance</i> is the answer "
        "to its POST."
    )
    return table(["requests", *COLUMNS], rows) + told


def by_table(part: str, groups: Figures) -> str:
    columns = ("p50", "p95", "p99", "max")
    rows = [
        [escape(name), shown(each["count"], number), *(shown(each[column]) for column in columns)]
        for name, each in groups.items()
    ]
    return table(["requests", *columns], rows, part)


def phases(found: Figures) -> str:
    workers_ = found["server"]["workers"]
    all_jobs = workers_["phases_mean_s"] if workers_ else {}
    columns = ("mean", "p50", "p95", "max")
    rows = []
    for phase, each in found["phases"].items():
        bar = f'<span class=bar style="--share:{max(0.0, each["share"] or 0.0):.4f}"></span>'
        cells = [f"{bar}{shown(each['share'], percent)}", *(shown(each[c]) for c in columns)]
        cells += [shown(all_jobs.get(phase))] if all_jobs else []
        rows.append([phase.replace("_", " "), *cells])
    if all_jobs:
        nothing = [NONE] * (1 + len(columns))
        rows.append(["publish", *nothing, shown(all_jobs["publish"])])
    told = note(
        "By the timings of the jobs that succeeded, as shares of the service time; <i>outside</i> "
        "is what they do not cover: the commit, and the way of requests and answers. The workers' "
        "own mean is of all jobs that they ended, those of the warm-up and of others among them."
    )
    heads = ["share", *columns, *(["workers' mean"] if all_jobs else [])]
    return table(heads, rows) + told


def errors(found: Figures) -> str:
    counts = {**found["errors"]}
    rows = [[escape(code), shown(n, number), "the end of a request"] for code, n in counts.items()]
    rows += [
        [escape(code), shown(n, number), "tried again after Retry-After"]
        for code, n in found["refusals"].items()
    ]
    return table(["requests", ""], rows, "code") if rows else note("None.")


def promises(found: Figures) -> str:
    told = found["estimates"]
    if not told["count"]:
        return note("No job had an estimate when it was accepted.")
    return pairs(
        [
            ("estimates, of jobs that succeeded", shown(told["count"], number)),
            ("off by, in the median", shown(told["median_error"], percent)),
            ("off by, 9 in 10 within", shown(told["p90_error"], percent)),
            ("too long (+) or too short (-), in the median", shown(told["median_bias"], percent)),
        ]
    ) + note("The seconds that the service promised at acceptance, against what its job took.")


def workers(found: Figures) -> str:
    told = found["server"]["workers"]
    if not told:
        return note(
            "Their metrics were not read: name them by <code>--worker-metrics URL</code>. Workers "
            "of a service on this machine are found by themselves."
        )
    rows = [
        ("U-Net calls", shown(told["steps"], count)),
        ("rows of a call, on average", shown(told["rows_per_step"], number)),
        ("a step, on average", shown(told["step_mean_s"])),
        ("batch occupancy, on average", shown(told["occupancy"], percent)),
        *(
            (f"busy with {work}", shown(share, percent))
            for work, share in told["device_busy"].items()
        ),
        *((f"jobs {how}", shown(n, count)) for how, n in told["jobs"].items() if n),
        ("pictures", shown(told["pictures"], count)),
        ("row-steps that brought no picture", shown(told["row_steps_wasted"], count)),
        ("jobs recovered from others", shown(told["jobs_recovered"], count)),
    ]
    return pairs(rows) + note(
        f"In {shown(found['server']['span_s'])} from the first request that counts; the work of "
        "other callers is in it. Busy is summed over workers."
    )


def client(found: Figures) -> str:
    told = found["client"]
    late, loop = told["send_late_s"], told["loop_late_s"]
    return pairs(
        [
            ("sent late by, median", shown(late["p50"])),
            ("sent late by, 99 in 100 within", shown(late["p99"])),
            ("sent late by, at most", shown(late["max"])),
            ("event loop late by, 99 in 100 within", shown(loop["p99"])),
            ("event loop late by, at most", shown(loop["max"])),
            ("allowed", shown(told["allowed_s"])),
            ("of a core", shown(told["cpu_share"], percent)),
            (
                f"requests that waited for one of {told['most_open']} open",
                shown(told["held_up_by_most_open"], number),
            ),
        ]
    )


def demand(found: Figures) -> str:
    about = found["about"]
    parts = ("weight", "steps", "samplers", "sizes", "images", "guidance")
    rows = [
        [escape(name), *(escape(kind[part]) for part in parts)]
        for name, kind in about["mix"].items()
    ]
    asked = found["requests"]
    told = [
        ("requests of the warm-up, not counted", shown(asked["warm_up"], number)),
        ("seed", escape(str(about["seed"]))),
        ("client", escape(about["client"])),
    ]
    if asked["cancelled_at_the_end"]:
        told.append(("jobs cancelled at the end", shown(asked["cancelled_at_the_end"], number)))
    return table(parts, rows, "class") + pairs(told)
