"""Runs the named test files and says at the end how many passed, in the words of node's runner."""

import sys
import unittest

names = [name.removesuffix(".py") for name in sys.argv[1:]]
result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromNames(names))
failed = len(result.failures) + len(result.errors)
print(f"# pass {result.testsRun - failed - len(result.skipped)}\n# fail {failed}\n# skipped {len(result.skipped)}", flush=True)
sys.exit(not result.wasSuccessful())
