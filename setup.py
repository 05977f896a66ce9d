"""The part of the installation that may be missing: the C kernel of `ctlog.merkle`. The rest is in pyproject.toml."""

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class OptionalKernel(build_ext):
    """Builds the kernel if it can; if not, says so in one sentence, and the installation goes on."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            print(
                f"The C kernel could not be built, so the slower Python one will run: {error} (on Debian "
                '"apt-get install gcc python3-dev" brings what it needs).',
                file=sys.stderr,
            )


setup(
    cmdclass={"build_ext": OptionalKernel},
    ext_modules=[
        Extension(
            "ctlog.merkle._kernel",
            ["ctlog/merkle/kernel.c"],
            extra_compile_args=["-O3", "-g0"],
            py_limited_api=True,  # one file for 3.11 and all later ones; kernel.c defines Py_LIMITED_API
            optional=True,  # an editable installation does not look for a file that was not made
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
