"""Loads a script of this folder, which has no .py at its end, as a module."""
import importlib.machinery
import importlib.util
import os
import sys

TOOLS = os.path.dirname(os.path.abspath(__file__))


def load(path):
    """path: relative to this folder. The module is named like the file, and loaded once."""
    name = os.path.basename(path)
    if name not in sys.modules:
        loader = importlib.machinery.SourceFileLoader(name, os.path.join(TOOLS, path))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
        sys.modules[name] = module
        loader.exec_module(module)
    return sys.modules[name]
