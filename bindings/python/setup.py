"""Builds the extension with the Rust library inside.

The library is compiled by cargo, from the checkout or from the copy that the source distribution carries. A packager who
has built it already says where the archive is: HAPPYSOCK_ARCHIVE=/usr/lib/libhappysock.a.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
# pip runs this file by exec, without its folder on the path.
sys.path.insert(0, str(HERE))

from build_native import crate  # noqa: E402


class BuildExtension(build_ext):
    def run(self):
        archive = os.environ.get("HAPPYSOCK_ARCHIVE")
        if archive is None:
            target = Path(self.build_temp).resolve() / "crate"
            command = ["cargo", "rustc", "--manifest-path", str(crate() / "Cargo.toml"), "--target-dir", str(target)]
            command += ["--release", "--locked", "--lib", "--crate-type", "staticlib"]
            try:
                subprocess.run(command, check=True)
            except FileNotFoundError:
                sys.exit("happysock builds a Rust library and needs cargo: install Rust 1.88 or newer")
            archive = str(target / "release" / "libhappysock.a")
        elif not os.path.isfile(archive):
            sys.exit(f"HAPPYSOCK_ARCHIVE: there is no file {archive}")
        for extension in self.extensions:
            extension.extra_objects = extension.depends = [archive]
            # The Rust library is the extension's own business: none of its names shows.
            extension.extra_link_args = ["-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-lpthread", "-ldl", "-lm"]
            if "DEB_BUILD_OPTIONS" not in os.environ:
                # A distribution keeps debug information in a file beside and strips the module itself.
                extension.extra_link_args.append("-Wl,--strip-debug")
        super().run()


class SourceDistribution(sdist):
    """Carries the crate along, as cargo would publish it."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        target = Path(self.get_finalized_command("build").build_temp).resolve()
        command = ["cargo", "package", "--manifest-path", str(crate() / "Cargo.toml"), "--target-dir", str(target)]
        subprocess.run([*command, "--no-verify", "--allow-dirty", "--quiet"], check=True)
        (package,) = (target / "package").glob("happysock-*.crate")
        with tarfile.open(package) as archive:
            for member in archive.getmembers():
                # The first part of each path is the package's name and version.
                member.name = str(Path(*Path(member.name).parts[1:]))
                archive.extract(member, Path(base_dir) / "crate")


setup(cffi_modules=["build_native.py:builder"], cmdclass={"build_ext": BuildExtension, "sdist": SourceDistribution})
