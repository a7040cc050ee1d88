#!/usr/bin/env python3
"""What a verification of an x402 payment costs one core, here, in the reference, and in a bare recovery of its signature.

    bench/x402.py [--json target/bench-x402.json]

Both read a facilitator's body and judge it against a chain that answers at once, one after the other on the same core; medians of five
rounds of a second. Nothing is checked."""
import argparse
import json
import os
import subprocess

import load
import servers

REFERENCE = os.path.join(servers.ROOT, "tests/x402")


def figures(command, folder):
    """Lines of a name and nanoseconds."""
    run = ["taskset", "-c", str(load.LOAD_CORE), *command]
    said = subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in (line.split() for line in said.splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", default=os.path.join(servers.ROOT, "target/bench-x402.json"))
    options = parser.parse_args()
    build = ["cargo", "bench", "--quiet", "-p", "loopd-pay", "--bench", "verify"]
    subprocess.run([*build, "--no-run"], cwd=servers.ROOT, check=True)
    if not os.path.exists(os.path.join(REFERENCE, "node_modules/.package-lock.json")):
        subprocess.run(["npm", "--silent", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=REFERENCE, check=True)
    ours = figures(build, servers.ROOT)
    theirs = figures(["node", "bench.mjs"], REFERENCE)
    print(f"verify      {1e9 / ours['verify']:,.0f}/s on a core, {ours['verify'] / 1e3:.1f} µs")
    print(f"reference   {1e9 / theirs['verify']:,.0f}/s: ours is {theirs['verify'] / ours['verify']:.1f} times as fast; wanted: 10")
    print(f"recovery    {ours['recovery'] / 1e3:.1f} µs: ours costs {ours['verify'] / ours['recovery']:.2f} of it; wanted: under 2")
    with open(options.json, "w") as file:
        json.dump({"ours": ours, "reference": theirs}, file, indent=1)


if __name__ == "__main__":
    main()
