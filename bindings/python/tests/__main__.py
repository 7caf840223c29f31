"""Runs the tests and sums up in one line."""

import pathlib
import sys
import unittest

import support  # noqa: F401  found before the folder of a test is put first

folder = pathlib.Path(__file__).parent
loader = unittest.defaultTestLoader
suite = loader.loadTestsFromNames(sys.argv[1:]) if sys.argv[1:] else loader.discover(str(folder))
result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
bad = len(result.failures) + len(result.errors)
for test, why in result.skipped:
    print(f"skipped: Python, {test.id().split('.')[-1]}: {why}")
print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed")
sys.exit(1 if bad else 0)
