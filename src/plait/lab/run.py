"""``plait lab run`` and ``plait lab shell``, from inside the sandbox."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plait.lab import chart, chart_study, report
from plait.lab.errors import HostLacks, LabError, program
from plait.lab.live import display
from plait.lab.result import Result, Table
from plait.lab.scenario import Scenario
from plait.lab.stage import Stage
from plait.lab.topology import Lab
from plait.lab.traffic import iperf_server
from plait.lab.trial import Trial
from plait.lab.verdict import judge

PROGRAMS = ("unshare", "nsenter", "mount", "ip", "tc", "nft", "sysctl", "iperf3", "dnsmasq", "udhcpc")
"""What the scenarios call."""

_RC = """
[ -n "$PS1" ] && [ -r ~/.bashrc ] && . ~/.bashrc
on() {{
    local node=$1; shift
    case "$node" in
{nodes}
    *) echo "no node '$node'; there are {names}" >&2; return 2 ;;
    esac
}}
bridge() {{ {python} -m plait.lab.bridge_command {directory} "$@"; }}
"""


def check_programs() -> None:
    """Raise :class:`HostLacks` for the first program that is missing."""
    for name in PROGRAMS:
        program(name)


def out_directory(asked: Path | None, scenario: str) -> Path:
    """Make the directory for the results. Not below /run, which is another one in the sandbox."""
    out = (asked or Path("out") / "lab" / scenario).absolute()
    if Path("/run") in out.resolve().parents:
        raise LabError(f"{out} is below /run, which the sandbox does not see", "choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise LabError(f"can't write to {out}: {problem.strerror}", "choose another --out") from None
    return out


def run(scenario: Scenario, *, seconds: float, quick: bool, out: Path, as_json: bool) -> int:
    """Run a scenario, show, judge, write ``result.json`` and the chart. 0 when all promises are kept."""
    end_on_signals()
    directory = _directory()
    try:
        with display(scenario) as show, Lab(scenario.drawing, directory=directory) as lab:
            show.phase("bringing the network up")
            scenario.prepare(lab)
            stage = Stage(scenario, lab, show, seconds, quick=quick)
            told = _trial(stage) if scenario.study is None else _study(stage, scenario.study)
    except LabError as problem:
        problem.hint = problem.hint or f"what each program printed is in {out / 'logs'}"
        raise
    finally:
        _keep(directory, out / "logs")
    files = _write(told, out)
    if as_json:
        print(json.dumps(told.brief, indent=2))
    else:
        report.print_tables(told.tables, told.passed)
        print("written: " + ", ".join(str(path) for path in files))
    return 0 if told.passed else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What is printed and written of either kind of scenario."""

    passed: bool
    tables: list[Table]
    brief: dict[str, object]
    """The facts to print."""
    full: dict[str, object]
    """The facts to keep: every sample."""
    draw: Callable[[Path], list[Path]]


def _trial(stage: Stage) -> _Told:
    scenario, runs = stage.scenario, Trial(stage).run()
    checks = judge(scenario, runs)
    return _Told(
        passed=all(check.kept for check in checks),
        tables=[report.table(scenario, runs, checks)],
        brief=report.facts(scenario, runs, checks, samples=False),
        full=report.facts(scenario, runs, checks, samples=True),
        draw=lambda out: chart.draw(scenario, runs, checks, out),
    )


def _study(stage: Stage, study: Callable[[Stage], Result]) -> _Told:
    scenario, result = stage.scenario, study(stage)
    facts = report.studied(scenario, result)
    return _Told(
        passed=result.passed,
        tables=result.tables,
        brief=facts,
        full=facts,
        draw=lambda out: chart_study.draw(scenario, result, out),
    )


def _directory() -> Path:
    """A fresh directory in the sandbox: one may run several scenarios in the same sandbox."""
    return Path(tempfile.mkdtemp(prefix="lab-", dir="/run"))


