#!/usr/bin/env python3
"""Webhook deliveries a second to a local receiver, and the time from an event to its streams.

    bench/events.py [--deliveries 20000] [--endpoints 4] [--streams 1000] [--rate 500] [--seconds 20] [--json target/bench-events.json]

The server runs on one core, receiver, readers and writers on the other (this process and its children). Deliveries: events are
written first, then asked for by a replay of what the endpoints missed, so that the figure is the deliveries' alone; counted from the
first request to the last outcome that the API shows as written. Streams: all follow one company; every stream is read to the last
byte, and on every fiftieth each event's `created_at` (taken before its commit) is compared with the clock when it was read. Nothing is checked."""
import argparse
import asyncio
import datetime
import http.client
import json
import multiprocessing
import os
import re
import select
import socket
import sys
import tempfile
import threading
import time

import load
import servers

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
EVENTS = 500  # of one bulk call
SAMPLE = 50  # of so many streams one is timed


class Receiver(asyncio.Protocol):
    """Answers 200 to every POST; keeps connections open."""

    def __init__(self, counter):
        self.counter, self.buffer = counter, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = int(re.search(rb"content-length: (\d+)", self.buffer[:end], re.I).group(1))
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length:]
            if self.counter[0] == 0:
                self.counter[1] = time.time()
            self.counter[0] += 1
            self.transport.write(ANSWER)


def receive(port, counter):
    os.sched_setaffinity(0, {load.LOAD_CORE})

    async def serve():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Receiver(counter), "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    asyncio.run(serve())


def bulk(server, count):
    """Books `count` appointments in bulk."""
    operations = [{"op": "create", "body": server.body} for _ in range(EVENTS)]
    for _ in range(count // EVENTS):
        servers.call(server.base, "POST", server.create + "bulk/", {"operations": operations}, server.headers)


def deliveries(options, folder):
    os.environ["LOOP_EGRESS_ALLOW"] = "127.0.0.1"
    server, port = servers.loopd(folder), load.free_port()
    counter = multiprocessing.Array("d", 2, lock=False)
    receiver = multiprocessing.Process(target=receive, args=(port, counter), daemon=True)
    receiver.start()
    per_endpoint = options.deliveries // options.endpoints // EVENTS * EVENTS
    bulk(server, per_endpoint)
    made = [servers.call(server.base, "POST", "/api/v1/webhook-endpoints/",
                         {"url": f"http://127.0.0.1:{port}/", "events": ["booking.*"], "concurrency": 16}, server.headers)["id"]
            for _ in range(options.endpoints)]
    for endpoint in made:
        servers.call(server.base, "POST", f"/api/v1/webhook-endpoints/{endpoint}/replay/",
                     {"since": "2020-01-01T00:00:00Z", "which": "missing"}, server.headers)
    wanted, done = per_endpoint * options.endpoints, 0
    while done < wanted:
        time.sleep(0.2)
        done = servers.call(server.base, "GET", "/api/v1/webhook-deliveries/?status=succeeded&page_size=1", None, server.headers)["count"]
    took = time.time() - counter[1]
    server.stop()
    receiver.kill()
    return {"deliveries": wanted, "requests": int(counter[0]), "seconds": took, "per_second": wanted / took}


def follow(server, kinds="booking.*"):
    """An open stream of events of these kinds, past its head."""
    host, port = server.base.split("//")[1].split(":")
    stream = socket.create_connection((host, int(port)))
    head = f"GET /api/v1/platform-events/stream/?type={kinds} HTTP/1.1\r\nhost: {host}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in server.headers.items())
    stream.sendall(head.encode() + b"\r\n")
    first = stream.recv(65536)
    if b" 200 " not in first.split(b"\r\n")[0]:
        sys.exit(f"a stream was refused: {first[:300]}")
    stream.setblocking(False)
    return stream


def sampled(streams, until):
    """Reads every stream to the last byte until a moment of the clock; of every fiftieth, when each piece was read, and the piece."""
    poll, opened, buffer = select.epoll(), {}, bytearray(1 << 20)
    for place, stream in enumerate(streams):
        opened[stream.fileno()] = (stream, place % SAMPLE == 0)
        poll.register(stream.fileno(), select.EPOLLIN)
    while time.time() < until:
        for number, _ in poll.poll(0.2):
            stream, is_sampled = opened[number]
            try:
                length = stream.recv_into(buffer)
            except BlockingIOError:
                continue
            now = time.time()
            if length == 0:
                poll.unregister(number)
            elif is_sampled:
                yield now, bytes(buffer[:length])


def write(server, rate, seconds):
    """Books `rate` appointments a second, evenly, on eight connections."""
    host, body = server.base.split("//")[1], json.dumps(server.body)
    headers = {"content-type": "application/json", **server.headers}
    begin = time.monotonic() + 0.5

    def work(number):
        connection = http.client.HTTPConnection(host, timeout=60)
        for at in range(number, int(rate * seconds), 8):
            time.sleep(max(0.0, begin + at / rate - time.monotonic()))
            connection.request("POST", server.create, body, headers)
            connection.getresponse().read()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def streams(options, folder):
    os.environ["LOOP_EVENT_STREAMS"] = os.environ["LOOP_MAX_CONNECTIONS_PER_ADDRESS"] = str(options.streams + 100)
    server = servers.loopd(folder)
    os.sched_setaffinity(0, {load.LOAD_CORE})
    opened = [follow(server) for _ in range(options.streams)]
    writer = multiprocessing.Process(target=write, args=(server, options.rate, options.seconds))
    writer.start()
    latencies = []
    created = re.compile(rb'"created_at":"([^"]+)","data"')
    for now, piece in sampled(opened, time.time() + options.seconds + 5):
        for at in created.findall(piece):
            moment = datetime.datetime.fromisoformat(at.decode().replace("Z", "+00:00"))
            latencies.append((now - moment.timestamp()) * 1000)
    writer.join()
    memory = load.rss_mib(server.process)
    server.stop()
    latencies.sort()
    wanted = int(options.rate * options.seconds) * len(range(0, options.streams, SAMPLE))
    at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))] if latencies else float("nan")
    return {"streams": options.streams, "rate": options.rate, "seen": len(latencies), "wanted": wanted,
            "p50_ms": at(0.5), "p99_ms": at(0.99), "most_ms": at(1.0), "rss_mib": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("deliveries", 20_000), ("endpoints", 4), ("streams", 1_000), ("rate", 500), ("seconds", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", default=os.path.join(servers.ROOT, "target/bench-events.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-events-") as folder:
        figures = {}
        for work in (deliveries, streams):
            os.mkdir(f"{folder}/{work.__name__}")
            figures[work.__name__] = work(options, f"{folder}/{work.__name__}")
    told, followed = figures["deliveries"], figures["streams"]
    print(f"deliveries  {told['per_second']:,.0f}/s ({told['deliveries']:,} in {told['seconds']:.1f} s, {told['requests']:,} requests); wanted: 2,000/s")
    print(f"streams     p50 {followed['p50_ms']:.1f} ms, p99 {followed['p99_ms']:.1f} ms at {followed['rate']}/s and {followed['streams']:,} streams, "
          f"{followed['seen']:,} of {followed['wanted']:,} samples; wanted: p99 under 50 ms")
    with open(options.json, "w") as file:
        json.dump(figures, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    finally:
        for process in servers.RUNNING:
            process.kill()
