"""What a person sees: steps as they go, failures with their logs, and the summary at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from mlops.errors import JobFailed, LevelZeroError
from mlops.predict import Answer
from mlops.session import Session
from mlops.steps import Outcome
from mlops.steps import Progress as Tell

SHOWN = 10
PARTS = {
    "train": "train",
    "validation": "validation",
    "baseline": "validation, by the hour alone",
}


class Report:
    """Prints to a console and remembers how long each step took."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.durations: dict[str, float] = {}

    def step(self, name: str, work: Callable[[Tell], Outcome]) -> Outcome:
        """Do the work under a live line, then print what came of it."""
        started = time.monotonic()
        with self._live(name) as progress:
            outcome = work(progress)
        took = self.durations[name] = time.monotonic() - started
        first, *more = outcome.facts or [""]
        self.console.print(f"[green]✓[/] {name:<16} {took:6.1f} s  {escape(first)}", soft_wrap=True)
        for fact in more:
            self.console.print(f"{'':27} [dim]{escape(fact)}[/]", soft_wrap=True)
        return outcome

    def failed(self, name: str, error: LevelZeroError, session: Session) -> None:
        """What failed, why, where its log is, and that the rest is still there."""
        print_ = self.console.print
        print_(f"[red]✗[/] {name}: {escape(str(error))}", soft_wrap=True)
        if not isinstance(error, JobFailed):
            return
        if error.tail:
            print_("  the end of its log:")
            for line in error.tail:
                print_(f"  [dim]│[/] {escape(line)}", soft_wrap=True)
        if error.log:
            print_("  the whole log:")
            for line in error.log.commands(error.sagestack_logs):
                print_(f"    {escape(line)}", soft_wrap=True)
        print_("  everything made so far is still there; to set the shell up for a look around:")
        for line in shell_lines(session):
            print_(f"    {escape(line)}", soft_wrap=True)

    def answers(self, answers: Sequence[Answer]) -> None:
        """A table of some flights: what the endpoint says beside what happened."""
        table = Table(title="What the endpoint says of flights it has never seen")
        for column in ("flight", "from", "to", "scheduled", "chance", "says", "happened"):
            table.add_column(
                column, justify="right" if column == "chance" else "left", no_wrap=True
            )
        step = max(1, len(answers) // SHOWN)
        for answer in answers[::step][:SHOWN]:
            flight = answer.flight
            date = f"{flight['year']}-{int(flight['month']):02d}-{int(flight['day']):02d}"
            clock = f"{int(flight['sched_dep_time']):04d}"
            right = answer.was_late == answer.late
            mark = "[yellow]" if answer.was_late is None else "[green]" if right else "[red]"
            table.add_row(
                f"{flight['carrier']} {flight['flight']}",
                flight["origin"],
                flight["dest"],
                f"{date} {clock[:2]}:{clock[2:]}",
                f"{answer.probability:.3f}",
                "late" if answer.late else "on time",
                f"{mark}{happened(answer)}[/]",
            )
        self.console.print(table)

    def summary(self, session: Session, values: dict[str, Any], lines: Sequence[str]) -> None:
        """What ran, how long it took, the metrics, how to look around, how to stop."""
        table = Table()
        table.add_column("step")
        table.add_column("seconds", justify="right")
        for name, took in self.durations.items():
            table.add_row(name, f"{took:.1f}")
        table.add_section()
        table.add_row("all", f"{sum(self.durations.values()):.1f}")
        self.console.print(table)
        self._metrics(values)
        self.console.print("\n[bold]Look around[/]")
        for line in [*shell_lines(session), *lines]:
            self.console.print(f"  {escape(line)}", soft_wrap=True)
        self.console.print("\n[bold]Stop[/]")
        for line in stop_lines(session):
            self.console.print(f"  {escape(line)}", soft_wrap=True)

    def _metrics(self, values: dict[str, Any]) -> None:
        table = Table()
        for column in ("measured on", "AUC", "log loss", "were late", "expected late"):
            table.add_column(column, justify="left" if column == "measured on" else "right")
        training = values.get("training", {})
        for part in PARTS:
            if f"{part}:auc" in training:
                loss = training.get(f"{part}:log_loss")
                shown = "" if loss is None else f"{loss:.4f}"
                table.add_row(PARTS[part], f"{training[f'{part}:auc']:.4f}", shown, "", "")
        evaluation = values.get("evaluation")
        if evaluation:
            for label, key in (
                ("test", "binary_classification_metrics"),
                ("test, by the hour alone", "heuristic_baseline_metrics"),
            ):
                score = {name: item["value"] for name, item in evaluation[key].items()}
                table.add_row(
                    label,
                    f"{score['auc']:.4f}",
                    f"{score['log_loss']:.4f}",
                    f"{score['base_rate']:.3f}",
                    f"{score['mean_probability']:.3f}",
                )
        later = values.get("later")
        if later:
            table.add_row(*later)
        self.console.print(table)

    @contextmanager
    def _live(self, name: str) -> Iterator[Tell]:
        if not self.console.is_terminal:
            # A log file gets one line per step and none per look.
            self.console.print(f"… {name}")
            yield lambda text: None
            return
        columns = (
            SpinnerColumn(),
            TextColumn(f"{name:<16}"),
            Seconds(),
            TextColumn("{task.fields[now]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as live:
            task = live.add_task(name, now="")
            width = max(20, self.console.width - 32)
            yield lambda text: live.update(task, now=f"[dim]{escape(text[:width])}[/]")


class Seconds(ProgressColumn):
    """How long a step has been running, ticking by itself."""

    def render(self, task: Task) -> Text:
        """As in the line that will replace it."""
        return Text(f"{task.elapsed or 0:5.1f} s ")


def happened(answer: Answer) -> str:
    """In words: cancelled, on time, or by how much late or early."""
    if answer.arr_delay is None:
        return "never arrived"
    if answer.arr_delay <= 0:
        return f"{-answer.arr_delay} min early"
    return f"{answer.arr_delay} min late"


def shell_lines(session: Session) -> list[str]:
    """What to paste so that the AWS CLI reaches this environment."""
    lines = [f"export AWS_DEFAULT_REGION={session.settings.region}"]
    if session.endpoint_url:
        lines[0] += f" AWS_ENDPOINT_URL={session.endpoint_url}"
    if session.local:
        lines.append("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test")
        lines.append('export PATH="$PWD/.venv/bin:$PATH"')
    return lines


def stop_lines(session: Session) -> list[str]:
    """How to end what runs."""
    if not session.local:
        return [f"python -m mlops.level0 --env {session.settings.stage} clean"]
    port = (session.endpoint_url or "").rstrip("/").rsplit(":", 1)[-1]
    down = "sagestack down" if port in ("", "4566") else f"sagestack down --port {port}"
    return [
        "python -m mlops.level0 clean    # empty the buckets, destroy the stacks",
        f"{down:<32} # end LocalStack and everything it started",
        "make clean                       # that, and remove what was built here",
    ]
