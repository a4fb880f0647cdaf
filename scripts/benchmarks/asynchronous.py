"""What some write in Python: a loop with `aiohttp`. Usage: asynchronous.py PORT REQUESTS IN_FLIGHT"""
import asyncio
import sys

import aiohttp

port, count, in_flight = map(int, sys.argv[1:])


async def main():
    left = iter(range(count))
    done = 0

    async def worker(session):
        nonlocal done
        for i in left:
            url = "http://127.0.0.1:%d/execute/Email/suspend_login?email=user%07d%%40example.com" % (port, i)
            async with session.get(url) as answer:
                done += (await answer.json())["status"]

    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, headers={"authorization": "cpanel exampleu:TOKEN"}) as session:
        await asyncio.gather(*(worker(session) for _ in range(in_flight)))
    assert done == count


asyncio.run(main())
