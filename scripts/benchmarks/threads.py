"""What many write in Python: a pool of threads with `requests`. Usage: threads.py PORT REQUESTS IN_FLIGHT"""
import concurrent.futures
import sys
import threading

import requests

port, count, in_flight = map(int, sys.argv[1:])
local = threading.local()


def call(i):
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.headers["authorization"] = "cpanel exampleu:TOKEN"
    url = "http://127.0.0.1:%d/execute/Email/suspend_login" % port
    return local.session.get(url, params={"email": "user%07d@example.com" % i}).json()["status"]


with concurrent.futures.ThreadPoolExecutor(in_flight) as pool:
    assert sum(pool.map(call, range(count))) == count
