"""How much of a fast server mailsweep uses, and how much of the machine, beside what others do there."""
import importlib.util
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

from benchmarks.common import Calls, Server, measure, spread, write_job

URL = "http://127.0.0.1:%s/execute/Email/suspend_login?email=user%07d%%40example.com"
HEADER = "authorization: cpanel exampleu:TOKEN"


def speed(programs, work, args):
    job = write_job(os.path.join(work, "job.csv"), args.requests)
    ratios, more, ours_rates, bare_rates, peaks = [], [], [], [], []
    with Server(programs) as server:
        calls = Calls(programs, work, server.port, args.jobs)
        for _ in range(args.pairs):
            bare = measure([programs.bare, server.port, str(args.requests), str(args.jobs)])
            ours = calls.run(job)
            ratios.append(bare.wall / ours.wall)
            more.append((ours.cpu - bare.cpu) / args.requests * 1e6)
            ours_rates.append(args.requests / ours.wall)
            bare_rates.append(args.requests / bare.wall)
            peaks.append(ours.peak / 1e6)
    print("mailsweep beside a bare reqwest loop, %d requests, %d in flight, journal and results included:"
          % (args.requests, args.jobs))
    print("  ratio of requests per second    %s   (aim: 0.90)" % spread(ratios))
    print("  microseconds of CPU a request more   %s   (aim: at most 8)" % spread(more, "%.1f"))
    print("  %.0f requests/s, bare %.0f; peak %.0f MB; %.0f journal bytes an operation"
          % (statistics.median(ours_rates), statistics.median(bare_rates), statistics.median(peaks),
             calls.journal() / args.requests))


def urls(work, port, requests):
    path = os.path.join(work, "urls")
    with open(path, "w") as out:
        out.writelines((URL % (port, i)) + "\n" for i in range(requests))
    return path


def wrk(work, port, requests, jobs):
    told = subprocess.run(["wrk", "-t1", "-c%d" % jobs, "-d3s", "-H", HEADER, URL % (port, 1)],
                          check=True, capture_output=True, text=True).stdout
    return float(re.search(r"Requests/sec:\s*([\d.]+)", told)[1])


def oha(work, port, requests, jobs):
    return of(requests, ["oha", "--no-tui", "-n", str(requests), "-c", str(jobs), "-H", HEADER, URL % (port, 1)])


def curl_parallel(work, port, requests, jobs):
    path = os.path.join(work, "curl.config")
    with open(path, "w") as out:
        for i in range(requests):
            out.write('url = "%s"\noutput = "/dev/null"\n' % (URL % (port, i)))
    return of(requests, ["curl", "--silent", "--parallel", "--parallel-max", str(jobs), "-H", HEADER, "-K", path])


def xargs(work, port, requests, jobs):
    with open(urls(work, port, requests)) as lines:
        return of(requests, ["xargs", "-P16", "-n1", "curl", "-s", "-o", "/dev/null", "-H", HEADER], lines)


def gnu_parallel(work, port, requests, jobs):
    with open(urls(work, port, requests)) as lines:
        command = "curl -s -o /dev/null -H '%s' {}" % HEADER
        return of(requests, ["parallel", "--will-cite", "-j16", command], lines)


def of(requests, command, stdin=None):
    return requests / measure(command, stdin=stdin).wall


def python(work, port, requests, jobs, kind):
    here = os.path.dirname(os.path.abspath(__file__))
    return of(requests, [sys.executable, os.path.join(here, kind + ".py"), port, str(requests), str(jobs)])


def threads(*how):
    return python(*how, "threads")


def aiohttp(*how):
    return python(*how, "asynchronous")


def has_module(name):
    return importlib.util.find_spec(name) is not None


# What it is called, how it is run, how many requests it is given, how many times as fast mailsweep is to
# be, and where it comes from if it is not there.
OTHERS = (
    ("wrk", wrk, 0, 0.45, lambda: shutil.which("wrk"), "Debian package wrk"),
    ("oha", oha, 100_000, None, lambda: shutil.which("oha"), "crate oha"),
    ("curl --parallel", curl_parallel, 20_000, 2.5, lambda: shutil.which("curl"), "Debian package curl"),
    ("aiohttp loop", aiohttp, 10_000, 6, lambda: has_module("aiohttp"), "PyPI package aiohttp"),
    ("requests thread pool", threads, 3_000, 30, lambda: has_module("requests"), "PyPI package requests"),
    ("xargs -P16 curl", xargs, 600, 100, lambda: shutil.which("curl"), "Debian package curl"),
    ("GNU parallel -j16 curl", gnu_parallel, 400, None, lambda: shutil.which("parallel"), "Debian package parallel"),
)


def others(programs, work, args):
    print("requests per second as a multiple of what others do at the same server, %d in flight where they take that:"
          % args.jobs)
    job = write_job(os.path.join(work, "job.csv"), args.requests)
    with Server(programs) as server:
        calls = Calls(programs, work, server.port, args.jobs)
        for name, run, requests, aim, is_there, source in OTHERS:
            if not is_there():
                print("  %-24s is not installed (%s)" % (name, source))
                continue
            ratios, theirs = [], []
            for _ in range(max(3, args.pairs // 3)):
                theirs.append(run(work, server.port, requests, args.jobs))
                ratios.append(args.requests / calls.run(job).wall / theirs[-1])
            aimed = "" if aim is None else "   (aim: %g)" % aim
            print("  %-24s %s; theirs %.0f/s%s" % (name, spread(ratios), statistics.median(theirs), aimed))
            sys.stdout.flush()
