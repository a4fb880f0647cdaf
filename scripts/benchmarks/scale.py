"""How cost grows with the number of operations, and what a start, a sweep and a resume cost."""
import csv
import datetime
import json
import os
import shutil
import signal
import statistics
import sys
import time

from benchmarks.common import Calls, Sandbox, Server, measure, rehearse, spread, write_job

GROWTH = (1_000, 10_000, 100_000, 1_000_000)


def growth(programs, work, args):
    print("runs at a server that answers at once, %d in flight, over one of a single row:" % args.jobs)
    _grow(programs, work, args, "success", GROWTH)
    print("the same where every call fails with a text of 400 characters:")
    _grow(programs, work, args, "failing", GROWTH[1:])


def _grow(programs, work, args, mode, sizes):
    flags = ("--max-errors", "100%")
    codes = (1,) if mode == "failing" else (0,)
    with Server(programs, mode) as server:
        calls = Calls(programs, work, server.port, args.jobs)
        one = calls.run(write_job(os.path.join(work, "job.csv"), 1), *flags, codes=codes)
        first = None
        for size in (size for size in sizes if size <= args.rows):
            ran = calls.run(write_job(os.path.join(work, "job.csv"), size), *flags, codes=codes)
            more = "" if first is None else "; %.0f bytes an operation from %d on" % (
                (ran.peak - first[1]) / (size - first[0]), first[0])
            print("  %9d operations  %6.2f s, %.1f microseconds of CPU each; peak %.1f MB, %.1f more than for one row%s; "
                  "%.0f journal bytes each" % (size, ran.wall, ran.cpu / size * 1e6, ran.peak / 1e6,
                                               (ran.peak - one.peak) / 1e6, more, calls.journal() / size))
            sys.stdout.flush()
            if size == 10_000:
                first = (size, ran.peak)
    print("  (aim: at most 100 bytes an operation from 10000 on)")


def rehearsal(programs, work, args):
    job = write_job(os.path.join(work, "job.csv"), 1)
    one = rehearse(programs, work, job)
    write_job(job, args.rows)
    runs = [rehearse(programs, work, job) for _ in range(5)]
    peak = max(run.peak for run in runs)
    print("dry run of %d rows:" % args.rows)
    print("  memory  %.1f bytes a row over a run of one row, at peak   (aim: at most 100)"
          % ((peak - one.peak) / args.rows))
    print("  rows per second  %s   (aim: 500000)" % spread([args.rows / run.wall for run in runs], "%.0f"))


def resume(programs, work, args):
    """Interrupts a run when all but a thousandth is done, and takes it up again."""
    job = write_job(os.path.join(work, "job.csv"), args.rows)
    with Server(programs) as server:
        calls = Calls(programs, work, server.port, args.jobs)
        journal = os.path.join(calls.run_dir, "journal.jsonl")

        def interrupt(process):
            # So long are the lines of an operation, give or take one byte.
            enough = 147.5 * args.rows * 0.999
            # It is left to be waited for by who measures it.
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if os.path.exists(journal) and os.path.getsize(journal) >= enough:
                    process.send_signal(signal.SIGINT)
                    return
                time.sleep(0.001)

        calls.run(job, codes=(130, 0), meanwhile=interrupt)
        with open(os.path.join(calls.run_dir, "results.csv")) as results:
            left = sum(row["status"] != "ok" for row in csv.DictReader(results))
        command = [programs.mailsweep, "resume", calls.run_dir, "-q"]
        taken_up = measure(command, cwd=work, env=calls.env)
    dry = rehearse(programs, work, job)
    print("resume of %d operations of which %d are left:" % (args.rows, left))
    print("  %.2f s, %.1f MB; a dry run of the same file takes %.2f s" % (taken_up.wall, taken_up.peak / 1e6, dry.wall))


def sweep(programs, work, args):
    """A job whose every mailbox is as wanted already, over a thousand accounts."""
    accounts = 1000
    mailboxes = max(1, args.rows // accounts)
    flags = ("--servers", "1", "--accounts", str(accounts), "--mailboxes", str(mailboxes), "--latency", "0s")
    run_dir = os.path.join(work, "sweep")
    with Sandbox(programs, work, *flags) as sandbox:
        with open(os.path.join(sandbox.dir, "job.csv")) as told, open(os.path.join(work, "sweep.csv"), "w") as out:
            out.write("email,action,channel\n")
            rows = 0
            for row in csv.DictReader(told):
                out.write("%s,unsuspend,login\n" % row["email"])
                rows += 1
        job = os.path.join(work, "sweep.csv")
        env = dict(os.environ, XDG_STATE_HOME=os.path.join(work, "state"))
        config = ("--config", os.path.join(sandbox.dir, "mailsweep.toml"))
        ratios, walls, own, theirs = [], [], [], []
        # The first one finds some that are suspended, makes it so, and is not counted.
        for turn in range(6):
            shutil.rmtree(run_dir, ignore_errors=True)
            command = sandbox.command_for(programs, work, job, run_dir, "--rate", "none")
            before = sandbox.cpu()
            swept = measure(command, cwd=work, env=env)
            if turn == 0:
                continue
            theirs.append(sandbox.cpu() - before)
            walls.append(swept.wall)
            own.append(swept.cpu)
            with open(os.path.join(run_dir, "summary.json")) as summary:
                unchanged = json.load(summary)["counts"].get("unchanged")
            dry = rehearse(programs, work, job, *config)
            ratios.append(swept.wall / dry.wall)
    print("a sweep of %d operations over %d accounts, of which %s were unchanged, over a dry run of the same file:"
          % (rows, accounts, unchanged))
    print("  %s   (aim: at most 5)" % spread(ratios))
    print("  seconds  %s; of CPU %.2f, and of the sandbox's %.2f; peak %.1f MB"
          % (spread(walls), statistics.median(own), statistics.median(theirs), swept.peak / 1e6))


def limiter(programs, work, args):
    print("rates that were asked for, and held, from the first call to the last:")
    for rate, count in ((10, 200), (100, 2_000), (1_000, 15_000), (5_000, 75_000)):
        with Server(programs) as server:
            calls = Calls(programs, work, server.port, args.jobs)
            calls.command[calls.command.index("none")] = "%d/s" % rate
            calls.run(write_job(os.path.join(work, "job.csv"), count))
        with open(os.path.join(calls.run_dir, "results.csv")) as results:
            told = sorted(datetime.datetime.fromisoformat(row["started_at"]).timestamp()
                          for row in csv.DictReader(results))
        # The first call goes alone, until it is known that the credential is right.
        held = (count - 1) / (told[-1] - told[0]) / rate
        window = most = 0
        for end, at in enumerate(told):
            while told[window] <= at - 1:
                window += 1
            most = max(most, end - window + 1)
        print("  %5d/s   %.2f%% held; most within a second %d   (aim: at least 99%%, never over)"
              % (rate, 100 * held, most))
        sys.stdout.flush()
