"""What the scripts about the network share: free ports, a server with the module "probe", TAP."""
import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from ports import free_port  # noqa: F401  for all who import this

SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.environ.get("top_builddir", os.path.join(SRC, "build"))
KURIRD = os.environ.get("KURIRD", os.path.join(BUILD, "kurird"))
KURIRCTL = os.environ.get("KURIRCTL", os.path.join(BUILD, "kurirctl"))
FOLDER = tempfile.mkdtemp(prefix="kurir-e2e-")
os.chmod(FOLDER, 0o755)

_count = 0
_failed = 0
_children = []


def check(ok, what, *facts):
    """One line of TAP; facts are shown when it is not so."""
    global _count, _failed
    _count += 1
    print(("ok" if ok else "not ok"), _count, "-", what, flush=True)
    if not ok:
        _failed += 1
        for fact in facts:
            print("#", fact, flush=True)
    return ok


def equal(got, want, what):
    return check(got == want, what, "got  %r" % (got,), "want %r" % (want,))


def skip_all(why):
    print("1..0 # SKIP", why)
    cleanup()
    sys.exit(0)


def done():
    cleanup()
    print("1..%d" % _count)
    sys.exit(1 if _failed else 0)


def cleanup():
    for child in reversed(_children):
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
    shutil.rmtree(FOLDER, ignore_errors=True)


atexit.register(cleanup)  # also after an exception


def path(name):
    return os.path.join(FOLDER, name)


def write(name, text, mode=0o644):
    """Whole or not at all: a server may be reading it."""
    with open(path(name) + ".new", "w" if isinstance(text, str) else "wb") as f:
        f.write(text)
    os.chmod(path(name) + ".new", mode)
    os.rename(path(name) + ".new", path(name))
    return path(name)


def start(argv, log, **more):
    child = subprocess.Popen(argv, stdout=open(path(log), "wb"), stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, **more)
    _children.append(child)
    return child


def wait_until(condition, seconds, what):
    """Asks again and again; the only thing here that knows a clock."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError("not within %d seconds: %s" % (seconds, what))


class Server:
    """A kurird with the probe."""
    environment = {}  # what it has besides ours

    def __init__(self, modules, name="kurir", single=True, **more):
        self.name = name
        self.modules = modules
        self.more = more
        self.single = single
        self.start()

    def start(self):
        conf = {"version": 1, "hostname": "mx.satu.example", "state": self.name + "-state",
                "run": self.name + "-run", "sandbox": "off",
                "module-path": [BUILD, os.path.join(BUILD, "tests/modules")],
                "modules": dict({"probe": {}}, **self.modules)}
        conf.update(self.more)
        self.conf = write(self.name + ".json", json.dumps(conf))
        self.log = self.name + ".log"
        self.child = start([KURIRD] + (["--single"] if self.single else []) + ["-c", self.conf], self.log,
                           env=dict(os.environ, KURIR_MODULE_PATH=":".join(conf["module-path"]), **self.environment))

        def ready():
            if self.child.poll() is not None:
                raise AssertionError("kurird ended:\n" + self.text())
            return "kurird: ready" in self.text() or "is serving" in self.text()
        wait_until(ready, 60, "kurird is ready")

    def text(self):
        with open(path(self.log), errors="replace") as f:
            return f.read()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(60)

    def ctl(self, *args, seconds=90):
        done_ = subprocess.run([KURIRCTL, "-c", self.conf, "--json"] + list(args), capture_output=True,
                               text=True, timeout=seconds, check=False)
        try:
            return json.loads(done_.stdout)
        except ValueError:
            raise AssertionError("kurirctl says %r %r; the server:\n%s" %
                                 (done_.stdout, done_.stderr, self.text())) from None

    def probe(self, do, **what):
        command = "probe-edge" if do in ("login", "redeem") else "probe"
        answer = self.ctl(command, json.dumps(dict(what, do=do)))
        return answer.get("data", answer)

    def counters(self, module):
        """All processes together."""
        total = {}
        for process in self.ctl("status")["processes"]:
            for key, value in process.get("facts", {}).get("counters", {}).get(module, {}).items():
                total[key] = total.get(key, 0) + value
        return total
