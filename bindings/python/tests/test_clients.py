"""Libraries that connect through happysock after one line: the lines that README.md shows."""

import http.client
import re
import shutil
import socket
import subprocess
import unittest
import urllib.request
from pathlib import Path
from unittest import mock

import happysock
from support import V4, V6, TestCase, http_server

README = (Path(__file__).parent.parent / "README.md").read_text()


def line_of(library):
    """The line that README.md has for a library."""
    return re.search(r"^(\S.*?) +# " + library + "$", README, re.MULTILINE).group(1)


class Clients(TestCase):
    def test_all_of_the_standard_library(self):
        with mock.patch.object(socket, "create_connection"):
            exec(line_of("http.client, urllib.request, smtplib, ftplib, ..."), {"socket": socket, "happysock": happysock})
            with http_server(V4) as port, self.at_once(least=0.2, most=10):
                self.assertEqual(urllib.request.urlopen(f"http://half.test:{port}/", timeout=10).read(), V4.encode())
            with self.assertRaises(TimeoutError):
                http.client.HTTPConnection("silent.test", 80, timeout=0.1).request("GET", "/")

    def test_urllib3(self):
        try:
            import urllib3
        except ImportError:
            raise unittest.SkipTest("urllib3 is not installed")
        with mock.patch.object(urllib3.util.connection, "create_connection"):
            exec(line_of("urllib3, requests"), {"urllib3": urllib3, "happysock": happysock})
            pool = urllib3.PoolManager(retries=False)
            with http_server(V4) as port, self.at_once(least=0.2, most=10):
                self.assertEqual(pool.request("GET", f"http://half.test:{port}/", timeout=10).data, V4.encode())
            with http_server(V6) as port:
                self.assertEqual(pool.request("GET", f"http://[{V6}]:{port}/").data, V6.encode())
            with self.assertRaises(urllib3.exceptions.ConnectTimeoutError):
                pool.request("GET", "http://silent.test/", timeout=0.1)
            with self.assertRaises(urllib3.exceptions.NewConnectionError):
                pool.request("GET", "http://no.such.host.test/")

    def test_requests(self):
        try:
            import requests
            import urllib3
        except ImportError:
            raise unittest.SkipTest("requests is not installed")
        with mock.patch.object(urllib3.util.connection, "create_connection"):
            exec(line_of("urllib3, requests"), {"urllib3": urllib3, "happysock": happysock})
            with http_server(V4) as port, self.at_once(least=0.2, most=10):
                self.assertEqual(requests.get(f"http://half.test:{port}/", timeout=10).text, V4)
            with self.assertRaises(requests.exceptions.ConnectTimeout):
                requests.get("http://silent.test/", timeout=0.1)

    def test_redis(self):
        try:
            import redis
        except ImportError:
            raise unittest.SkipTest("redis-py is not installed")
        server = shutil.which("redis-server")
        if server is None:
            raise unittest.SkipTest("redis-server is not installed")
        port = 6379
        command = [server, "--bind", V4, "--port", str(port), "--save", "", "--protected-mode", "no"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for line in process.stdout:
            if b"eady to accept connections" in line:
                break
        with mock.patch.object(redis.Connection, "_connect"):
            exec(line_of("redis-py"), {"redis": redis, "happysock": happysock})
            with self.at_once(least=0.2, most=10):
                client = redis.Redis("half.test", port, socket_connect_timeout=10)
                self.assertTrue(client.ping())
                client.close()
            with self.assertRaises(redis.exceptions.TimeoutError):
                redis.Redis("silent.test", port, socket_connect_timeout=0.1).ping()
