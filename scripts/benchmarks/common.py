"""What all measures need: the programs, jobs, servers, and one process measured at a time."""
import collections
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))

Programs = collections.namedtuple("Programs", "mailsweep server bare")
Measured = collections.namedtuple("Measured", "wall cpu peak code")


def build():
    subprocess.run(["cargo", "build", "--release", "--bins", "--examples", "--quiet"], cwd=ROOT, check=True)
    release = os.path.join(TARGET, "release")
    return Programs(*(os.path.join(release, p) for p in ("mailsweep", "examples/bench_server", "examples/bench_bare")))


def write_job(path, rows):
    """Distinct addresses of 32 bytes on average, like those of a real list."""
    chance = random.Random(1)
    with open(path, "w") as out:
        out.write("email,action,channel\n")
        for i in range(rows):
            domain = "customer%04d.example.net" % chance.randrange(3000)
            out.write("u%06d@%s,suspend,login\n" % (i, domain))
    return path


def measure(command, cwd=None, env=None, stdin=None, codes=(0,), meanwhile=None):
    """Runs a command to its end: seconds, seconds of CPU, peak of memory in bytes, exit code."""
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=stdin or subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if meanwhile:
        meanwhile(process)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        sys.exit("failed with %d: %s" % (process.returncode, " ".join(command)))
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, process.returncode)


def spread(values, form="%.2f"):
    values = sorted(values)
    told = tuple(form % value for value in (statistics.median(values), values[0], values[-1]))
    return "median %s (lowest %s, highest %s, of %d)" % (told + (len(values),))


class Server:
    """The server that answers at once, until the end of the block."""

    def __init__(self, programs, *mode):
        self.command = [programs.server, *mode]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = self.process.stdout.readline().decode().strip()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


class Calls:
    """Runs of mailsweep that make every call of a job, without looking at any state."""

    def __init__(self, programs, work, port, jobs=64, name="run"):
        self.run_dir = os.path.join(work, name)
        self.work = work
        self.command = [programs.mailsweep, "run", "JOB", "--server", "http://127.0.0.1:" + port, "--user", "exampleu",
                        "--rate", "none", "--jobs", str(jobs), "--blind", "--yes", "-q", "--run-dir", self.run_dir]
        self.env = dict(os.environ, MAILSWEEP_TOKEN="TOKEN", XDG_STATE_HOME=os.path.join(work, "state"))

    def run(self, job, *flags, **how):
        shutil.rmtree(self.run_dir, ignore_errors=True)
        command = [job if part == "JOB" else part for part in self.command]
        return measure(command + list(flags), cwd=self.work, env=self.env, **how)

    def journal(self):
        return os.path.getsize(os.path.join(self.run_dir, "journal.jsonl"))


def rehearse(programs, work, job, *flags):
    run_dir = os.path.join(work, "dry")
    shutil.rmtree(run_dir, ignore_errors=True)
    command = [programs.mailsweep, "run", job, "--dry-run", "-q", "--run-dir", run_dir, *flags]
    return measure(command, cwd=work, env=dict(os.environ, XDG_STATE_HOME=os.path.join(work, "state")))


class Sandbox:
    """The sandbox in a process of its own, until the end of the block."""

    def __init__(self, programs, work, *flags):
        self.dir = os.path.join(work, "sandbox")
        shutil.rmtree(self.dir, ignore_errors=True)
        self.command = [programs.mailsweep, "sandbox", "--dir", self.dir, *flags]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "Ctrl-C" in line:
                return self
        sys.exit("failed: " + " ".join(self.command))

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.stderr.read()
        self.process.wait()

    def cpu(self):
        """Seconds of CPU that it has taken so far."""
        with open("/proc/%d/stat" % self.process.pid) as stat:
            figures = stat.read().rsplit(")", 1)[1].split()
        return (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")

    def job(self, servers, rows):
        """The sandbox's job, cut to so many rows, of each server the same number or one more."""
        path = os.path.join(self.dir, "job.csv")
        with open(path) as whole:
            header, *lines = whole
        of_each = len(lines) // servers
        cut = [lines[n * of_each:][:(rows + servers - 1 - n) // servers] for n in range(servers)]
        with open(path, "w") as out:
            out.writelines([header] + [line for part in cut for line in part])
        return path

    def command_for(self, programs, work, job, run_dir, *flags):
        return [programs.mailsweep, "run", job, "--config", os.path.join(self.dir, "mailsweep.toml"), "--yes", "-q",
                "--run-dir", run_dir, *flags]
