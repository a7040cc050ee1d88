"""Load and what is read off it: requests per second, latencies, memory."""
import concurrent.futures
import http.client
import json
import re
import socket
import subprocess
import sys

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 32
# Records that `get` asks for in turn, so that no server answers from one hot page only.
HOT_RECORDS = 100
# What a seller asks to be paid for.
CHALLENGE = {"amount": "0.001", "network": "base", "resource": "https://api.example.com/weather", "description": "Weather"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def seed(server, rows):
    """Creates `rows` records one by one on eight connections, as clients do; returns their ids."""
    host, body = server.base.split("//")[1], json.dumps(server.body)
    headers = {"content-type": "application/json", **server.headers}

    def work(count):
        connection, ids = http.client.HTTPConnection(host, timeout=60), []
        for _ in range(count):
            connection.request("POST", server.create, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status not in (200, 201):
                sys.exit(f"seeding {server.name}: {answer.status} {data[:300]}")
            ids.append(find_id(json.loads(data)))
        return ids

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [made for ids in pool.map(work, [rows // 8] * 8) for made in ids]


def find_id(answer):
    return answer["id"] if "id" in answer else answer["data"]["id"]


def seed_many(server, rows, folder):
    """Creates at least `rows` records with the load generator, ten times faster than `seed`; returns how many."""
    made = 0
    while made < rows:
        made += run(server, "create", 5, folder)["requests"]
    return made


def does(server, work):
    """Whether a server knows this piece of work."""
    return work != "challenge" or bool(server.challenge)


def script(server, work):
    """What wrk sends: one request again and again, or for `get` the hot records in turn."""
    headers = server.challenge_headers if work == "challenge" else server.headers
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    body = {"create": server.body, "challenge": CHALLENGE}.get(work)
    if body:
        lines += ['wrk.method = "POST"', 'wrk.headers["Content-Type"] = "application/json"',
                  f"wrk.body = {json.dumps(json.dumps(body))}"]
    if work == "get":
        step = max(1, len(server.ids) // HOT_RECORDS)
        paths = ", ".join(json.dumps(server.item % made) for made in server.ids[::step][:HOT_RECORDS])
        lines += [f"local paths, requests, i = {{{paths}}}, {{}}, 0",
                  "function init() for n, path in ipairs(paths) do requests[n] = wrk.format(nil, path) end end",
                  "function request() i = i % #requests + 1 return requests[i] end"]
    return "\n".join(lines) + "\n"


def run(server, work, seconds, folder):
    """Loads one server with one piece of work. Latencies in milliseconds; `bad` counts answers other than 2xx and 3xx."""
    path = {"health": server.health, "get": server.item % (server.ids or ["-"])[0], "list": server.newest,
            "create": server.create, "challenge": server.challenge}[work]
    name = f"{folder}/wrk.lua"
    with open(name, "w") as file:
        file.write(script(server, work))
    out = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", name,
         server.base + path], check=True, text=True, capture_output=True).stdout

    def number(pattern, default="0"):
        found = re.search(pattern, out)
        return found[1] if found else default

    return {
        "rps": float(number(r"Requests/sec:\s+([\d.]+)")),
        "p50_ms": milliseconds(number(r"(?m)^\s+50%\s+(\S+)", "0ms")),
        "p99_ms": milliseconds(number(r"(?m)^\s+99%\s+(\S+)", "0ms")),
        "requests": int(number(r"(\d+) requests in")),
        "bad": int(number(r"Non-2xx or 3xx responses: (\d+)")) + sum(map(int, re.findall(r"(?:read|timeout) (\d+)", out))),
    }


def milliseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def rss_mib(process):
    """Resident memory of a server and its workers."""
    out = subprocess.run(["ps", "-o", "rss=", "--pid", str(process.pid), "--ppid", str(process.pid)],
                         text=True, capture_output=True).stdout
    return sum(map(int, out.split())) / 1024
