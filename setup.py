"""The parts of the installation that may be missing, in C: the kernel of `ctlog.merkle`, cutting data tiles and
certificates, and the monitor's hot path. The rest is in pyproject.toml."""

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class Optional(build_ext):
    """Builds what it can; if it cannot, says so in one sentence, and the installation goes on."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            print(
                f"{ext.name} could not be built, so slower Python will run in its place: {error} (on Debian "
                '"apt-get install gcc python3-dev" brings what it needs).',
                file=sys.stderr,
            )


def extension(name: str, source: str) -> Extension:
    """One file for 3.11 and all later ones: the sources define Py_LIMITED_API."""
    # optional: an editable installation does not look for a file that was not made
    return Extension(name, [source], extra_compile_args=["-O3", "-g0"], py_limited_api=True, optional=True)


setup(
    cmdclass={"build_ext": Optional},
    ext_modules=[
        extension("ctlog.merkle._kernel", "ctlog/merkle/kernel.c"),
        extension("ctlog.wire._static_ct", "ctlog/wire/static_ct.c"),
        extension("ctlog.x509._der", "ctlog/x509/der.c"),
        extension("monitor._hot", "monitor/hot.c"),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
