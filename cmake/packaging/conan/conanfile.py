# Packs the sources that this folder lies in: conan create <here>
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load


class Genserver(ConanFile):
    name = "genserver"
    description = "Erlang's GenServer for C++20: an object that owns a thread, a state and a mailbox"
    license = "BSL-1.0"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    @property
    def _sources(self):
        return os.path.normpath(os.path.join(self.recipe_folder, "..", "..", ".."))

    def set_version(self):
        header = os.path.join(self._sources, "include", "genserver", "base", "version.hpp")
        self.version = ".".join(re.findall(r"constexpr int version_\w+ = (\d+)", load(self, header)))

    def export_sources(self):
        copy(self, "include/*", self._sources, self.export_sources_folder)
        copy(self, "LICENSE", self._sources, self.export_sources_folder)

    def requirements(self):
        self.requires("fmt/[>=9]")

    def validate(self):
        check_min_cppstd(self, 20)

    def package(self):
        copy(self, "*.hpp", os.path.join(self.source_folder, "include"),
             os.path.join(self.package_folder, "include"))
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_id(self):
        self.info.clear()

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_target_name", "genserver::genserver")
        self.cpp_info.set_property("pkg_config_name", "genserver")
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
