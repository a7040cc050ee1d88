#!/usr/bin/env python3
"""The same tenant-scoped work on every server, in turn, in one run: requests per second, latencies, memory, start.

    bench/run.py [--seconds 5] [--rounds 3] [--rows 10000] [--only loopd,floor,pocketbase,drf]
                 [--many 1000000] [--grow loopd] [--json target/bench.json]

Servers run on one core and the load on another, 32 connections. Work: health (no credentials), get (one record by id),
list (the 20 newest), create (one durable insert), challenge (what a seller answers who wants to be paid; loopd and
floor only). A figure is the median of the rounds; a ratio is the median of the
rounds' ratios, so that a slow minute of the machine hits both sides. Nothing is checked: timings are never tests."""
import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile

import load
import servers

WORK = ("health", "get", "list", "create", "challenge")


def median(rounds, what):
    return statistics.median(one[what] for one in rounds)


def ratio(ours, theirs):
    return statistics.median(a["rps"] / b["rps"] for a, b in zip(ours, theirs) if b["rps"])


def compare(options, folder):
    """Every server with the same rows, loaded in turn. Returns {work: {server: [round, …]}} and memory."""
    running = []
    for name in options.only:
        print(f"{name}: starting, {options.rows:,} rows …", file=sys.stderr)
        os.mkdir(f"{folder}/{name}")
        server = servers.START[name](f"{folder}/{name}")
        running.append(server)
        server.ids = load.seed(server, options.rows)
    results = {work: {server.name: [] for server in running if load.does(server, work)} for work in WORK}
    for number in range(options.rounds):
        for work in WORK:
            print(f"round {number + 1}/{options.rounds}: {work} …", file=sys.stderr)
            for server in running:
                if load.does(server, work):
                    results[work][server.name].append(load.run(server, work, options.seconds, folder))
    memory = {server.name: {"start_mib": server.rss_at_start, "after_mib": load.rss_mib(server.process)} for server in running}
    return results, memory


def grow(options, folder):
    """One server with few rows beside the same with many, loaded in turn; then a start on the many."""
    pair = {}
    for size in ("few", "many"):
        os.mkdir(f"{folder}/{size}")
        server = servers.START[options.grow](f"{folder}/{size}")
        server.ids = load.seed(server, options.rows)
        pair[size] = server
    print(f"growing to {options.many:,} rows …", file=sys.stderr)
    rows = options.rows + load.seed_many(pair["many"], options.many - options.rows, folder)
    results = {work: {size: [] for size in pair} for work in ("get", "list")}
    for _ in range(options.rounds):
        for work in results:
            for size, server in pair.items():
                results[work][size].append(load.run(server, work, options.seconds, folder))
    starts = []
    for _ in range(5):
        pair["many"].stop()
        starts.append((*pair["many"].restart(), load.rss_mib(pair["many"].process)))
    healthy, listed, resident = (statistics.median(column) for column in zip(*starts))
    return {"server": options.grow, "rows": rows, "results": results, "start_to_health_ms": healthy * 1000, "start_to_list_ms": listed * 1000,
            "rss_after_start_mib": resident}


def print_comparison(results, memory):
    print(f"\n{'work':11}{'server':12}{'req/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'bad':>6}  loopd does")
    for work, of in results.items():
        for name, rounds in of.items():
            line = f"{work:11}{name:12}{median(rounds, 'rps'):10,.0f}{median(rounds, 'p50_ms'):10.2f}{median(rounds, 'p99_ms'):10.2f}"
            line += f"{sum(one['bad'] for one in rounds):6}"
            if "loopd" in of and name != "loopd":
                line += f"  {ratio(of['loopd'], rounds):.2f} x"
            print(line)
    print(f"\n{'memory':8}{'server':12}{'at start':>10}{'after':>10}  MiB resident, workers included")
    for name, of in memory.items():
        print(f"{'':8}{name:12}{of['start_mib']:10.0f}{of['after_mib']:10.0f}")


def print_growth(grown, few):
    print(f"\n{grown['server']} with {grown['rows']:,} rows against {few:,}")
    for work, of in grown["results"].items():
        print(f"  {work:6}{median(of['many'], 'rps'):10,.0f} req/s against {median(of['few'], 'rps'):10,.0f}: "
              f"{ratio(of['few'], of['many']):.2f} x the time, p99 {median(of['many'], 'p99_ms'):.2f} ms "
              f"against {median(of['few'], 'p99_ms'):.2f}")
    print(f"  start to first answer {grown['start_to_health_ms']:.0f} ms, to the first list {grown['start_to_list_ms']:.0f} ms, "
          f"{grown['rss_after_start_mib']:.0f} MiB resident then")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--many", type=int, default=1_000_000, help="rows of the large database; 0 leaves that part out")
    options.add_argument("--only", type=lambda names: names.split(","), default=["loopd", "floor", "pocketbase", "drf"])
    options.add_argument("--grow", default="loopd", help="the server whose small and large databases are compared")
    options.add_argument("--json", default=os.path.join(servers.ROOT, "target/bench.json"))
    options = options.parse_args()
    # SystemExit on a signal too, so that `finally` ends the servers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    for program in ("wrk", "taskset"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install wrk util-linux")
    folder = tempfile.mkdtemp(prefix="loopd-bench-")
    try:
        results, memory = compare(options, folder)
        report = {"options": vars(options), "results": results, "memory": memory}
        print_comparison(results, memory)
        servers.stop_all()
        if options.grow in options.only and options.many:
            report["growth"] = grow(options, folder)
            print_growth(report["growth"], options.rows)
        os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)
        print(f"\nevery round: {os.path.relpath(options.json)}")
    finally:
        servers.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