def _write(told: _Told, out: Path) -> list[Path]:
    result = out / "result.json"
    result.write_text(json.dumps(told.full) + "\n")
    files = [result]
    if chart.available():
        files += told.draw(out)
    else:
        print("no chart: matplotlib is missing (pip install 'plait[lab]')", file=sys.stderr)
    _hand_over(out)
    return files


def _keep(directory: Path, to: Path) -> None:
    """Copy configs and what all programs printed to where the caller can read them."""
    if directory.exists():
        plain = shutil.ignore_patterns("*.ctl", "watcher-*")
        shutil.copytree(directory, to, dirs_exist_ok=True, ignore=plain)
        _hand_over(to)


def _hand_over(path: Path) -> None:
    """Under sudo, give what we wrote to the user who called."""
    uid, gid = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if uid and gid and os.geteuid() == 0:
        for found in (path, *path.rglob("*")):
            try:
                os.chown(found, int(uid), int(gid), follow_symlinks=False)
            except OSError:  # a file system without owners, or a user namespace
                return


def shell(scenario: Scenario, node: str | None) -> int:
    """Build a scenario with plait running and give the user a shell in it."""
    end_on_signals()
    directory = _directory()
    with Lab(scenario.drawing, directory=directory) as lab:
        enter = lab[node].enter() if node else []
        scenario.prepare(lab)
        for server in dict.fromkeys(course.server for course in scenario.courses):
            iperf_server(lab[server])
        scenario.weave(lab)
        rc = directory / "shellrc"
        rc.write_text(_rc(lab, directory))
        print(_welcome(scenario, lab), file=sys.stderr, flush=True)
        bash = shutil.which("bash")
        if bash is None:
            raise HostLacks("the lab's shell needs the program 'bash'", "on Debian: apt-get install bash")
        # A shell at a terminal reads --rcfile, one that is fed by a pipe reads BASH_ENV.
        words = [bash, "--rcfile", str(rc)]
        if sys.stdin.isatty():
            words.append("-i")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "BASH_ENV": str(rc), "PATH": path, "PLAIT_LAB": scenario.name}
        # Ctrl-C is the shell's affair now. A handler that does nothing, and not SIG_IGN, which all
        # that is started in the shell would inherit.
        signal.signal(signal.SIGINT, lambda *_: None)
        return subprocess.run([*enter, *words], env=environment).returncode


def _rc(lab: Lab, directory: Path) -> str:
    cases = "\n".join(f'    {name.name}) {shlex.join(name.enter())} "${{@:-bash}}" ;;' for name in lab.nodes)
    return _RC.format(
        nodes=cases,
        names=", ".join(found.name for found in lab.nodes),
        python=shlex.quote(sys.executable),
        directory=shlex.quote(str(directory)),
    )


def _welcome(scenario: Scenario, lab: Lab) -> str:
    bridges = ", ".join(bridge.name for bridge in lab.bridges)
    first, course = scenario.links[0], scenario.courses[0]
    return f"""
{scenario.name}: {scenario.summary}
{scenario.drawing}
plait runs. Try:
  on {first.node} ip route                     a command in a node ({", ".join(n.name for n in lab.nodes)})
  on {first.node}                              a shell in it
  on {first.node} plait status                 what plait says
  on {course.client} iperf3 -c {course.address}{" -R" if course.download else ""}      real traffic
  bridge {first.bridge} unplug | plug | silence | unsilence | look      ({bridges})
  bridge {first.bridge} rate=5mbit delay=40ms loss=2%                   change a link while it runs
  bridge {first.bridge} strip=all | drop=mptcp | blackhole=1400 | block=udp/8388   let it meddle (=no ends it)
  exit                                    take everything down
"""


def end_on_signals() -> None:
    """End orderly on Ctrl-C, SIGTERM and SIGHUP; a second one does not disturb the tidying up."""
    ours = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, _frame: object) -> None:
        for other in ours:
            signal.signal(other, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    for number in ours:
        signal.signal(number, end)
