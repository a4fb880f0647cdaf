"""What becomes of servers that can do so much and no more, one of them or a whole fleet."""
import csv
import datetime
import os
import shutil
import subprocess
import time

from benchmarks.common import Sandbox


def sweep(programs, work, sandbox, job, *flags):
    """Runs a job against a sandbox: how long it took, and of each operation its end in seconds after the
    first one's start, its status, its tries."""
    run_dir = os.path.join(work, "run")
    shutil.rmtree(run_dir, ignore_errors=True)
    command = sandbox.command_for(programs, work, job, run_dir, *flags)
    env = dict(os.environ, XDG_STATE_HOME=os.path.join(work, "state"))
    begun = time.monotonic()
    subprocess.run(command, cwd=work, env=env)
    wall = time.monotonic() - begun
    with open(os.path.join(run_dir, "results.csv")) as results:
        rows = list(csv.DictReader(results))
    tried = [row for row in rows if row["started_at"]]
    starts = [datetime.datetime.fromisoformat(row["started_at"]).timestamp() for row in tried]
    ends = sorted(start - min(starts) + int(row["duration_ms"]) / 1000 for start, row in zip(starts, tried))
    return wall, ends, sum(row["status"] == "ok" for row in rows), sum(int(row["attempts"] or 0) for row in rows)


def capacity(programs, work, args):
    print("a capacity that nobody tells, without a rate, 16 jobs, so many workers x ms + places to wait:")
    for workers, ms, queue in ((2, 80, 4), (4, 80, 4), (8, 80, 8), (4, 250, 20)):
        most = workers * 1000 / ms
        rows = int(most * 20 / 2)
        told = "%dx%d+%d" % (workers, ms, queue)
        with Sandbox(programs, work, "--servers", "1", "--accounts", "40", "--mailboxes", "25", "--latency", "0s",
                     "--capacity", told) as sandbox:
            job = sandbox.job(1, rows)
            _, ends, ok, tries = sweep(programs, work, sandbox, job, "--rate", "none")
        print("  %-8s  %5.1f of %5.1f/s, %.0f%% (aim: 90%%); %d of %d ok, %d more tries"
              % (told, len(ends) / ends[-1], most, 100 * len(ends) / ends[-1] / most, ok, 2 * rows, tries - 2 * rows))
    for workers, ms, queue in ((4, 80, 4), (8, 80, 8)):
        until, most = 15, workers * 1000 / ms
        rows = int(most * (until + 5 + 10) / 2)
        told = "%dx%d+%d" % (workers, ms, queue)
        half = "%dx%d+%d" % (workers // 2, ms, queue)
        with Sandbox(programs, work, "--servers", "1", "--accounts", "60", "--mailboxes", "25", "--latency", "0s",
                     "--capacity", told, "--capacity-later", "%ds=%s" % (until, half)) as sandbox:
            job = sandbox.job(1, rows)
            _, ends, ok, tries = sweep(programs, work, sandbox, job, "--rate", "none")
        later = [end for end in ends if end > until + 10]
        rate = len(later) / (ends[-1] - until - 10)
        print("  %s, after %d s %s: from 10 s after that on %.1f of %.1f/s, %.0f%% (aim: 90%%); %d of %d ok, "
              "%d more tries" % (told, until, half, rate, most / 2, 200 * rate / most, ok, 2 * rows, tries - 2 * rows))


def fleet(programs, work, args):
    servers, accounts, rows = 12, 25, 8000
    print("%d operations over %d servers with %d accounts, 80 ms a call:" % (2 * rows, servers, servers * accounts))
    slowest = 2 * -(-rows // servers)
    by_rate, by_capacity = 10, 8 * 1000 / 80
    for name, most, at_sandbox, at_run in (
        ("rate 10/s", by_rate, ("--latency", "80ms"), ()),
        ("no rate, capacity 8x80+8", by_capacity, ("--latency", "0s", "--capacity", "8x80+8"), ("--rate", "none")),
    ):
        flags = ("--servers", str(servers), "--accounts", str(accounts), "--mailboxes", "27", *at_sandbox)
        with Sandbox(programs, work, *flags) as sandbox:
            job = sandbox.job(servers, rows)
            wall, _, ok, tries = sweep(programs, work, sandbox, job, *at_run)
        # And one request that asks for the domains.
        needed = (slowest + 1) / most
        print("  %-24s  %.1f s, needed are %.1f s: %.0f%% more (aim: 15%%); %d of %d ok, %d more tries"
              % (name, wall, needed, 100 * (wall / needed - 1), ok, 2 * rows, tries - 2 * rows))


def batch(programs, work, args):
    told, batch = "8x100/5+100", 20
    print("calls together at a server that needs 100 ms to begin a request and 5 for each call in it, 8 at a time:")
    rates = {}
    flags = ("--servers", "1", "--accounts", "40", "--mailboxes", "100", "--latency", "0s", "--capacity", told)
    for name, rows, at_run in (
        ("one by one, 8 jobs", 500, ("--jobs", "8")),
        ("one by one, 16 jobs", 500, ("--jobs", "16")),
        ("%d together, 16 jobs" % batch, 4000, ("--jobs", "16", "--batch", str(batch))),
        ("--batch auto, 16 jobs", 4000, ("--jobs", "16", "--batch", "auto")),
    ):
        with Sandbox(programs, work, *flags) as sandbox:
            job = sandbox.job(1, rows)
            _, ends, ok, tries = sweep(programs, work, sandbox, job, "--rate", "none", "--blind", *at_run)
        rates[name] = len(ends) / ends[-1]
        print("  %-22s  %6.1f calls/s; %d of %d ok, %d more tries"
              % (name, rates[name], ok, len(ends), tries - len(ends)))
    best = max(rate for name, rate in rates.items() if name.startswith("one"))
    together = max(rate for name, rate in rates.items() if str(batch) in name)
    print("  %.1f times the best of single calls   (aim: at least 8)" % (together / best))
