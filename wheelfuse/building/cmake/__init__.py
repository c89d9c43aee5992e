"""The CMake module WheelfuseExtension. scikit-build-core finds it by the entry point group ``cmake.module``.

Without scikit-build-core, ``python -m wheelfuse.building.cmake`` prints the directory for ``CMAKE_MODULE_PATH``.
"""
