#!/usr/bin/env python3
"""Loopwave's inbox at a million messages and a hundred thousand chats: its list, a page of a thread, and search, over HTTP on SQLite.

    bench/inbox.py [--messages 1000000] [--chats 100000] [--requests 300] [--json target/bench-inbox.json]

Rows are written into the file of a server that is stopped; then the server, on one core, indexes them for search as it would after an
import, which is timed too, and answers one client on the other core, one request after another on one connection. Nothing is checked."""
import argparse
import datetime
import http.client
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.parse
import uuid

import load
import servers

# Words by rank, the first in most messages and the last in few: as in any language.
WORDS = [f"{start}{middle}{end}" for end in ("a", "o", "e", "i", "u") for middle in ("r", "m", "nd", "k", "sh", "t", "b", "gw", "z", "y")
         for start in ("ba", "ki", "mu", "ta", "ru", "ne", "so", "li", "ga", "ho", "wa", "pe", "je", "vu", "fi", "co", "du", "xa", "ye", "zo",
                       "bri", "kla", "tro", "pli", "gru", "sna", "dra", "fle", "smo", "qui", "bwe", "nki", "mpa", "nda", "nzi", "twa", "cya", "shu", "nya", "rwe")]
WEIGHTS = [1 / (rank + 1) for rank in range(len(WORDS))]


def seed(path, company, number, options):
    """Chats and messages of half a year, straight into the tables."""
    chance, db = random.Random(7), sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    now = int(time.time() * 1_000_000)
    begin, chats = now - 182 * 86_400 * 1_000_000, [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(options.chats)]
    texts = [" ".join(chance.choices(WORDS, WEIGHTS, k=chance.randint(3, 14))) for _ in range(50_000)]
    # A word that stands in a hundred messages only.
    rare = set(chance.sample(range(options.messages), 100))
    step = (now - begin) // options.messages

    def rows():
        for place in range(options.messages):
            at, own = begin + place * step, chance.random() < 0.4
            text = texts[chance.randrange(len(texts))] + (" imbuto" if place in rare else "")
            origin, status = ("agent", "read") if own else ("phone", "received")
            yield (company, str(uuid.UUID(int=chance.getrandbits(128), version=4)), chats[place % options.chats if place < options.chats else int(chance.random() ** 2 * options.chats)],
                   number, f"wamid.{place}", own, "text", text, origin, status, at, at, at)

    db.executemany(
        "INSERT INTO wave_chats (company_id, id, number_id, jid, name, status, labels, unread_count, last_text, last_message_at, waiting_since, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, '[]', ?, 'text', ?, ?, ?, ?)",
        ((company, chat, number, f"2507{place:08}@s.whatsapp.net", f"Customer {place}", "open" if place % 5 == 0 else "resolved", place % 3,
          begin + place * (now - begin) // options.chats, begin if place % 10 == 0 else None, begin, begin) for place, chat in enumerate(chats)))
    db.executemany(
        "INSERT INTO wave_messages (company_id, id, chat_id, number_id, wa_id, from_me, kind, text, origin, status, status_at, sent_at, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return chats


def measure(connection, headers, paths):
    """Milliseconds of one request after another; half of them first to warm up."""
    took, sizes = [], 0
    for number, path in enumerate(paths + paths[: len(paths) // 2]):
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status} {body[:300]}")
        if number >= len(paths) // 2:
            took.append((time.perf_counter() - began) * 1000)
            sizes += len(json.loads(body)["results"])
    took.sort()
    return {"p50_ms": statistics.median(took), "p99_ms": took[int(len(took) * 0.99)], "rows": sizes / len(took)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--chats", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--json", default="target/bench-inbox.json")
    options = parser.parse_args()
    chance = random.Random(8)
    with tempfile.TemporaryDirectory(prefix="loopd-inbox.") as folder:
        try:
            server = servers.loopd(folder)
            made = servers.call(server.base, "POST", "/api/v1/loopwave/numbers/", {"label": "Sales", "engine": "sandbox"}, server.headers)
            server.stop()
            path = next(os.path.join(root, name) for root, _, names in os.walk(folder) for name in names if name.endswith(".db"))
            print(f"{options.messages:,} messages in {options.chats:,} chats …", file=sys.stderr)
            chats = seed(path, 1, made["id"], options)
            server.restart()
            began = time.perf_counter()
            os.sched_setaffinity(0, {load.LOAD_CORE})
            waiting = options.messages
            while waiting:
                time.sleep(0.5)
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                    waiting = db.execute("SELECT count(*) FROM wave_search_queue").fetchone()[0]
            indexed = time.perf_counter() - began
            print(f"indexed in {indexed:.0f} s: {options.messages / indexed:,.0f} a second", file=sys.stderr)
            connection = http.client.HTTPConnection(server.base.split("//")[1], timeout=60)
            base, many = "/api/v1/loopwave", options.requests
            day = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=90)
            since = urllib.parse.quote(day.isoformat())

            def search(words, extra=""):
                return [f"{base}/search/?q={urllib.parse.quote(words())}{extra}" for _ in range(many)]

            work = {
                "chats": [f"{base}/chats/"] * many,
                "chats, open and unread": [f"{base}/chats/?status=open&unread=true"] * many,
                "chats, of nobody": [f"{base}/chats/?assignee=none&status=open"] * many,
                "chats, by name": [f"{base}/chats/?text=Customer%20{chance.randrange(options.chats)}" for _ in range(many)],
                "a thread": [f"{base}/chats/{chance.choice(chats)}/messages/" for _ in range(many)],
                "a long thread": [f"{base}/chats/{chats[0]}/messages/"] * many,
                "search, any word": search(lambda: chance.choice(WORDS)),
                "search, the commonest word": search(lambda: WORDS[0]),
                "search, a rare word": search(lambda: "imbuto"),
                "search, a common and a rare word": search(lambda: f"{WORDS[0]} imbuto"),
                "search, two common words": search(lambda: f"{WORDS[chance.randrange(5)]} {WORDS[chance.randrange(5, 20)]}"),
                "search, three words": search(lambda: " ".join(chance.sample(WORDS, 3))),
                "search, a beginning": search(lambda: f"{chance.choice(WORDS)[:3]}*"),
                "search, sent in 90 days": search(lambda: chance.choice(WORDS), f"&direction=out&from={since}"),
                "search, in one chat": [f"{base}/search/?q={chance.choice(WORDS[:20])}&chat={chance.choice(chats)}" for _ in range(many)],
                "search, nothing": search(lambda: "nowhere"),
            }
            results = {"messages": options.messages, "chats": options.chats, "indexed_per_second": options.messages / indexed}
            print(f"{'':36}{'p50 ms':>9}{'p99 ms':>9}{'rows':>7}")
            for name, paths in work.items():
                results[name] = one = measure(connection, server.headers, paths)
                print(f"{name:36}{one['p50_ms']:9.1f}{one['p99_ms']:9.1f}{one['rows']:7.1f}")
            results["rss_mib"] = load.rss_mib(server.process)
            server.stop()
        finally:
            servers.stop_all()
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
