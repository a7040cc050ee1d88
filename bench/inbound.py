#!/usr/bin/env python3
"""From a webhook of WhatsApp's to the streams of a company's people, and what open streams cost in memory, on SQLite.

    bench/inbound.py [--streams 1000] [--rate 250] [--seconds 20] [--json target/bench-inbound.json]

Signed webhooks of the Cloud API, one message in each, come at a fixed rate while all streams follow `loopwave.messages.*`. Every stream is
read to the last byte; on every fiftieth each message is timed from the moment at which its webhook was due to be sent. The server runs on
one core, writer and reader on the other. How many webhooks a second is `cargo bench -p loopd --bench inbound`. Nothing is checked."""
import argparse
import hashlib
import hmac
import http.client
import json
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import time

import events
import load
import servers

APP_SECRET = "the app's secret"
LINE = "106540352242922"
CUSTOMERS = 1_000
WRITERS = 8


def webhook(place):
    """The body of one message; its text says which."""
    phone = f"25078{place % CUSTOMERS:07}"
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "250788000001", "phone_number_id": LINE},
        "contacts": [{"profile": {"name": f"Customer {place % CUSTOMERS}"}, "wa_id": phone}],
        "messages": [{"from": phone, "id": f"wamid.{place:012}", "timestamp": str(int(time.time())), "type": "text", "text": {"body": f"at {place}"}}],
    }}]}]}).encode()


def write(host, number, rate, count, begin):
    """Sends webhooks evenly from `begin` on, a moment of the clock of the day."""
    def work(first):
        connection = http.client.HTTPConnection(host, timeout=60)
        for place in range(first, count, WRITERS):
            body = webhook(place)
            signature = "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
            time.sleep(max(0.0, begin + place / rate - time.time()))
            connection.request("POST", f"/webhooks/whatsapp/{number}", body, {"X-Hub-Signature-256": signature, "Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"a webhook was answered {answer.status}")

    threads = [threading.Thread(target=work, args=(first,)) for first in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read(streams, begin, rate, until):
    """Milliseconds from when a webhook was due to when its event was read, sorted."""
    told = re.compile(rb'"text":"at (\d+)"')
    places = ((now, int(place)) for now, piece in events.sampled(streams, until) for place in told.findall(piece))
    return sorted((now - begin - place / rate) * 1000 for now, place in places)


def measure(options, folder):
    os.environ["LOOP_WHATSAPP_ENGINES"] = "cloud"
    os.environ["LOOP_EVENT_STREAMS"] = os.environ["LOOP_MAX_CONNECTIONS_PER_ADDRESS"] = str(options.streams + 100)
    server = servers.loopd(folder)
    os.sched_setaffinity(0, {load.LOAD_CORE})
    made = servers.call(server.base, "POST", "/api/v1/loopwave/numbers/", {
        "label": "Sales", "engine": "cloud", "phone_number_id": LINE, "waba_id": "102290129340398", "access_token": "a token",
        "app_secret": APP_SECRET, "verify_token": "a token"}, server.headers)
    alone = load.rss_mib(server.process)
    streams = [events.follow(server, "loopwave.messages.*") for _ in range(options.streams)]
    time.sleep(2)
    idle = load.rss_mib(server.process)
    count, begin = int(options.rate * options.seconds), time.time() + 1
    writer = multiprocessing.Process(target=write, args=(server.base.split("//")[1], made["number"], options.rate, count, begin))
    writer.start()
    latencies = read(streams, begin, options.rate, begin + options.seconds + 5)
    writer.join()
    at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))] if latencies else float("nan")
    figures = {"streams": options.streams, "rate": options.rate, "seen": len(latencies), "wanted": count * len(range(0, options.streams, events.SAMPLE)),
               "p50_ms": at(0.5), "p99_ms": at(0.99), "most_ms": at(1.0),
               "rss_mib": {"without_streams": alone, "idle": idle, "after": load.rss_mib(server.process)}}
    server.stop()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("streams", 1_000), ("rate", 250), ("seconds", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", default=os.path.join(servers.ROOT, "target/bench-inbound.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-inbound-") as folder:
        figures = measure(options, folder)
    memory = figures["rss_mib"]
    print(f"webhook to streams  p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, most {figures['most_ms']:.1f} ms at {options.rate}/s and "
          f"{options.streams:,} streams, {figures['seen']:,} of {figures['wanted']:,} samples; wanted: p99 of 100 ms at most")
    print(f"memory              {memory['without_streams']:.0f} MiB without streams, {memory['idle']:.0f} with {options.streams:,} idle ones, "
          f"{memory['after']:.0f} after the load; wanted: under 200")
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    finally:
        servers.stop_all()
